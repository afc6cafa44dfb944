"""The smallest change of one value that changes a decision, found by deciding again.

Only values that some condition tells apart are tried: thresholds just crossed, other members of
an enum, other labels, flipped booleans, set members added or taken away. Every change that is
reported was decided by the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from routec.cli.describe import value_text
from routec.cli.offline import Answer, Offline
from routec.compiler.policy import Policy
from routec.compiler.program import Program, Signal, Variable
from routec.runtime.events.decision import Decision
from routec.runtime.events.request import FieldValue, Request
from routec.runtime.signals.values import Scores

STEP = 1e-6
"""How far beyond a threshold a changed float lies."""
MOST = 2000
"""Most changes that are tried, the smallest first."""

_RANGES = {
    "similarity": (-1.0, 1.0),
    "contrast": (-2.0, 2.0),
    "classifier": (0.0, 1.0),
    "language": (0.0, 1.0),
    "hour": (0.0, 23.0),
    "tokens": (0.0, float("inf")),
    "turns": (0.0, float("inf")),
}
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class Flip:
    """A change and what is decided then.

    Attributes:
        change: such as ``refund from 0.91 to 0.799999``.
        outcome: such as ``route general``.
        distance: 0 to 1 of what the value can change by; relative for unbounded numbers.
    """

    change: str
    outcome: str
    distance: float


@dataclass(frozen=True, slots=True)
class _Change:
    variable: Variable
    old: object
    new: object
    distance: float

    @property
    def text(self) -> str:
        member = self.variable.member
        name = self.variable.name + (f".{member}" if member is not None else "")
        return f"{name} from {_shown(self.old)} to {_shown(self.new)}"


def outcome(decision: Decision) -> str:
    """What was decided, in words: ``route NAME``, ``cached NAME`` or ``reject GUARD``."""
    if decision.reject is not None:
        return f"reject {decision.reject.guard or decision.reject.reason}"
    return f"{decision.outcome} {decision.route}"


async def find_flips(
    offline: Offline,
    policy: Policy,
    program: Program,
    request: Request,
    pins: Mapping[str, object],
    answer: Answer,
) -> list[Flip]:
    """The smallest change that leads to each other outcome, the smallest of all first.

    Args:
        offline: decides.
        policy: the policy, for the members of its enums.
        program: its program.
        request: the request that was decided.
        pins: its fixed signals.
        answer: the decision.
    """
    changes = sorted(_changes(policy, program, request, answer.decision), key=_by_distance)[:MOST]
    requests = [_request(request, change) for change in changes]
    pinned = [_pins(program, pins, change) for change in changes]
    answers = await offline.decide(requests, pinned)
    found: dict[str, Flip] = {}
    before = outcome(answer.decision)
    for change, other in zip(changes, answers, strict=True):
        after = outcome(other.decision)
        if not other.missing and after != before and after not in found:
            found[after] = Flip(change.text, after, change.distance)
    return list(found.values())


def _by_distance(change: _Change) -> float:
    return change.distance


def _request(request: Request, change: _Change) -> Request:
    if change.variable.source != "field":
        return request
    new: FieldValue = change.new  # type: ignore[assignment]
    return Request(
        request.id,
        {**request.attributes, change.variable.name: new},
        request.messages,
        time_ms=request.time_ms,
        body=request.body,
        max_tokens=request.max_tokens,
        has_tools=request.has_tools,
        has_image=request.has_image,
        tokens=request.tokens,
    )


def _pins(program: Program, pins: Mapping[str, object], change: _Change) -> dict[str, object]:
    variable = change.variable
    if variable.source == "field":
        return dict(pins)
    kind = next(s.kind for s in program.signals if s.name == variable.name)
    value = change.new
    if kind == "language":
        # The code stays with a changed confidence, and the other way round.
        known = pins.get(variable.name)
        code = known if isinstance(known, str) else "und"
        value = (
            Scores(code, {"confidence": float(str(value))})
            if variable.member is not None
            else Scores(str(value), {"confidence": 1.0})
        )
    elif variable.member is not None:
        value = {variable.member: value}
    return {**pins, variable.name: value}


def _changes(
    policy: Policy, program: Program, request: Request, decision: Decision
) -> Iterator[_Change]:
    """Every change worth trying."""
    signals = {signal.name: signal for signal in program.signals}
    constants: dict[int, set[object]] = {}
    for node in program.nodes:
        if node.variable is not None and node.value is not None:
            constants.setdefault(node.variable, set()).add(node.value)
    for at, variable in enumerate(program.variables):
        signal = signals.get(variable.name) if variable.source == "signal" else None
        value = _value(variable, request, decision)
        if signal is not None and signal.stage == "derived":
            if isinstance(value, int | float) and not isinstance(value, bool):
                wanted = constants.get(at, set()) | _band_bounds(program, at)
                bounds = {float(c) for c in wanted if isinstance(c, int | float)}
                yield from _through(program, signal, float(value), bounds, request, decision)
            continue
        wanted = constants.get(at, set()) | _band_bounds(program, at)
        for new in _alternatives(policy, variable, signal, value, wanted):
            if new != value:
                yield _Change(variable, value, new, _distance(signal, variable, value, new))


def _value(variable: Variable, request: Request, decision: Decision) -> object:
    if variable.source == "field":
        return request.attributes.get(variable.name)
    key = variable.name if variable.member is None else f"{variable.name}.{variable.member}"
    return decision.signals.get(key)


def _alternatives(
    policy: Policy,
    variable: Variable,
    signal: Signal | None,
    value: object,
    constants: set[object],
) -> Iterator[object]:
    declared = (
        policy.fields[variable.name].type if signal is None else policy.signals[variable.name].type
    )
    if variable.type == "bool":
        yield from (True, False) if value is None else (not value,)
    elif variable.type in ("int", "float"):
        low, high = _range(signal)
        step = 1 if variable.type == "int" else STEP
        for bound in sorted(c for c in constants if isinstance(c, int | float)):
            for new in (bound, bound - step, bound + step):
                if low <= new <= high:
                    yield round(new) if variable.type == "int" else round(float(new), 12)
    elif variable.type == "enum":
        yield from declared.members
    elif variable.type == "string":
        yield from sorted(str(c) for c in constants)
        yield _OTHER
    else:
        held = value if isinstance(value, frozenset) else frozenset()
        for member in declared.members or sorted(str(c) for c in constants):
            yield held ^ {member}
        yield frozenset()


def _through(
    program: Program,
    signal: Signal,
    value: float,
    bounds: set[float],
    request: Request,
    decision: Decision,
) -> Iterator[_Change]:
    """Changes of a score's inputs that carry it just across a threshold."""
    signals = {s.name: s for s in program.signals}
    for summand in signal.summands:
        if summand.variable is None or not summand.coefficient:
            continue
        variable = program.variables[summand.variable]
        inner = signals.get(variable.name)
        old = _value(variable, request, decision)
        if not isinstance(old, int | float) or (inner is not None and inner.stage == "derived"):
            continue
        if variable.type == "bool":
            continue  # tried as it is
        low, high = _range(inner)
        for bound in sorted(bounds):
            exact = old + (bound - value) / summand.coefficient
            for new in (exact, exact - STEP, exact + STEP):
                new = round(new) if variable.type == "int" else round(new, 9)
                if low <= new <= high and new != old:
                    distance = _distance(inner, variable, old, new)
                    yield _Change(variable, old, new, distance)


def _band_bounds(program: Program, variable: int) -> set[object]:
    return {
        band.bound
        for signal in program.signals
        if signal.source == variable
        for band in signal.bands
        if band.bound is not None
    }


def _range(signal: Signal | None) -> tuple[float, float]:
    infinite = (float("-inf"), float("inf"))
    return infinite if signal is None else _RANGES.get(signal.kind, infinite)


def _distance(signal: Signal | None, variable: Variable, old: object, new: object) -> float:
    if variable.type not in ("int", "float") or not isinstance(old, int | float):
        return 1.0
    assert isinstance(new, int | float)
    low, high = _range(signal)
    gap = abs(float(new) - float(old))
    if high - low < float("inf"):
        return gap / (high - low)
    return gap / max(abs(float(new)), abs(float(old)), 1.0)


def _shown(value: object) -> str:
    if value is None:
        return "what it is"
    if isinstance(value, float):
        return f"{value:.9g}"
    return value_text(value) if isinstance(value, bool | int | str | frozenset) else str(value)
