"""Following requests: the diagram and the list of rules end alike, and shares count what comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from routec.cli.graph.flow import flows
from routec.cli.graph.known import Follower
from routec.cli.graph.shares import expected_shares
from routec.compiler.plan import Profile
from routec.compiler.plan.profile import Answer
from routec.compiler.plan.rows import rows_of
from routec.compiler.program import Plan, Vertex

from .support import POLICY, Case, case

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "policies"
FIELDS: dict[str, Any] = {"tenant": "acme", "tier": "free", "seats": 1}
CALM: dict[str, Any] = {"urgent": False, "pii": frozenset(), "refund": 0.1, "topic": "other"}


@pytest.fixture
def small(tmp_path: Path) -> Case:
    return case(tmp_path / "small.route", POLICY)


@pytest.fixture
def listed(tmp_path: Path) -> Case:
    return case(tmp_path / "listed.route", POLICY, planned=False)


def test_a_planned_question_begins_at_its_root_and_a_list_at_its_first_rule(
    small: Case, listed: Case
) -> None:
    assert [flow.question for flow in small.flows] == ["guards", "category", "route"]
    assert all(flow.planned for flow in small.flows)
    assert small.flow("route").start == ("vertex", small.program.plan.route)
    assert not any(flow.planned for flow in listed.flows)
    assert listed.flow("route").start == ("rule", 0)


def test_questions_without_rules_are_left_out(tmp_path: Path) -> None:
    text = "policy p\nrequest { a: bool }\nmodel m { provider: x }\ndefault route r { to m }\n"
    only = case(tmp_path / "only.route", text)
    assert [flow.question for flow in only.flows] == ["route"]
    assert only.outcome("route", {"a": True}, {}) == 0


@pytest.mark.parametrize(
    ("given", "route"),
    [({}, 2), ({"refund": 0.8}, 0), ({"topic": "billing"}, 0), ({"seats": 101}, 1)],
)
def test_a_request_ends_where_the_policy_says(
    small: Case, listed: Case, given: dict[str, Any], route: int
) -> None:
    fields = FIELDS | {k: v for k, v in given.items() if k in FIELDS}
    signals = CALM | {k: v for k, v in given.items() if k not in FIELDS}
    assert small.outcome("route", fields, signals) == route
    assert listed.outcome("route", fields, signals) == route


def test_a_guard_that_does_not_reject_is_passed_and_one_that_rejects_ends(listed: Case) -> None:
    flow = listed.flow("guards")
    mail = listed.follower.values(FIELDS, CALM | {"pii": frozenset({"email"})})
    assert listed.follower.trail(flow, mail).steps == (
        ("rule", 0),
        ("rule", 1),
        ("does", 1),
        ("none", 2),
    )
    loud = listed.follower.values(FIELDS, CALM | {"urgent": True})
    trail = listed.follower.trail(flow, loud)
    assert (trail.steps, trail.ends) == ((("rule", 0), ("does", 0)), (("does", 0),))
    assert listed.follower.rejects(flow, trail)
    assert not listed.follower.rejects(flow, listed.follower.trail(flow, mail))


def test_a_trail_stops_where_a_value_is_not_known(small: Case) -> None:
    values = small.follower.values(FIELDS, {})
    trail = small.follower.trail(small.flow("guards"), values)
    assert not trail.ended
    # The tier is a field and always known, so the keyword is where it stops.
    first, second = trail.steps
    assert (first, second) == trail.ways[0]
    assert trail.ends == (second,)


def test_a_value_that_does_not_matter_is_passed_on_every_way(listed: Case) -> None:
    """The refund is not known, but the topic is enough."""
    values = listed.follower.values(FIELDS, {"topic": "billing"})
    trail = listed.follower.trail(listed.flow("route"), values)
    assert (trail.steps, trail.ended) == ((("rule", 0), ("does", 0)), True)
    program = listed.program
    refund = next(i for i, n in enumerate(program.nodes) if n.op == "ge")
    billing = next(i for i, n in enumerate(program.nodes) if (n.op, n.value) == ("is", "billing"))
    leaves = tuple(Vertex("leaf", outcome=at) for at in range(3))
    topic, first = Vertex("test", (2, 0), node=billing), Vertex("test", (3, 0), node=refund)
    planned = replace(program, plan=Plan(vertices=(*leaves, topic, first), route=4))
    follower, flow = Follower(planned), flows(planned)[-1]
    forked = follower.trail(flow, follower.values(FIELDS, {"topic": "billing"}))
    assert set(forked.steps) == {("vertex", 4), ("vertex", 3), ("vertex", 0)}
    assert len(forked.ways) == 3
    assert (forked.ends, forked.ended) == ((("vertex", 0),), True)
    lost = follower.trail(flow, follower.values(FIELDS, {"topic": "code"}))
    assert (lost.steps, lost.ended) == ((("vertex", 4),), False)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.route")), ids=lambda path: path.stem)
def test_diagrams_end_every_request_where_the_list_of_rules_does(path: Path) -> None:
    from routec.cli.programs import compile_file

    program = compile_file(str(path)).program
    plain = replace(program, plan=Plan(cases=program.plan.cases))
    planned, lists = flows(program), flows(plain)
    assert any(flow.planned for flow in planned)
    ahead, aside = Follower(program), Follower(plain)
    rows = rows_of(program, None, 120)
    names = [field.name for field in program.fields]
    for at in range(rows.count):
        row = {name: column[at] for name, column in rows.columns.items()}
        fields = {name: row[name] for name in names}
        for one, other in zip(planned, lists, strict=True):
            a = ahead.trail(one, ahead.values(fields, row))
            b = aside.trail(other, aside.values(fields, row))
            assert a.ended
            assert b.ended
            assert one.outcomes.get(a.ends[0], -1) == other.outcomes.get(b.ends[0], -1)


def test_switches_and_divisions_go_where_the_value_falls(tmp_path: Path) -> None:
    """A hand-made diagram: a switch on the topic, then a division of the seats."""
    made = case(tmp_path / "made.route", POLICY)
    program = made.program
    variables = list(program.variables)
    topic = next(i for i, v in enumerate(variables) if (v.name, v.member) == ("topic", None))
    seats = next(i for i, v in enumerate(variables) if v.name == "seats")
    leaves = tuple(Vertex("leaf", outcome=at) for at in range(3))
    divide = Vertex(
        "bisect", (0, 1, 2), variable=seats, bounds=(10.0, 100.0), inclusive=(True, False)
    )
    switch = Vertex("switch", (0, 1, 3), variable=topic, labels=("billing", "code"))
    plan = Plan(vertices=(*leaves, divide, switch), route=4)
    program = replace(program, plan=plan)
    follower = Follower(program)
    route = flows(program)[-1]

    def end(label: str, count: int) -> int:
        values = follower.values(FIELDS | {"seats": count}, CALM | {"topic": label})
        return route.outcomes[follower.trail(route, values).ends[0]]

    assert [end("billing", 1), end("code", 1)] == [0, 1]
    assert [end("other", n) for n in (1, 10, 11, 99, 100, 500)] == [0, 0, 1, 1, 2, 2]


def test_shares_count_the_requests_of_a_profile(small: Case) -> None:
    def row(urgent: bool, refund: float, label: str) -> dict[str, Any]:
        scores = {"billing": 0.1, "code": 0.1, "other": 0.1} | {label: 0.8}
        return {
            "tenant": None,
            "tier": "free",
            "seats": 1,
            "urgent": urgent,
            "pii": (),
            "refund": refund,
            "topic": Answer(label, scores),
        }

    rows = (
        row(True, 0.9, "other"),
        row(False, 0.9, "other"),
        row(False, 0.1, "code"),
        row(False, 0.1, "other"),
    )
    shares = expected_shares(small.program, small.follower, small.flows, Profile(rows=rows))
    assert (shares.requests, shares.measured, shares.sample) == (4, True, "4 recorded requests")

    def share(question: str, rule: int) -> float:
        flow = small.flow(question)
        return sum(
            shares.of_step(flow.question, key) for key, at in flow.outcomes.items() if at == rule
        )

    assert share("guards", 0) == 0.25
    # The rejected request comes to no other question.
    route = small.flow("route")
    assert shares.of_step("route", route.start) == 0.75
    assert [share("route", at) for at in range(3)] == [0.25, 0.0, 0.5]


def test_without_a_profile_shares_say_that_they_are_assumed(small: Case) -> None:
    shares = expected_shares(small.program, small.follower, small.flows)
    assert not shares.measured
    assert "no profile was given" in shares.sample


def test_what_leaves_a_step_is_what_came_to_it(small: Case, listed: Case) -> None:
    for each in (small, listed):
        shares = expected_shares(each.program, each.follower, each.flows)
        for flow in each.flows:
            for key, ways in flow.ways.items():
                if ways:
                    out = sum(shares.ways.get((flow.question, key, way.to), 0) for way in ways)
                    assert out == shares.steps.get((flow.question, key), 0)
