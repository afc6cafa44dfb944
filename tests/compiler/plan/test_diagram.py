"""Decision diagrams: they decide as the interpreter does, ask nothing twice, and stay bounded."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from routec.cli.bench.analysis import factors, generate, pigeonhole
from routec.compiler.plan.diagram import build
from routec.compiler.program import Guard, Node, Program, Route, Variable, dump, load
from routec.compiler.types import Plain, Value
from tests.compiler.plan.walking import (
    interpreted,
    path,
    policy_of,
    prepared,
    random_values,
    samples,
    takes,
    variable_of,
    walked,
    with_diagrams,
)
from tests.compiler.policies import Made, policies

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
REQUESTS = 25

MODELS = "model m { provider: p }\nmodel n { provider: q }\n"


def orders(program: Program) -> list[int]:
    return [at for at, s in enumerate(program.signals) if s.stage != "derived"]


# --- the same decisions -----------------------------------------------------------------


@settings(max_examples=120, deadline=None, suppress_health_check=SLOW)
@given(policies(max_routes=8), st.integers(0, 2**32))
def test_diagrams_decide_as_the_reference_interpreter_in_any_order_of_signals(
    made: Made, seed: int
) -> None:
    draw = random.Random(seed)
    order = orders(prepared(made.policy))
    draw.shuffle(order)
    program, diagrams = with_diagrams(made.policy, order if draw.random() < 0.7 else ())
    assume(not diagrams.refused)
    for _ in range(REQUESTS):
        values = random_values(made.policy, draw)
        found, expected = walked(program, values), interpreted(made.policy, values)
        assert (found.acting, found.rejecting) == (expected.acting, expected.rejecting)
        assert found.route == expected.route
        if program.plan.category is not None:
            assert found.category == expected.category
        else:
            assert not program.plan.cases


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(policies(max_routes=10), st.integers(0, 2**32), st.integers(8, 40))
def test_forgetful_diagrams_decide_alike(made: Made, seed: int, limit: int) -> None:
    draw = random.Random(seed)
    program, diagrams = with_diagrams(made.policy, limit=limit, forget=True)
    assert load(dump(program)) == program
    assume(diagrams.guards is not None and diagrams.route is not None)
    for _ in range(REQUESTS):
        values = random_values(made.policy, draw)
        found, expected = walked(program, values), interpreted(made.policy, values)
        assert (found.acting, found.rejecting) == (expected.acting, expected.rejecting)
        assert found.route == expected.route
        assert program.plan.category is None or found.category == expected.category


FLAGS = ("a", "b", "c", "d")
SMALL_ATOMS = (
    *FLAGS,
    "tier == free",
    'tier != "big corp"',
    "tier in [free, pro]",
    "tier == pro",
    "seats > 2",
    "seats >= 2",
    "seats in 2..3",
    "seats < 4",
    "seats == 3",
)
SMALL_FIELDS = """policy small
request {
  tier: enum(free, pro, "big corp") = free
  seats: int = 1
  a: bool = false
  b: bool = false
  c: bool = false
  d: bool = false
}
"""


@st.composite
def small_conditions(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(SMALL_ATOMS))
    joined = draw(st.sampled_from((" and ", " or ", "not")))
    if joined == "not":
        return f"not ({draw(small_conditions(depth - 1))})"
    parts = draw(st.lists(small_conditions(depth - 1), min_size=2, max_size=3))
    return joined.join(f"({part})" for part in parts)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(st.lists(small_conditions(), min_size=2, max_size=6))
def test_every_request_of_a_small_policy_is_decided_as_by_the_interpreter(
    conditions: list[str],
) -> None:
    parts = [SMALL_FIELDS, MODELS]
    for at, condition in enumerate(conditions[: len(conditions) // 2]):
        action = 'tag "t"' if at % 2 == 0 else 'reject 403 "no"'
        parts.append(f"guard g{at} {{ when {condition} {action} }}")
    for at, condition in enumerate(conditions[len(conditions) // 2 :]):
        parts.append(f"route r{at} priority {100 - at} {{ when {condition} to m }}")
    parts.append("default route rest { to n }")
    policy = policy_of("\n".join(parts))
    program, diagrams = with_diagrams(policy)
    assert diagrams.refused == ()
    for bits in range(1 << len(FLAGS)):
        flags = {flag: bool(bits >> at & 1) for at, flag in enumerate(FLAGS)}
        for tier in ("free", "pro", "big corp"):
            for seats in range(1, 6):
                values: dict[str, Value] = {**flags, "tier": tier, "seats": seats}
                found, expected = walked(program, values), interpreted(policy, values)
                assert (found.acting, found.rejecting) == (expected.acting, expected.rejecting)
                assert found.route == expected.route


# --- their form ---------------------------------------------------------------------------


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(policies(max_routes=8), st.integers(0, 2**32))
def test_no_path_asks_what_it_knows_already(made: Made, seed: int) -> None:
    draw = random.Random(seed)
    program, _ = with_diagrams(made.policy)
    vertices = program.plan.vertices
    for root in (program.plan.guards, program.plan.category, program.plan.route):
        if root is None:
            continue
        for _ in range(5):
            possible: dict[int, list[Plain]] = {}
            steps = path(program, root, random_values(made.policy, draw))
            for at, to in itertools.pairwise(steps):
                vertex = vertices[at]
                variable = variable_of(program, vertex)
                if variable is None:
                    continue
                left = possible.get(variable) or samples(program, variable)
                ways = {value: vertex.to[takes(program, vertex, value)] for value in left}
                assert len(set(ways.values())) > 1, "the answer was known"
                possible[variable] = [value for value in left if ways[value] == to]


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(policies(max_routes=6), st.sampled_from((0, 3, 10, 40, 2000)))
def test_diagrams_are_sound_parts_of_a_program_within_their_limit(made: Made, limit: int) -> None:
    program, diagrams = with_diagrams(made.policy, limit=limit)
    assert load(dump(program)) == program
    assert len(diagrams.vertices) <= limit
    reached = {
        root for root in (diagrams.guards, diagrams.category, diagrams.route) if root is not None
    }
    for at in reversed(range(len(diagrams.vertices))):
        if at in reached:
            reached.update(diagrams.vertices[at].to)
    assert reached == set(range(len(diagrams.vertices))), "a vertex that nothing leads to"
    assert len(set(diagrams.vertices)) == len(diagrams.vertices), "equal vertices are one"
    assert all(
        len(set(vertex.to)) > 1
        for vertex in diagrams.vertices
        if vertex.kind in ("test", "switch", "bisect")
    )
    missing = {"guards"} if diagrams.guards is None else set()
    missing |= {"category"} if diagrams.category is None and program.plan.cases else set()
    missing |= {"route"} if diagrams.route is None else set()
    assert set(diagrams.refused) == missing


def questions_of(text: str) -> tuple[Program, Mapping[str, list[str]]]:
    """The conditions that vertices test, as text, by the kind of vertex."""
    program, diagrams = with_diagrams(policy_of(text))
    assert diagrams.refused == ()
    found: dict[str, list[str]] = {}
    for vertex in diagrams.vertices:
        variable = variable_of(program, vertex)
        if variable is not None:
            read = program.variables[variable]
            name = read.name if read.member is None else f"{read.name}.{read.member}"
            found.setdefault(vertex.kind, []).append(name)
    return program, found


def test_one_dispatch_tells_the_labels_of_one_variable_apart() -> None:
    program, asked = questions_of(
        'policy x\nsignal topic = classifier("t") { labels: [law, code, chat], on_error: chat }\n'
        f"{MODELS}model o {{ provider: o }}\n"
        "route a priority 3 { when topic == law to m }\n"
        "route b priority 2 { when topic == code to n }\n"
        "default route rest { to o }"
    )
    assert asked == {"switch": ["topic"]}
    assert program.plan.vertices[-1].labels == ("law", "code")


def test_labels_that_are_all_there_are_need_no_way_for_others() -> None:
    program, asked = questions_of(
        "policy x\nrequest { tier: enum(free, pro) = free }\n"
        f"{MODELS}"
        "route a priority 3 { when tier == free to m }\n"
        "route b priority 2 { when tier == pro to n }\n"
        "default route rest { to m }"
    )
    assert asked == {"test": ["tier"]}
    outcomes = {v.outcome for v in program.plan.vertices if v.kind == "leaf"}
    assert outcomes == {-1, 0, 1}, "the default route is not reached"


def test_one_bisection_finds_the_stretch_of_a_number() -> None:
    program, asked = questions_of(
        "policy x\nrequest { seats: int = 1 }\n"
        f"{MODELS}"
        "route a priority 4 { when seats > 100 to m }\n"
        "route b priority 3 { when seats > 10 to n }\n"
        "route c priority 2 { when seats in 3..5 to m }\n"
        "default route rest { to n }"
    )
    assert asked == {"bisect": ["seats"]}
    vertex = program.plan.vertices[-1]
    assert vertex.bounds == (2, 5, 10, 100)
    assert vertex.inclusive == (True, True, True, True)


def test_equal_states_share_one_vertex() -> None:
    text = factors(18)
    _, asked = questions_of(text)
    assert len(asked["test"]) == 36, "of 3 ** 18 ways"


def test_a_label_settles_scores_and_a_score_the_label() -> None:
    head = (
        'policy x\nsignal topic = classifier("t") { labels: [law, code, chat], on_error: chat }\n'
        f"{MODELS}"
    )
    _, asked = questions_of(
        head + "route a priority 3 { when topic.law >= 0.7 and topic != law to m }\n"
        "route b priority 2 { when topic == code and topic.law > 0.6 to m }\n"
        "default route rest { to n }"
    )
    assert asked == {}, "neither route can be taken"
    _, asked = questions_of(
        head + "route a priority 3 { when topic.law >= 0.7 and topic.code >= 0.4 to m }\n"
        "default route rest { to n }"
    )
    assert asked == {}, "exclusive scores leave no such request"
    _, asked = questions_of(
        head.replace("on_error", "exclusive: false, on_error")
        + "route a priority 3 { when topic.law >= 0.7 and topic.code >= 0.4 to m }\n"
        "default route rest { to n }"
    )
    assert asked == {"test": ["topic.code", "topic.law"]}


def test_a_stretch_that_is_implied_away_is_not_told_apart() -> None:
    policy = policy_of(
        "policy x\nrequest { seats: int = 1  beta: bool = false }\n"
        f"{MODELS}"
        "route a priority 5 { when seats < 5 and beta to m }\n"
        "route b priority 4 { when seats < 5 to n }\n"
        "route c priority 3 { when seats < 10 to n }\n"
        "route d priority 2 { when beta to m }\n"
        "default route rest { to n }"
    )
    program = prepared(policy)
    atoms = {(n.op, n.value): at for at, n in enumerate(program.nodes) if n.variable is not None}
    few, some, beta = atoms["lt", 5], atoms["lt", 10], atoms["truth", None]
    free = build(program, {}, 100)
    tied = build(program, {(few, False): ((beta, True),), (some, True): ((beta, False),)}, 100)
    assert {v.outcome for v in free.vertices if v.kind == "leaf"} == {0, 1, 2, 3, 4, -1}
    assert {v.outcome for v in tied.vertices if v.kind == "leaf"} == {1, 3, -1}


def test_a_keyword_settles_those_that_it_includes() -> None:
    _, asked = questions_of(
        'policy x\nsignal more = keyword("refund now")\nsignal less = keyword("refund")\n'
        f"{MODELS}"
        "route a priority 3 { when less to m }\n"
        "route b priority 2 { when more to m }\n"
        "default route rest { to n }"
    )
    assert asked == {"test": ["less"]}, "without the one there is not the other"


def test_fields_are_asked_before_signals_and_these_as_the_plan_orders_them() -> None:
    policy = policy_of(
        "policy x\nrequest { beta: bool = false }\n"
        'signal one = keyword("a")\nsignal two = keyword("b")\n'
        f"{MODELS}"
        "route a priority 3 { when (one or beta) and two to m }\n"
        "default route rest { to n }"
    )
    for order, expected in (((0, 1), ["beta", "one", "two"]), ((1, 0), ["beta", "two", "one"])):
        program, diagrams = with_diagrams(policy, order)
        assert diagrams.route is not None
        values: dict[str, Value] = {"beta": False, "one": True, "two": True}
        asked = [program.plan.vertices[at] for at in path(program, diagrams.route, values)]
        names = [variable_of(program, vertex) for vertex in asked]
        assert [program.variables[v].name for v in names if v is not None] == expected


def test_a_derived_signal_is_asked_when_the_last_of_what_it_reads_would_be() -> None:
    policy = policy_of(
        'policy x\nsignal one = keyword("a")\nsignal last = keyword("b")\n'
        "signal need = score { 0.5 * last }\n"
        "signal band = bands(need) { low: < 0.3, high }\n"
        f"{MODELS}"
        "route a priority 3 { when band == high or one to m }\n"
        "default route rest { to n }"
    )
    program, diagrams = with_diagrams(policy, (0, 1))
    assert diagrams.route is not None
    first = variable_of(program, program.plan.vertices[diagrams.route])
    assert first is not None
    assert program.variables[first].name == "one"


# --- bounds ---------------------------------------------------------------------------------


def test_what_would_explode_is_refused_and_costs_the_other_questions_nothing() -> None:
    program, diagrams = with_diagrams(policy_of(pigeonhole(10)), limit=1000)
    assert diagrams.refused == ("guards",)
    assert diagrams.route is not None
    program, diagrams = with_diagrams(policy_of(generate(120)), limit=300)
    assert diagrams.refused == ("route",)
    assert diagrams.guards is not None
    assert load(dump(program)) == program


def test_a_question_that_is_too_large_may_forget_and_decides_alike() -> None:
    policy = policy_of(generate(400))
    program, diagrams = with_diagrams(policy, limit=2500, forget=True)
    assert (diagrams.refused, diagrams.forgetful) == ((), ("route",))
    assert load(dump(program)) == program
    root = program.plan.vertices[diagrams.route or 0]
    assert root.kind == "switch", "what tells most routes apart is asked first and remembered"
    assert len(root.labels) == 40
    draw = random.Random(7)
    for _ in range(60):
        values = {**random_values(policy, draw), "tenant": draw.choice(root.labels)}
        assert walked(program, values).route == interpreted(policy, values).route


def test_a_limit_of_no_vertices_refuses_everything() -> None:
    _, diagrams = with_diagrams(policy_of(factors(2)), limit=0)
    assert diagrams.refused == ("guards", "route")
    assert diagrams.vertices == ()


def long_program(routes: int, nested: int) -> Program:
    """As many routes as flags, and a guard whose condition nests this deep."""
    flags = [Variable("field", f"f{at}", "bool") for at in range(routes)]
    nodes = [Node("const", value=True)]
    nodes += [Node("truth", at) for at in range(routes)]
    top = 1
    for at in range(nested):
        nodes.append(Node("and" if at % 2 else "or", of=(top, 1 + (at + 1) % routes)))
        top = len(nodes) - 1
    small = policy_of(f"policy x\n{MODELS}default route rest {{ to n }}")
    program = prepared(small)
    return msgspec.structs.replace(
        program,
        variables=tuple(flags),
        nodes=tuple(nodes),
        guards=(Guard("deep", top),),
        routes=(
            *(Route(f"r{at}", 1 + at, "only", ("m",)) for at in range(routes)),
            msgspec.structs.replace(program.routes[0], when=0),
        ),
    )


@pytest.mark.parametrize("nested", [1, 3000])
def test_neither_long_lists_nor_deep_conditions_exhaust_the_stack(nested: int) -> None:
    program = long_program(3000, nested)
    diagrams = build(program, {}, 20_000)
    assert "route" not in diagrams.refused
    assert sum(vertex.kind == "test" for vertex in diagrams.vertices) >= 3000


BUILD = """
import hashlib
from routec.cli.bench.analysis import generate
from routec.compiler.program import dump
from tests.compiler.plan.walking import policy_of, with_diagrams
program, _ = with_diagrams(policy_of(generate(40)))
print(len(program.plan.vertices), hashlib.sha256(dump(program)).hexdigest())
"""


def test_diagrams_are_the_same_bytes_whatever_the_seed_of_hashes() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", BUILD],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    program, _ = with_diagrams(policy_of(generate(40)))
    digest = hashlib.sha256(dump(program)).hexdigest()
    assert found == {f"{len(program.plan.vertices)} {digest}\n"}
