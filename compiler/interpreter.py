"""The reference interpreter: what a policy decides, in the order of meaning, everything evaluated.

It is the oracle of every optimised path, so it is written to be obviously
right and shares no code with them. Speed is no concern here.
`docs/semantics.md` says the same in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import assert_never

from routec.compiler import policy as p
from routec.compiler.expr import (
    And,
    Compare,
    Const,
    Contains,
    Empty,
    Equals,
    Expr,
    Not,
    Or,
    Truth,
    Variable,
)
from routec.compiler.types import Plain, Scores, Value

EXPECTED_OUTPUT = 500
"""Tokens of an answer where no `max_tokens` is in force."""

STICKY_INPUT = 1000
"""Tokens of the request by which sticky routes rank costs."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a decision is made about.

    Attributes:
        id: the request's id, key of all draws.
        attributes: value of each field; defaults are filled in by `decide`.
        tokens: tokens of all messages.
        max_tokens: what the request itself allows for the answer; ``None`` where it says nothing.
    """

    id: str
    attributes: Mapping[str, Plain]
    tokens: int = 0
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision depends on beside the request.

    Attributes:
        cached: what the cache of this category would answer; ``None`` for a miss.
        latencies: observed latency of models, seconds.
        turn: how often the chosen route was taken before, for ``round_robin``.
    """

    cached: Callable[[str], str | None] = lambda category: None
    latencies: Mapping[str, float] = field(default_factory=dict)
    turn: Callable[[str], int] = lambda route: 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided.

    Attributes:
        outcome: ``route``, ``cached`` or ``reject``.
        guard: the guard that rejected; ``None`` also for a context overflow.
        status: HTTP status of a rejection.
        reason: machine-readable reason of a rejection.
        route: the route taken; of a cached one the route it would take, which a decision event
            does not name and which does nothing; ``None`` for a rejection.
        category: the category whose terms apply.
        entry: the cache entry that answers.
        model: the model chosen.
        fallbacks: the retry plan.
        by: how the model was chosen.
        candidates: what it was chosen from, after passing over.
        propensity: probability with which it was drawn.
        parameters: request parameters to set.
        shadow: model to duplicate the request to.
        redacted: entity signals whose spans are masked.
        tags: annotations, unique, in order.
        headers: annotations; of two values the later.
        overflow: whether every model was too small.
    """

    outcome: str
    guard: str | None = None
    status: int | None = None
    reason: str | None = None
    route: str | None = None
    category: str | None = None
    entry: str | None = None
    model: str | None = None
    fallbacks: tuple[str, ...] = ()
    by: str | None = None
    candidates: tuple[str, ...] = ()
    propensity: float = 1.0
    parameters: Mapping[str, p.Parameter] = field(default_factory=dict)
    shadow: str | None = None
    redacted: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    overflow: bool = False


def decide(
    policy: p.Policy,
    request: Request,
    signals: Mapping[str, Value],
    circumstances: Circumstances | None = None,
) -> Decision:
    """Decide one request.

    Args:
        policy: a policy without errors.
        request: the request; its attributes are of their fields' types.
        signals: a value for every signal that is not derived; one for a derived signal
            replaces what it would be computed as.
        circumstances: cache, latencies and turns; an empty cache by default.

    Raises:
        KeyError: if a required attribute or the value of a signal is missing.
    """
    circumstances = circumstances or Circumstances()
    values = all_values(policy, request, signals)

    def holds(condition: p.Condition) -> bool:
        return evaluate(condition.expr, values)

    tags: dict[str, None] = {}
    headers: dict[str, str] = {}
    redacted: dict[str, None] = {}

    # 1. Guards, up to the first that rejects.
    for guard in policy.guards:
        if not holds(guard.when):
            continue
        redacted.update(dict.fromkeys(guard.redact))
        tags.update(dict.fromkeys(guard.tags))
        headers.update(guard.headers)
        if guard.reject is not None:
            return Decision(
                "reject",
                guard=guard.name,
                status=guard.reject.status,
                reason=guard.reject.reason,
                redacted=tuple(redacted),
                tags=tuple(tags),
                headers=headers,
            )

    # 2. and 3. The first category and the first route that hold.
    category = next((c.name for c in policy.categories if holds(c.when)), None)
    route = next(r for r in policy.routes if holds(r.when))
    if route.cache is False:
        category = None
    elif isinstance(route.cache, str):
        category = route.cache

    # 5. The cache.
    entry = None if category is None else circumstances.cached(category)
    if entry is not None:
        return Decision(
            "cached",
            route=route.name,
            category=category,
            entry=entry,
            redacted=tuple(redacted),
            tags=tuple(tags),
            headers=headers,
        )

    # 6. The target.
    tags.update(dict.fromkeys(route.tags))
    headers.update(route.headers)
    decision = Decision(
        "route",
        route=route.name,
        category=category,
        parameters=dict(route.parameters),
        redacted=tuple(redacted),
        tags=tuple(tags),
        headers=headers,
    )
    return _target(policy, route, request, values, circumstances, decision)


# --- values ---------------------------------------------------------------------


def all_values(
    policy: p.Policy, request: Request, signals: Mapping[str, Value]
) -> dict[str, Value]:
    """The value of every field and signal, derived ones included."""
    values: dict[str, Value] = {}
    for name, declared in policy.fields.items():
        if name in request.attributes:
            values[name] = request.attributes[name]
        elif declared.default is not None:
            values[name] = declared.default
        else:
            raise KeyError(name)
    for name, signal in policy.signals.items():
        if name in signals:
            values[name] = signals[name]
        elif isinstance(signal.definition, p.Score):
            values[name] = _score(signal.definition, values)
        elif isinstance(signal.definition, p.Bands):
            values[name] = _band(signal.definition, values)
        else:
            raise KeyError(name)
    return values


def _score(score: p.Score, values: Mapping[str, Value]) -> float:
    total = float(score.constant)
    for summand in score.summands:
        if summand.variable is not None:
            value = float(_number(summand.variable, values))
        else:
            assert summand.condition is not None
            value = float(evaluate(summand.condition, values))
        total += float(summand.coefficient) * value
    return round(total, 12)


def _band(bands: p.Bands, values: Mapping[str, Value]) -> str:
    value = _number(bands.variable, values)
    for band in bands.bands:
        if band.bound is None or value < float(band.bound):
            return band.name
        if band.inclusive and value == float(band.bound):
            return band.name
    raise AssertionError("the last band has no bound")


def read(variable: Variable, values: Mapping[str, Value]) -> Plain:
    """What a variable reads: a classifier's label, one of its scores, or the value itself."""
    value = values[variable.name]
    if isinstance(value, Scores):
        return value.label if variable.member is None else value.scores[variable.member]
    return value


def _number(variable: Variable, values: Mapping[str, Value]) -> int | float:
    value = read(variable, values)
    assert isinstance(value, int | float)
    return value


# --- conditions -----------------------------------------------------------------


def evaluate(expr: Expr, values: Mapping[str, Value]) -> bool:
    """Whether a condition holds of these values."""
    match expr:
        case Const(value=value):
            return value
        case Truth(variable=variable):
            return read(variable, values) is True
        case Compare(variable=variable, op=op, value=constant):
            left, right = _number(variable, values), float(constant)
            match op:
                case "<":
                    return left < right
                case "<=":
                    return left <= right
                case ">":
                    return left > right
                case ">=":
                    return left >= right
                case "==":
                    return left == right
        case Equals(variable=variable, value=text):
            return read(variable, values) == text
        case Contains(variable=variable, value=text):
            return text in _set(variable, values)
        case Empty(variable=variable):
            return not _set(variable, values)
        case Not(operand=operand):
            return not evaluate(operand, values)
        case And(operands=operands):
            return all(evaluate(operand, values) for operand in operands)
        case Or(operands=operands):
            return any(evaluate(operand, values) for operand in operands)
        case _:
            assert_never(expr)


def _set(variable: Variable, values: Mapping[str, Value]) -> frozenset[str]:
    value = read(variable, values)
    assert isinstance(value, frozenset)
    return value


# --- the target -----------------------------------------------------------------


def draw(salt: str, key: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    import hashlib  # its cryptographic library is slow to load, and few policies draw

    digest = hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _target(
    policy: p.Policy,
    route: p.Route,
    request: Request,
    values: Mapping[str, Value],
    circumstances: Circumstances,
    decision: Decision,
) -> Decision:
    limit = dict(route.parameters).get("max_tokens", request.max_tokens)
    answer = limit if isinstance(limit, int) and not isinstance(limit, bool) else None

    def fits(name: str) -> bool:
        context = policy.models[name].context
        return context is None or request.tokens + (answer or 0) <= context

    candidates = tuple(name for name in route.selection.candidates if fits(name))
    fallbacks = tuple(name for name in route.fallbacks if fits(name))
    if not candidates and not fallbacks:
        return Decision(
            "reject",
            status=413,
            reason="context_overflow",
            redacted=decision.redacted,
            tags=decision.tags,
            headers=decision.headers,
            overflow=True,
        )
    if not candidates:
        model, propensity, by = fallbacks[0], 1.0, "fallback"
    else:
        by = route.selection.by
        model, propensity = _select(
            policy, route, candidates, request, answer, values, circumstances
        )
    shadow: str | None = None
    if route.shadow is not None and draw(f"shadow:{route.name}", request.id) < float(
        route.shadow[1]
    ):
        shadow = route.shadow[0]
    return replace(
        decision,
        model=model,
        fallbacks=tuple(dict.fromkeys(name for name in fallbacks if name != model)),
        by=by,
        candidates=candidates,
        propensity=propensity,
        shadow=shadow,
    )


def _select(
    policy: p.Policy,
    route: p.Route,
    candidates: tuple[str, ...],
    request: Request,
    answer: int | None,
    values: Mapping[str, Value],
    circumstances: Circumstances,
) -> tuple[str, float]:
    """The model and the probability with which it was drawn."""
    selection = route.selection
    sticky = route.sticky is not None
    key = request.id if route.sticky is None else key_text(values[route.sticky])
    if selection.by == "only":
        return candidates[0], 1.0
    if selection.by == "weighted" or (selection.by == "round_robin" and sticky):
        shares = [1.0] * len(selection.candidates)
        if selection.by == "weighted" and selection.weights:
            shares = [float(weight) for weight in selection.weights]
        left = [
            (name, share)
            for name, share in zip(selection.candidates, shares, strict=True)
            if name in candidates
        ]
        total = sum(share for _, share in left)
        point = draw(f"select:{route.name}", key) * total
        for name, share in left:
            if point < share:
                return name, share / total
            point -= share
        return left[-1][0], left[-1][1] / total
    if selection.by == "round_robin":
        return candidates[circumstances.turn(route.name) % len(candidates)], 1.0

    tokens = STICKY_INPUT if sticky else request.tokens
    expected = EXPECTED_OUTPUT if sticky or answer is None else answer
    latencies = {} if sticky else circumstances.latencies

    def cost(name: str) -> float:
        model = policy.models[name]
        if model.input is None or model.output is None:
            return float("inf")
        return float(model.input) * tokens + float(model.output) * expected

    def latency(name: str) -> float:
        declared = policy.models[name].latency
        return latencies.get(name, float("inf") if declared is None else float(declared))

    def quality(name: str) -> float:
        return float(policy.models[name].quality or 0)

    match selection.by:
        case "cost":
            return min(candidates, key=cost), 1.0
        case "latency":
            return min(candidates, key=latency), 1.0
        case "quality":
            return max(candidates, key=quality), 1.0
        case "balanced":
            half = Decimal("0.5")
            weights = dict(selection.args) or {"quality": half, "cost": half}
            good = _scaled({name: quality(name) for name in candidates})
            dear = _scaled({name: cost(name) for name in candidates})
            slow = _scaled({name: latency(name) for name in candidates})
            return max(
                candidates,
                key=lambda name: round(
                    float(weights.get("quality", 0)) * good[name]
                    - float(weights.get("cost", 0)) * dear[name]
                    - float(weights.get("latency", 0)) * slow[name],
                    12,
                ),
            ), 1.0
    raise ValueError(f"`{selection.by}` is not available")


def _scaled(figures: Mapping[str, float]) -> dict[str, float]:
    """Figures scaled to 0..1; an infinite one counts as the greatest finite one."""
    finite = [figure for figure in figures.values() if figure != float("inf")]
    if not finite:
        return dict.fromkeys(figures, 0.0)
    least, most = min(finite), max(finite)
    if least == most:
        return dict.fromkeys(figures, 0.0)
    return {name: (min(figure, most) - least) / (most - least) for name, figure in figures.items()}


def key_text(value: Value) -> str:
    """A field's value as the key of a draw: as JSON writes it, strings without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
