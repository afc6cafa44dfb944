"""Which category applies before the route is known: right, and settled as early as can be."""

from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.compiler import policy as p
from routec.compiler.lower import lower
from routec.compiler.plan.cases import DEEPEST, cases_of
from routec.compiler.program import Case, Node, Program, dump, load
from tests.compiler.plan.walking import (
    interpreted,
    node_holds,
    policy_of,
    prepared,
    random_values,
)
from tests.compiler.policies import Made, policies

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
NONE, UNSETTLED = -1, -2


def kleene(program: Program, node: int, known: Mapping[int, bool]) -> bool | None:
    """Whether a node holds where only some atoms are known."""
    found = program.nodes[node]
    parts = [kleene(program, i, known) for i in found.of]
    match found.op:
        case "const":
            return found.value is True
        case "not":
            return None if parts[0] is None else not parts[0]
        case "and":
            return False if False in parts else None if None in parts else True
        case "or":
            return True if True in parts else None if None in parts else False
    return known.get(node)


def settled(program: Program, known: Mapping[int, bool]) -> int:
    """The category of the first case that holds, as far as these atoms tell."""
    for case in program.plan.cases:
        holds = kleene(program, case.when, known)
        if holds is None:
            return UNSETTLED
        if holds:
            return case.category
    raise AssertionError("the last case always holds")


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(policies(max_routes=8), st.integers(0, 2**32))
def test_cases_give_the_interpreters_category(made: Made, seed: int) -> None:
    draw = random.Random(seed)
    program = prepared(made.policy)
    assert load(dump(program)) == program
    for _ in range(20):
        values = random_values(made.policy, draw)
        category = interpreted(made.policy, values).category
        if not program.plan.cases:
            assert category == NONE
            continue
        atoms = {
            at: node_holds(program, at, values)
            for at, node in enumerate(program.nodes)
            if node.variable is not None
        }
        assert settled(program, atoms) == category
        some = {at: value for at, value in atoms.items() if draw.random() < 0.7}
        assert settled(program, some) in (category, UNSETTLED)


HEAD = """policy x
request { a: bool = false  b: bool = false  c: bool = false  d: bool = false }
model m { provider: p }
"""


def program_of(text: str) -> Program:
    return prepared(policy_of(HEAD + text))


def given_flags(program: Program, **flags: bool) -> int:
    """The category where only these flags are known."""
    atoms = {
        program.variables[node.variable].name: at
        for at, node in enumerate(program.nodes)
        if node.variable is not None
    }
    return settled(program, {atoms[name]: value for name, value in flags.items() if name in atoms})


def test_a_category_is_settled_without_the_route_where_all_routes_use_the_cache_alike() -> None:
    program = program_of(
        "category one { when c, similarity: 0.9 }\n"
        "route r priority 2 { when a to m }\nroute s priority 1 { when b to m }\n"
        "default route rest { to m }"
    )
    assert given_flags(program, c=True) == 0
    assert given_flags(program, c=False) == NONE
    assert given_flags(program, a=True) == UNSETTLED


def test_a_route_without_cache_only_matters_where_a_category_would_apply() -> None:
    program = program_of(
        "category one { when c, similarity: 0.9 }\n"
        "route r priority 2 { when a to m cache off }\n"
        "route s priority 1 { when b to m }\n"
        "default route rest { to m }"
    )
    assert given_flags(program, c=True) == UNSETTLED
    assert given_flags(program, c=True, a=True) == NONE
    assert given_flags(program, a=True) == NONE, "no category is asked"
    assert given_flags(program, c=False) == NONE, "no route is asked"
    assert given_flags(program, c=True, a=False) == 0, "the other routes make no difference"


def test_an_earlier_run_does_not_matter_where_no_later_one_can_turn_the_cache_off() -> None:
    program = program_of(
        "category one { when c, similarity: 0.9 }\n"
        "route r priority 3 { when a to m }\n"
        "route s priority 2 { when b to m cache off }\n"
        "default route rest { to m }"
    )
    assert given_flags(program, c=True, b=False) == 0
    assert given_flags(program, c=True, b=True) == UNSETTLED
    assert given_flags(program, c=True, b=True, a=False) == NONE


def test_a_forced_category_that_would_apply_anyway_needs_no_route() -> None:
    program = program_of(
        "category one { when c, similarity: 0.9 }\ncategory two { when d, similarity: 0.8 }\n"
        "route r priority 2 { when a to m cache one }\ndefault route rest { to m }"
    )
    assert given_flags(program, c=True) == 0
    assert given_flags(program, a=True) == 0
    assert given_flags(program, a=False, c=False, d=True) == 1
    assert given_flags(program, c=False, d=True) == UNSETTLED


def test_only_live_routes_count() -> None:
    program = program_of(
        "category one { when c, similarity: 0.9 }\n"
        "route r priority 2 { when a and not a to m cache off }\ndefault route rest { to m }"
    )
    live = msgspec.structs.replace(program, plan=msgspec.structs.replace(program.plan, routes=(1,)))
    _, cases = cases_of(live)
    assert cases[0] == Case(program.categories[0].when, 0)


def test_the_last_case_always_holds_and_equal_nodes_are_one() -> None:
    program = program_of(
        "category one { when c, similarity: 0.9 }\n"
        "route r priority 2 { when a to m cache off }\ndefault route rest { to m }"
    )
    assert program.nodes[program.plan.cases[-1].when] == Node("const", value=True)
    assert len(set(program.nodes)) == len(program.nodes)


def alternating(changes: int) -> p.Policy:
    flags = "\n".join(f"f{at}: bool = false" for at in range(changes))
    routes = "\n".join(
        f"route r{at} priority {changes - at} {{ when f{at} to m "
        f"{'cache off' if (changes - at) % 2 else ''} }}"
        for at in range(changes)
    )
    return policy_of(
        f"policy x\nrequest {{ c: bool = false\n{flags} }}\nmodel m {{ provider: p }}\n"
        f"category one {{ when c, similarity: 0.9 }}\n{routes}\n"
        "default route rest { to m }"
    )


def test_routes_that_alternate_too_often_give_no_cases_and_no_nodes() -> None:
    assert len(prepared(alternating(DEEPEST)).plan.cases) == 2
    policy = alternating(DEEPEST + 1)
    assert cases_of(lower(policy, normaliser="n-1")) == (lower(policy, normaliser="n-1").nodes, ())


@pytest.mark.parametrize(
    "text",
    [
        "default route rest { to m }",
        "category one { when c, similarity: 0.9 }\ndefault route rest { to m cache off }",
    ],
)
def test_there_are_no_cases_where_no_category_can_apply(text: str) -> None:
    assert program_of(text).plan.cases == ()
