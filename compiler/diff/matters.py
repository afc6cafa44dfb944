"""Which values of a request a change depends on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from routec.compiler import policy as p
from routec.compiler.analysis.witness import Shows, Witness
from routec.compiler.types import Kind, Scores, Type, Value


def matters(
    policy: p.Policy, witness: Witness, shows: Shows, suspects: frozenset[str]
) -> tuple[str, ...]:
    """The fields and signals of which another value would make a request show it no more.

    Each is tried by itself with values that differ plainly, so that one which only matters
    together with others may be missing. Of those that are not suspects only the ones are tried
    that were not left as plain as can be.

    Args:
        policy: declares them.
        witness: a request that shows something, as plain as can be.
        shows: whether a request does.
        suspects: those that may matter whatever their value.
    """
    found: list[str] = []
    for name, declared in policy.fields.items():
        if name not in suspects and witness.attributes[name] == declared.default:
            continue
        others = (
            replace(witness, attributes={**witness.attributes, name: other})
            for other in _others(declared.type, witness.attributes[name])
            if not isinstance(other, Scores)
        )
        if not all(shows(one) for one in others):
            found.append(name)
    for name, value in witness.signals.items():
        signal = policy.signals[name]
        if name not in suspects and value in (False, 0, frozenset(), ""):
            continue
        changed = (
            replace(witness, signals={**witness.signals, name: other})
            for other in _others(signal.type, value)
        )
        if not all(shows(one) for one in changed):
            found.append(name)
    return tuple(found)


def _others(type_: Type, value: Value) -> Iterator[Value]:
    """Plainly different values."""
    if isinstance(value, Scores):
        if value.scores.keys() >= {"confidence"} and len(value.scores) == 1:
            yield from (Scores(value.label, {"confidence": x}) for x in (0.0, 1.0))
            yield from (Scores(label, value.scores) for label in type_.members[:3])
        else:
            for label in value.scores:
                yield Scores(label, {other: float(other == label) for other in value.scores})
        return
    match type_.kind:
        case Kind.BOOL:
            yield value is not True
        case Kind.INT | Kind.FLOAT:
            low = -1_000_000_000 if type_.low is None else float(type_.low)
            high = 1_000_000_000 if type_.high is None else float(type_.high)
            integral = type_.kind is Kind.INT
            assert isinstance(value, int | float)
            for other in (low, high, value - 1, value + 1):
                if low <= other <= high:
                    yield int(other) if integral else float(other)
        case Kind.ENUM:
            yield from type_.members
        case Kind.STRING:
            yield "some other"
        case Kind.SET:
            assert isinstance(value, frozenset)
            yield frozenset()
            yield from (value ^ {member} for member in type_.members)
            yield from (value - {member} for member in value)
