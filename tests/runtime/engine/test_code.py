"""Generated code computes what the interpreted conditions compute, and nothing else."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.compiler.lower import lower
from routec.compiler.program import (
    SCHEMA,
    Band,
    Case,
    Category,
    Field,
    Guard,
    Model,
    Node,
    Plan,
    Program,
    ProgramError,
    Rejection,
    Route,
    Signal,
    Summand,
    Variable,
    Vertex,
)
from routec.runtime.engine import Engine
from routec.runtime.engine.code import Code
from routec.runtime.engine.conditions import Conditions
from routec.runtime.signals.values import pinned
from routec.runtime.signals.work import UNKNOWN, NotKnown, Work
from routec.safety.text import NORMALISER_VERSION
from tests.compiler.policies import policies, requests, signal_values
from tests.runtime.doubles import ask, services
from tests.runtime.engine.test_against_interpreter import with_defaults

HOSTILE = st.one_of(
    st.sampled_from(
        (
            '"); import os; os.system("true") #',
            "__import__('os')",
            "'] or 1/0 or w['",
            "\n    raise SystemExit\n",
            "\\",
            "'''",
            '"""',
            "U",
            "w",
            "__builtins__",
            "{x}",
            "\u202e\ud83d\ude00",
        )
    ),
    st.text(max_size=8),
)


@st.composite
def hostile_programs(draw: st.DrawFn) -> Program:
    """Programs of every kind of part, in which every text of a policy is hostile."""
    names = draw(st.lists(HOSTILE, min_size=9, max_size=9, unique=True))
    field, tokens, topic, flag, grade, level, kinds, low, high = names
    label, other = draw(st.lists(HOSTILE, min_size=2, max_size=2, unique=True))
    variables = (
        Variable("field", field, "enum"),
        Variable("signal", tokens, "int"),
        Variable("signal", topic, "enum"),
        Variable("signal", topic, "float", label),
        Variable("signal", flag, "bool"),
        Variable("signal", grade, "float"),
        Variable("signal", level, "enum"),
        Variable("signal", kinds, "set"),
    )
    nodes = (
        Node("is", 0, label),
        Node("gt", 1, 10),
        Node("is", 2, other),
        Node("ge", 3, 0.5),
        Node("truth", 4),
        Node("lt", 5, 0.25),
        Node("is", 6, low),
        Node("has", 7, label),
        Node("empty", 7),
        Node("or", of=(0, 1, 2)),
        Node("and", of=(3, 4, 5)),
        Node("not", of=(6,)),
        Node("or", of=(7, 8, 11)),
        Node("const", value=True),
    )
    signals = (
        Signal(tokens, "tokens", "light", "int"),
        Signal(topic, "classifier", "model", "enum", labels=(label, other), backend=label),
        Signal(flag, "keyword", "scan", "bool", phrases=("x",)),
        Signal(kinds, "entities", "light", "set", kinds=("email",)),
        Signal(
            grade,
            "score",
            "derived",
            "float",
            constant=0.1,
            summands=(Summand(0.3, variable=3), Summand(-0.2, node=4)),
        ),
        Signal(level, "bands", "derived", "enum", source=5, bands=(Band(low, 0.2), Band(high))),
    )
    switch = Vertex(
        "switch", (0, 1, 0, 1, 0), variable=2, labels=(label, other, low + "1", high + "2")
    )
    vertices = (
        Vertex("leaf", outcome=0),
        Vertex("leaf", outcome=1),
        switch,
        Vertex("bisect", (2, 0), variable=5, bounds=(0.25,), inclusive=(True,)),
        Vertex("test", (2, 3), node=0),
    )
    planned = draw(st.booleans())
    return Program(
        schema=SCHEMA,
        name=label,
        text=other,
        normaliser=NORMALISER_VERSION,
        embedder=None,
        fields=(Field(field, "enum", (label, other)),),
        variables=variables,
        nodes=nodes,
        signals=signals,
        models=(Model(label, other),),
        categories=(Category(name=low, when=12),),
        guards=(Guard(high, 10, Rejection(403, label), tags=(other,), headers=((low, high),)),),
        routes=(Route(label, 9, "only", (label,)), Route(other, 13, "only", (label,))),
        plan=Plan(
            cases=(Case(12, 0), Case(13, -1)), vertices=vertices, route=4 if planned else None
        ),
    )


def parts_of(program: Program) -> tuple[Code, Conditions, list[Callable[..., Any]]]:
    """The generated functions of a program."""
    conditions = Conditions(program)
    code = Code(program, conditions.signals, conditions.turn)
    functions: list[Callable[..., Any]] = [
        code.first([(route.when, at) for at, route in enumerate(program.routes)]),
        code.acting([(guard.when, guard.reject is not None) for guard in program.guards]),
        code.reading(range(len(program.variables))),
        *code.conditions(range(len(program.nodes))),
    ]
    if program.plan.route is not None:
        functions.append(code.diagram(program.plan.route))
    return code, conditions, functions


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


@settings(max_examples=200, deadline=None)
@given(hostile_programs())
def test_no_text_of_a_policy_becomes_code(program: Program) -> None:
    _, _, functions = parts_of(program)
    seen: set[str] = set()
    reached = list(functions)
    while reached:
        function = reached.pop()
        assert set(function.__globals__["__builtins__"]) == set()
        for part in codes(function.__code__):
            assert set(part.co_varnames) <= {"w", "a", "s", "x"}
            for name in part.co_names:
                if name in seen:
                    continue
                seen.add(name)
                if name in ("U", "round", "scores", "label", "get"):
                    continue
                # Everything else is a name that a number makes, of a function or a table.
                assert name.rstrip("0123456789") in ("d", "n", "v1_", "v1_t")
                made = function.__globals__[name]
                if callable(made):
                    reached.append(made)
                else:
                    reached += made.values()


def test_what_runs_cannot_reach_builtins() -> None:
    program = lower_of("default route r { to m }")
    _, _, functions = parts_of(program)
    space = functions[0].__globals__
    assert not set(space) & (set(dir(builtins)) - {"round", "__builtins__"})


def lower_of(text: str) -> Program:
    from tests.runtime.doubles import program

    return program("model m { provider: vllm }\n" + text)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_generated_conditions_hold_when_interpreted_ones_do(data: st.DataObject) -> None:
    made = data.draw(policies())
    program = lower(made.policy, normaliser=NORMALISER_VERSION)
    code, conditions, _ = parts_of(program)
    tests = code.conditions(range(len(program.nodes)))
    request = with_defaults(made, data.draw(requests(made.policy)))
    given_values = data.draw(signal_values(made.policy))
    known = data.draw(st.sets(st.sampled_from(sorted(given_values) or [""])))
    for partly in (False, True):
        values: list[Any] = [UNKNOWN] * code.places
        for at, signal in enumerate(program.signals):
            if signal.name in given_values and not (partly and signal.name not in known):
                values[at] = pinned(signal, given_values[signal.name])
        for node, test in enumerate(tests):
            interpreted = conditions.nodes[node](Work(request, values.copy()))
            try:
                held = bool(test(values.copy(), request.attributes))
            except NotKnown:
                # Without everything it may give up, but where it answers, it is right.
                assert partly
                continue
            assert held is interpreted


def test_a_value_that_is_not_known_refuses_every_use() -> None:
    uses: list[Callable[[Any], object]] = [
        bool,
        len,
        hash,
        lambda u: u == 1,
        lambda u: u != 1,
        lambda u: u < 1,
        lambda u: u >= 1,
        lambda u: "x" in u,
        lambda u: u.scores,
        lambda u: 0.5 * u,
        lambda u: 1.0 + u,
        lambda u: {}.get(u),
    ]
    for use in uses:
        with pytest.raises(NotKnown):
            use(UNKNOWN)


def test_conditions_that_share_parts_do_not_explode() -> None:
    """Each `let` uses the one before twice: written out, the last would have 2^60 atoms."""
    lines = ['signal k = keyword("x")', "request { a: bool = false  b: bool = false }"]
    lines.append("let c0 = (k and a) or (k and b) or (a and b)")
    lines += [
        f"let c{at} = (c{at - 1} and a) or (c{at - 1} and b) or (k and a)" for at in range(1, 60)
    ]
    lines.append("route r { when c59 to m }\ndefault route rest { to m }")
    engine = Engine(lower_of("\n".join(lines)), services())
    attributes = {"a": True, "b": False}

    async def decided() -> str | None:
        [decision] = await engine.decide([ask("x", attributes=attributes)])
        return decision.route

    import asyncio

    assert asyncio.run(decided()) == "r"


def test_conditions_too_deep_to_compile_are_refused() -> None:
    depth = 5000
    nodes = [Node("truth", 0), *(Node("not", of=(at,)) for at in range(depth))]
    nodes.append(Node("const", value=True))
    program = Program(
        schema=SCHEMA,
        name="deep",
        text="",
        normaliser=NORMALISER_VERSION,
        embedder=None,
        fields=(Field("a", "bool"),),
        variables=(Variable("field", "a", "bool"),),
        nodes=tuple(nodes),
        signals=(),
        models=(Model("m", "m"),),
        categories=(),
        guards=(),
        routes=(Route("r", depth, "only", ("m",)), Route("rest", depth + 1, "only", ("m",))),
    )
    with pytest.raises(ProgramError, match="deep"):
        Engine(program, services())
