"""Programs with diagrams, random values, and an obvious walker: nothing shared with the planner."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from routec.compiler import check_bytes
from routec.compiler import policy as p
from routec.compiler.expr import Compare
from routec.compiler.interpreter import Request, all_values, decide, evaluate
from routec.compiler.lower import lower
from routec.compiler.plan.cases import cases_of
from routec.compiler.plan.diagram import Diagrams, build
from routec.compiler.plan.implications import implications
from routec.compiler.program import Node, Plan, Program, Vertex
from routec.compiler.types import Kind, Plain, Scores, Type, Value


def policy_of(text: str) -> p.Policy:
    """The policy of a text without errors."""
    checked = check_bytes("p.route", text.encode())
    assert checked.policy is not None, [f.message for f in checked.findings]
    return checked.policy


def prepared(policy: p.Policy, order: Sequence[int] = ()) -> Program:
    """A program with the cases of its categories, and an order of signals."""
    program = lower(policy, normaliser="n-1")
    nodes, cases = cases_of(program)
    plan = Plan(order=tuple(order), cases=cases)
    return msgspec.structs.replace(program, nodes=nodes, plan=plan)


def with_diagrams(
    policy: p.Policy, order: Sequence[int] = (), limit: int = 5000, forget: bool = False
) -> tuple[Program, Diagrams]:
    """A program and its diagrams, and both together as one program."""
    program = prepared(policy, order)
    made = build(program, implications(policy, program), limit, forget=forget)
    plan = msgspec.structs.replace(
        program.plan,
        vertices=made.vertices,
        guards=made.guards,
        category=made.category,
        route=made.route,
    )
    return msgspec.structs.replace(program, plan=plan), made


# --- values -------------------------------------------------------------------------


def random_values(policy: p.Policy, draw: random.Random) -> dict[str, Value]:
    """Values of all fields and signals, many of them at the constants of the conditions."""
    constants = _constants(policy)

    def plain(name: str, type_: Type) -> Plain:
        match type_.kind:
            case Kind.BOOL:
                return draw.random() < 0.5
            case Kind.STRING:
                return draw.choice(("acme", "globex", "umbrella", ""))
            case Kind.ENUM:
                return draw.choice(type_.members[:10])
            case Kind.SET:
                members = type_.members or ("x", "y")
                return frozenset(m for m in members if draw.random() < 0.5)
        low = -5.0 if type_.low is None else float(type_.low)
        high = 5000.0 if type_.high is None else float(type_.high)
        found = draw.uniform(low, high)
        near = constants.get(name, [])
        if near and draw.random() < 0.8:
            at = draw.choice(near)
            found = draw.choice((at, math.nextafter(at, -1e9), math.nextafter(at, 1e9)))
            if type_.kind is Kind.INT:
                found = math.floor(found) + draw.choice((-1, 0, 1))
            found = min(max(found, low), high)
        return int(found) if type_.kind is Kind.INT else found

    signals: dict[str, Value] = {}
    for name, signal in policy.signals.items():
        if isinstance(signal.definition, p.Classifier):
            signals[name] = random_scores(signal.definition, draw)
        elif signal.kind == "language":
            code = draw.choice(("de", "en", "und"))
            signals[name] = Scores(code, {"confidence": draw.choice((0.0, 0.6, 0.59, 1.0))})
        elif signal.stage is not p.Stage.DERIVED:
            signals[name] = plain(name, signal.type)
    attributes = {name: plain(name, field.type) for name, field in policy.fields.items()}
    return all_values(policy, Request("r", attributes), signals)


def random_scores(definition: p.Classifier, draw: random.Random) -> Scores:
    """An answer as classifiers give it: exclusive scores add up to 1, but for some noise."""
    raw = [draw.choice((0.0, 0.2, 0.3, 0.5, 0.7, 0.9, draw.random())) for _ in definition.labels]
    if definition.exclusive:
        first = draw.choice(raw)
        left = max(1 - first, 0.0)
        rest = [draw.random() ** 3 for _ in raw[1:]]
        raw = [first, *(left * x / sum(rest) for x in rest)]
        draw.shuffle(raw)
        raw = [min(max(x + draw.uniform(-3e-7, 3e-7), 0.0), 1.0) for x in raw]
    found = dict(zip(definition.labels, raw, strict=True))
    return Scores(max(definition.labels, key=found.__getitem__), found)


def _constants(policy: p.Policy) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for expr in policy.table:
        if isinstance(expr, Compare):
            found.setdefault(expr.variable.name, []).append(float(expr.value))
    return found


def value_of(program: Program, variable: int, values: Mapping[str, Value]) -> Plain:
    """What a variable of a program is."""
    read = program.variables[variable]
    value = values[read.name]
    if isinstance(value, Scores):
        return value.label if read.member is None else value.scores[read.member]
    return value


def atom_holds(node: Node, value: Plain) -> bool:
    """Whether an atom holds of its variable's value."""
    match node.op:
        case "truth":
            return value is True
        case "is":
            return value == node.value
        case "has":
            assert isinstance(value, frozenset)
            return node.value in value
        case "empty":
            return not value
    assert isinstance(value, int | float)
    assert isinstance(node.value, int | float)
    match node.op:
        case "lt":
            return value < node.value
        case "le":
            return value <= node.value
        case "gt":
            return value > node.value
        case "ge":
            return value >= node.value
        case _:
            assert node.op == "eq"
            return value == node.value


def node_holds(program: Program, at: int, values: Mapping[str, Value]) -> bool:
    """Whether a condition holds."""
    node = program.nodes[at]
    match node.op:
        case "const":
            return node.value is True
        case "not":
            return not node_holds(program, node.of[0], values)
        case "and":
            return all(node_holds(program, i, values) for i in node.of)
        case "or":
            return any(node_holds(program, i, values) for i in node.of)
    assert node.variable is not None
    return atom_holds(node, value_of(program, node.variable, values))


# --- what the interpreter says --------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """What decides: guards that act without rejecting, the one that rejects, category, route."""

    acting: tuple[int, ...]
    rejecting: int
    category: int
    route: int


def interpreted(policy: p.Policy, values: Mapping[str, Value]) -> Answers:
    """The answers of the reference interpreter, all routes admitted."""
    acting: list[int] = []
    rejecting = -1
    for at, guard in enumerate(policy.guards):
        if evaluate(guard.when.expr, values):
            if guard.reject is not None:
                rejecting = at
                break
            acting.append(at)
    attributes = {name: values[name] for name in policy.fields}
    signals = {name: values[name] for name in policy.signals}
    decided = decide(replace(policy, guards=()), Request("r", attributes, 0, 0), signals)
    categories = [c.name for c in policy.categories]
    category = -1 if decided.category is None else categories.index(decided.category)
    return Answers(
        tuple(acting), rejecting, category, [r.name for r in policy.routes].index(decided.route)
    )


# --- the walker -----------------------------------------------------------------------


def takes(program: Program, vertex: Vertex, value: Plain) -> int:
    """Which target of a vertex a value of its variable goes to: an index into `Vertex.to`."""
    match vertex.kind:
        case "test":
            assert vertex.node is not None
            return int(atom_holds(program.nodes[vertex.node], value))
        case "switch":
            return vertex.labels.index(value) if value in vertex.labels else len(vertex.labels)
        case _:
            assert vertex.kind == "bisect"
            assert isinstance(value, int | float)
            for at, (bound, inclusive) in enumerate(
                zip(vertex.bounds, vertex.inclusive, strict=True)
            ):
                if value < bound or (inclusive and value == bound):
                    return at
            return len(vertex.bounds)


def variable_of(program: Program, vertex: Vertex) -> int | None:
    """The variable that a vertex asks for; ``None`` if it asks for none."""
    if vertex.kind == "test":
        assert vertex.node is not None
        return program.nodes[vertex.node].variable
    return vertex.variable


def path(program: Program, root: int, values: Mapping[str, Value]) -> list[int]:
    """The vertices from a root to a leaf."""
    found = [root]
    while (vertex := program.plan.vertices[found[-1]]).kind != "leaf":
        variable = variable_of(program, vertex)
        at = 0
        if variable is not None:
            at = takes(program, vertex, value_of(program, variable, values))
        found.append(vertex.to[at])
    return found


def walked(program: Program, values: Mapping[str, Value]) -> Answers:
    """The answers of the diagrams; without a category's diagram the category is -2."""
    plan = program.plan
    vertices = plan.vertices
    assert plan.guards is not None
    assert plan.route is not None
    guards = [vertices[at] for at in path(program, plan.guards, values)]
    category = -2
    if plan.category is not None:
        category = vertices[path(program, plan.category, values)[-1]].outcome or 0
    return Answers(
        tuple(v.guard for v in guards if v.guard is not None),
        -1 if guards[-1].outcome is None else guards[-1].outcome,
        category,
        vertices[path(program, plan.route, values)[-1]].outcome or 0,
    )


def samples(program: Program, variable: int) -> list[Plain]:
    """Values that tell all atoms of a variable apart."""
    nodes = [n for n in program.nodes if n.variable == variable]
    match program.variables[variable].type:
        case "bool":
            return [False, True]
        case "set":
            names = [*sorted({str(n.value) for n in nodes if n.op == "has"}), "\x00"]
            return [
                frozenset(some)
                for size in range(len(names) + 1)
                for some in itertools.combinations(names, size)
            ]
        case "string" | "enum":
            return [*sorted({str(n.value) for n in nodes}), "\0"]
        case "int":
            near = {int(float(n.value)) for n in nodes if isinstance(n.value, int | float)}
            return sorted({n + d for n in near for d in (-1, 0, 1)})
        case _:
            floats = {float(n.value) for n in nodes if isinstance(n.value, int | float)}
            found = {math.nextafter(x, way) for x in floats for way in (-math.inf, math.inf)}
            return sorted(found | floats)
