"""What the compiled path needs to know of a policy, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from routec.compiler.program import (
    STRUCTURE,
    Category,
    Field,
    Guard,
    Node,
    Signal,
    Vertex,
    structural,
)
from routec.runtime.engine.bounds import range_of
from routec.runtime.engine.cachekey import APART
from routec.runtime.engine.engine import Engine
from routec.runtime.events.attributes import default_of
from routec.runtime.events.body import MAY_BE_SILENT, ROLES
from routec.runtime.events.decode import Limits
from routec.runtime.events.request import READ_ROLES
from routec.runtime.native.templates import SCANNED, STAGE
from routec.runtime.selection import DEFAULT_OUTPUT
from routec.runtime.signals.scan import KINDS as TEXT_KINDS
from routec.runtime.signals.structure import clock
from routec.safety.text import normalise

Spec = dict[str, Any]

MOST_GUARDS = 60
"""Guards are bits of one number there."""

MOST_TOKEN_SIGNALS = 64
"""So are the numbers of tokens that were counted."""

MOST_ANSWER = 10**12
"""Tokens of an answer, beyond which sums with them might not be exact."""

MOST_DERIVED = 64
"""And the scores and bands that are known."""


def fits(engine: Engine) -> bool:
    """Whether the compiled path knows all that is special about a policy.

    It does not know fields from elsewhere than the attributes, and the index of policies of many
    routes.
    """
    program = engine.program
    return (
        engine.index is None
        and _decides_anything(engine)
        and engine.services.most_tokens is not None
        and len(program.guards) <= MOST_GUARDS
        and not any(field.path for field in program.fields)
        and all(signal.stage == STAGE for signal in program.signals if signal.kind in SCANNED)
        and sum(signal.stage == "derived" for signal in program.signals) <= MOST_DERIVED
        and sum(signal.kind == "tokens" for signal in program.signals) <= MOST_TOKEN_SIGNALS
    )


def _decides_anything(engine: Engine) -> bool:
    """Whether not every request needs a choice that is made elsewhere."""
    program = engine.program
    routes = range(len(program.routes))
    return bool(program.guards or program.categories) or any(
        _pick(engine, at) != "python" for at in routes
    )


def spec_of(engine: Engine, limits: Limits, normal: Callable[[str], str] = normalise) -> Spec:
    """The data of a policy that `fits`.

    Args:
        engine: decides by it.
        limits: how much of an event is read.
        normal: as `normalise`.
    """
    program, conditions = engine.program, engine.conditions
    fields = {field.name: at for at, field in enumerate(program.fields)}
    categories = {category.name: at for at, category in enumerate(program.categories)}
    semantic = frozenset[str]() if engine.desk is None else engine.desk.semantic
    plan = program.plan
    guards = [(guard.when, int(guard.reject is not None)) for guard in program.guards]
    live = plan.routes or range(len(program.routes))
    return {
        "bytes": limits.bytes,
        "depth": limits.depth,
        "loads": orjson.loads,
        "dumps": orjson.dumps,
        "scopes": tuple(
            (scope, scope not in READ_ROLES, READ_ROLES.get(scope)) for scope in engine.texts.scopes
        ),
        "bound": _bound(engine, normal),
        "count": _count(engine, normal),
        "fields": tuple(map(_field, program.fields)),
        "body": {"messages": limits.messages, "roles": ROLES, "silent": MAY_BE_SILENT},
        "key": {
            "reading": "" if engine.desk is None else engine.desk.reading,
            "apart": APART,
            "dumps_sorted": _dumps_sorted,
        },
        "variables": tuple(
            (
                variable.source == "field",
                (fields if variable.source == "field" else conditions.signals)[variable.name],
                variable.source == "signal"
                and _is_opaque(program.signals[conditions.signals[variable.name]]),
            )
            for variable in program.variables
        ),
        "nodes": tuple(map(_node, program.nodes)),
        "vertices": tuple(map(_vertex, plan.vertices)),
        "signals": _signals(engine),
        "actions": tuple(map(_action, program.guards)),
        "guards": _question(plan.guards, guards),
        "route": _question(plan.route, [(program.routes[at].when, at) for at in live]),
        "cases": _question(plan.category, [(case.when, case.category) for case in plan.cases])
        if plan.cases
        else None,
        "categories_question": _question(
            None, [(category.when, at) for at, category in enumerate(program.categories)]
        ),
        "categories": tuple(_category(one, fields, semantic) for one in program.categories),
        "routes": tuple(
            _route(engine, at, fields, categories) for at in range(len(program.routes))
        ),
    }


def _dumps_sorted(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _bound(engine: Engine, normal: Callable[[str], str]) -> Callable[[int, str | None], float]:
    bound = engine.services.most_tokens
    assert bound is not None

    def most_tokens(characters: int, text: str | None) -> float:
        """Of ASCII text with so many characters, or else of the text."""
        return bound(characters, True) if text is None else bound(len(normal(text)), False)

    return most_tokens


def _count(engine: Engine, normal: Callable[[str], str]) -> Callable[[str], int]:
    tokens = engine.services.tokens
    return lambda text: tokens(normal(text))


def _field(field: Field) -> tuple[Any, ...]:
    members: frozenset[str] | None = frozenset(field.members)
    if field.type == "string":
        members = None
    return field.name, field.type, members, default_of(field)


def _is_opaque(signal: Signal) -> bool:
    """Whether a variable of a signal is a part of its value."""
    return signal.kind in ("classifier", "language")


def _node(node: Node) -> tuple[Any, ...]:
    value = node.value
    if node.op in ("lt", "le", "gt", "ge", "eq"):
        value = float(value or 0)
    return node.op, _index(node.variable), value, node.of


def _vertex(vertex: Vertex) -> tuple[Any, ...]:
    return (
        vertex.kind,
        vertex.to,
        _index(vertex.node),
        _index(vertex.variable),
        _index(vertex.guard),
        _index(vertex.outcome),
        vertex.labels,
        vertex.bounds,
        vertex.inclusive,
    )


def _index(at: int | None) -> int:
    return -1 if at is None else at


def _signals(engine: Engine) -> tuple[Spec, ...]:
    program, conditions, scopes = engine.program, engine.conditions, engine.texts.scopes
    made, tokens, derived, read = [], 0, 0, structural(program)
    for at, signal in enumerate(program.signals):
        low, high = range_of(signal)
        is_derived = signal.stage == "derived"
        made.append(
            {
                # What nothing reads is not read off.
                "kind": "unread" if signal.kind in STRUCTURE and at not in read else signal.kind,
                "tokens": signal.kind == "tokens",
                "ordinal": tokens if signal.kind == "tokens" else -1,
                "turn": conditions.turn[at],
                "rank": conditions.rank[at],
                "low": low,
                "high": high,
                "reader": clock(signal),
                "scope": scopes.index(signal.scope) if signal.kind in TEXT_KINDS else -1,
                "derived": derived if is_derived else -1,
                "constant": float(signal.constant),
                "summands": tuple(
                    (float(part.coefficient), _index(part.variable), _index(part.node))
                    for part in signal.summands
                ),
                "source": _index(signal.source),
                "bands": tuple((band.name, band.bound, band.inclusive) for band in signal.bands),
            }
        )
        tokens += signal.kind == "tokens"
        derived += is_derived
    return tuple(made)


def _action(guard: Guard) -> tuple[bool, bool]:
    return guard.reject is not None, bool(guard.redact)


def _question(root: int | None, cases: Sequence[tuple[int, int]]) -> Spec:
    return {"root": _index(root), "cases": tuple(cases), "otherwise": -1}


def _category(
    category: Category, fields: dict[str, int], semantic: frozenset[str]
) -> tuple[str, int, str, bool]:
    field = category.scope
    scope, begin = (-1, "") if field is None else (fields[field], f"{field}=")
    return category.name, scope, begin, category.name in semantic


def _route(engine: Engine, at: int, fields: dict[str, int], categories: dict[str, int]) -> Spec:
    route, selector = engine.program.routes[at], engine.selectors[at]
    always, weights = selector.always(), selector.weights(selector.all)
    prices = selector.prices()
    limit = route.parameters.get("max_tokens")
    known = isinstance(limit, int) and not isinstance(limit, bool)
    return {
        "automatic": route.cache == "auto",
        "category": -1 if route.category is None else categories[route.category],
        "pick": _pick(engine, at),
        "always": _index(always),
        "weights": tuple(weights or ()),
        "total": float(sum(weights or ())),
        "salt": f"{selector.salt}\0",
        "sticky": -1 if route.sticky is None else fields[route.sticky],
        "prices": tuple(prices or ()),
        "usual": float(DEFAULT_OUTPUT),
        "least": selector.least,
        "own": "max_tokens" in route.parameters,
        # A limit that is no number is none.
        "limit": limit if known else -1,
    }


def _pick(engine: Engine, at: int) -> str:
    """How the model of a route is chosen: ``fixed``, ``drawn``, ``cheapest``, or in ``python``."""
    route, selector = engine.program.routes[at], engine.selectors[at]
    limit = route.parameters.get("max_tokens")
    if route.shadow is not None or (isinstance(limit, int) and not 0 <= limit <= MOST_ANSWER):
        return "python"
    if selector.always() is not None:
        return "fixed"
    if selector.weights(selector.all) is not None:
        return "drawn"
    return "python" if selector.prices() is None else "cheapest"
