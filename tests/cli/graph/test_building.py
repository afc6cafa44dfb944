"""What is drawn of a plan: all that can be reached, once; the rest is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.cli.graph.bounded import drawn_diagram, drawn_list
from routec.cli.graph.flow import Flow, Key, Row, Way
from routec.cli.graph.words import category_does, edge_labels, guard_does, route_does, share_text
from routec.compiler.program import Category, Guard, Rejection, Route, Vertex

from .support import DEAD, POLICY, case, cluster, named

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "policies"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.route")), ids=lambda path: path.stem)
@pytest.mark.parametrize("planned", [True, False], ids=["diagram", "list"])
def test_every_step_is_drawn_once_and_every_edge_joins_two_of_them(
    path: Path, planned: bool, tmp_path: Path
) -> None:
    from msgspec.structs import replace

    from routec.cli.graph.build import build
    from routec.cli.graph.flow import flows
    from routec.cli.programs import compile_file
    from routec.compiler.program import Plan

    program = compile_file(str(path)).program
    if not planned:
        program = replace(program, plan=Plan())
    graph = build(program, "", {}, most=10_000)
    ids = [vertex.id for each in graph.clusters for vertex in each.vertices]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in ids)
    for each, flow in zip(graph.clusters, flows(program), strict=True):
        own = {vertex.id for vertex in each.vertices}
        assert len(own) == len(flow.ways) + len(each.apart) == each.total
        assert all({edge.source, edge.target} <= own for edge in each.edges)
        assert len(each.edges) == sum(len(ways) for ways in flow.ways.values())
        reached = {each.vertices[0].id}
        for _ in each.vertices:
            reached |= {edge.target for edge in each.edges if edge.source in reached}
        assert reached == own - set(each.apart)
        if not planned:
            assert sorted(name for row in each.rows for name in row) == sorted(reached)
    drawn_rules = {(rule.kind, rule.name) for rule in graph.rules if rule.vertex in ids}
    assert drawn_rules == {(rule.kind, rule.name) for rule in graph.rules}


def test_vertices_say_what_is_asked_what_it_may_cost_and_where_it_is_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.route"
    graph = case(path, POLICY, planned=False).graph()
    rule = named(graph, "route", "rule", "refunds")
    assert rule.condition == "refund >= 0.8 or topic == billing"
    assert [(read.name, read.stage) for read in rule.reads] == [
        ("refund", "embed"),
        ("topic", "model"),
    ]
    assert rule.stage == "model"
    [place] = rule.places
    line = POLICY.splitlines().index(
        "route refunds priority 20 { when refund >= 0.8 or topic == billing to opus }"
    )
    assert (place.rule, place.file, place.line) == ("route refunds", str(path), line + 1)
    assert named(graph, "route", "rule", "large").stage == "field"
    assert named(graph, "guards", "reject", "shouting").text == 'reject 429 "later"'
    assert named(graph, "guards", "act", "letters").text == 'redact pii, tag "mail"'
    assert named(graph, "route", "route", "general").text == "to mini 90%, opus 10%"
    assert named(graph, "category", "category", "code").text == "cosine ≥ 0.93, per tenant"


def test_a_condition_in_a_diagram_names_all_rules_that_have_it(tmp_path: Path) -> None:
    text = POLICY.replace("seats > 100 to", "seats > 100 and urgent to")
    graph = case(tmp_path / "p.route", text).graph()
    found = [
        {place.rule for place in vertex.places}
        for each in graph.clusters
        for vertex in each.vertices
        if vertex.title == "urgent"
    ]
    assert found
    assert all(rules == {"guard shouting", "route large"} for rules in found)


def test_shares_of_all_ends_add_up_to_the_requests_that_come(tmp_path: Path) -> None:
    graph = case(tmp_path / "p.route", POLICY).graph()
    for each in graph.clusters:
        sources = {edge.source for edge in each.edges}
        ends = [v.share or 0.0 for v in each.vertices if v.id not in sources]
        assert sum(ends) == pytest.approx(each.vertices[0].share)


def test_a_rule_that_never_acts_is_marked_in_a_list_and_stands_apart_of_a_diagram(
    tmp_path: Path,
) -> None:
    listed = case(tmp_path / "listed.route", DEAD, planned=False).graph(check=True)
    assert [f.code for f in listed.findings] == ["RC202"] or "RC202" in [
        f.code for f in listed.findings
    ]
    at = next(i for i, f in enumerate(listed.findings) if f.code == "RC202")
    for kind in ("rule", "route"):
        vertex = named(listed, "route", kind, "slow")
        assert vertex.dead
        assert at in vertex.findings
        assert not named(listed, "route", kind, "fast").dead
    assert set(listed.findings[at].vertices) == {"r-rule-1", "r-does-1"}
    planned = case(tmp_path / "planned.route", DEAD).graph(check=True)
    slow = named(planned, "route", "route", "slow")
    assert slow.dead
    assert cluster(planned, "route").apart == (slow.id,)
    at = next(i for i, f in enumerate(planned.findings) if f.code == "RC202")
    assert planned.findings[at].vertices == (slow.id,)


def test_a_finding_marks_the_rule_of_its_kind_where_names_are_shared(tmp_path: Path) -> None:
    text = DEAD.replace("route fast", "category slow { when topic == other, ttl: 10m }\nroute fast")
    graph = case(tmp_path / "p.route", text, planned=False).graph(check=True)
    at = next(i for i, f in enumerate(graph.findings) if f.code == "RC202")
    assert set(graph.findings[at].vertices) == {"r-rule-1", "r-does-1"}


# --- what is too large ---------------------------------------------------------------


def chain(count: int) -> Flow:
    """A diagram of tests in a row, each with an end of its own."""
    ways: dict[Key, tuple[Way, ...]] = {}
    for at in range(count):
        after: Key = ("vertex", at + 1) if at + 1 < count else ("vertex", 9999)
        ways["vertex", at] = (Way(after, "no", "false"), Way(("vertex", 1000 + at), "yes", "true"))
        ways["vertex", 1000 + at] = ()
    ways["vertex", 9999] = ()
    return Flow("route", True, ("vertex", 0), ways, (), {})


@given(st.integers(1, 60), st.integers(8, 40), st.integers(0, 200))
@settings(max_examples=100, deadline=None)
def test_a_large_diagram_is_drawn_from_its_start_and_the_rest_is_counted(
    count: int, most: int, pick: int
) -> None:
    flow = chain(count)
    at = pick % count
    wanted = [("vertex", n) for n in range(at + 1)] + [("vertex", 1000 + at)]
    drawn = drawn_diagram(flow, most, wanted[: most - 2])
    real = [key for key in drawn.keys if key[0] != "more"]
    assert drawn.keys[0] == flow.start
    assert len(real) <= most
    assert set(wanted[: most - 2]) <= set(real)
    assert drawn.hidden == len(flow.ways) - len(real)
    assert bool(drawn.behind) == bool(drawn.hidden)
    assert sum(drawn.behind.values()) >= drawn.hidden
    assert {target.to for _, target in drawn.ways} <= set(drawn.keys)


def ladder(count: int) -> Flow:
    ways: dict[Key, tuple[Way, ...]] = {}
    for at in range(count):
        after: Key = ("rule", at + 1) if at + 1 < count else ("none", count)
        ways["rule", at] = (Way(("does", at), "yes", "yes"), Way(after, "no"))
        ways["does", at] = ()
    ways["none", count] = ()
    rows = tuple(Row(0, at) for at in range(count))
    return Flow("route", False, ("rule", 0), ways, rows, {("does", at): at for at in range(count)})


@given(
    st.integers(1, 300),
    st.integers(8, 60),
    st.lists(st.integers(0, 299), max_size=80),
    st.integers(0, 299),
)
@settings(max_examples=100, deadline=None)
def test_a_long_list_keeps_its_ends_and_what_is_wanted(
    count: int, most: int, marked: list[int], pick: int
) -> None:
    flow = ladder(count)
    at = pick % count
    trail: list[Key] = [("rule", n) for n in range(at + 1)] + [("does", at)]
    marked = sorted({n for n in marked if n < count})
    drawn = drawn_list(flow, most, trail, marked)
    real = [key for key in drawn.keys if key[0] != "more"]
    assert {("rule", 0), ("none", count), ("does", at)} <= set(real)
    assert len(real) <= most + 4
    assert len(real) + drawn.hidden == len(flow.ways)
    # A stand-in counts rules; each that is hidden has two steps.
    assert 2 * sum(drawn.behind.values()) == drawn.hidden
    assert [key for row in drawn.rows for key in row] == list(drawn.keys)
    assert {target.to for _, target in drawn.ways} <= set(drawn.keys)
    reached: set[Key] = {drawn.keys[0]}
    for source, way in drawn.ways:
        if source in reached:
            reached.add(way.to)
    assert reached == set(drawn.keys)


def test_a_thousand_routes_are_bounded_and_said(tmp_path: Path) -> None:
    routes = "".join(
        f"route r{n} priority {1000 - n} {{ when size == {n} to {'ab'[n % 2]} }}\n"
        for n in range(999)
    )
    text = (
        "policy many\nrequest { tenant: string, size: int = 0 }\n"
        "model a { provider: x }\nmodel b { provider: y }\n"
        + routes
        + "default route rest { to a }\n"
    )
    listed = case(tmp_path / "many.route", text, planned=False)
    graph = listed.graph()
    route = cluster(graph, "route")
    assert len(route.vertices) <= 264
    assert "of 1,999 vertices are drawn" in route.note
    [more] = [vertex for vertex in route.vertices if vertex.kind == "more"]
    assert more.title == f"{more.hidden:,} more rules"
    assert len(graph.rules) == 1000
    assert sum(rule.vertex is None for rule in graph.rules) == more.hidden


# --- words ---------------------------------------------------------------------------


def test_edges_to_one_target_are_one_and_named_by_all_that_leads_there() -> None:
    switch = Vertex("switch", (0, 1, 0, 1), variable=0, labels=("a", "b", "c"))
    assert edge_labels(switch) == [(0, "a, c"), (1, "b, else")]
    many = Vertex("switch", (0,) * 9 + (1,), variable=0, labels=tuple("abcdefghi"))
    assert edge_labels(many) == [(0, "a, b, c, d, e, f and 3 more"), (1, "else")]


def test_intervals_say_which_numbers_they_hold() -> None:
    def said(
        to: tuple[int, ...], bounds: tuple[float, ...], inclusive: tuple[bool, ...]
    ) -> list[str]:
        vertex = Vertex("bisect", to, variable=0, bounds=bounds, inclusive=inclusive)
        return [label for _, label in edge_labels(vertex)]

    assert said((0, 1), (0.8,), (False,)) == ["< 0.8", "≥ 0.8"]
    assert said((0, 1), (0.8,), (True,)) == ["≤ 0.8", "> 0.8"]
    assert said((0, 1, 2), (0.3, 0.7), (False, True)) == ["< 0.3", "≥ 0.3 and ≤ 0.7", "> 0.7"]
    assert said((0, 1, 2), (5.0, 5.0), (False, True)) == ["< 5", "= 5", "> 5"]
    assert said((0, 0, 1), (1.0, 2.0), (False, False)) == ["< 2", "≥ 2"]
    assert said((0, 1, 0), (1.0, 2.0), (False, False)) == ["< 1, ≥ 2", "≥ 1 and < 2"]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.0004, "<0.1%"),
        (0.9996, ">99.9%"),
        (0.029, "2.9%"),
        (0.5, "50%"),
        (0.375, "38%"),
        (0.994, "99.4%"),
        (0.05, "5%"),
    ],
)
def test_shares_never_round_to_none_or_all(share: float, text: str) -> None:
    assert share_text(share) == text


def test_rules_say_what_they_do() -> None:
    assert guard_does(Guard("g", 0)) == "nothing"
    assert guard_does(Guard("g", 0, Rejection(403, "no"), ("pii",), ("t",), (("h", "v"),))) == (
        'redact pii, tag "t", set "h", reject 403 "no"'
    )
    assert category_does(Category("c", 0, ttl=600.0)) == "exact only, ttl 10m, for all"
    assert (
        category_does(Category("c", 0, max_error=0.01, scope="tenant"))
        == "error ≤ 0.01, per tenant"
    )
    assert route_does(Route("r", 0, "cost", ("a", "b"), fallbacks=("c", "d"), cache="off")) == (
        "to a, b by cost, else c → d, cache off"
    )
    assert route_does(
        Route("r", 0, "weighted", ("a", "b"), (0.875, 0.125), cache="force", category="x")
    ) == ("to a 87.5%, b 12.5%, cache x")
