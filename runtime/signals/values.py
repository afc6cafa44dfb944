"""Values of signals while a request is being decided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from routec.compiler.program import Signal

Plain = bool | int | float | str | frozenset[str]


@dataclass(frozen=True, slots=True)
class Scores:
    """A classifier's answer, or a language with its ``confidence``.

    Attributes:
        label: the most likely label; of equals the one declared first.
        scores: every label's score, 0 to 1.
    """

    label: str
    scores: Mapping[str, float]


Value = Plain | Scores
Pin = object
"""What a caller may fix a signal at: its value, a label, some scores of a classifier by label, or
an answer with a ``label`` and ``scores``."""


def scores_of(signal: Signal, given: Mapping[str, float]) -> Scores:
    """A classifier's full answer from the score of each of its labels.

    Raises:
        ValueError: a label has no score, or one that is not a number from 0 to 1.
    """
    scores: dict[str, float] = {}
    for label in signal.labels:
        score = given.get(label)
        if score is None or not -1e-6 <= score <= 1.0 + 1e-6:
            raise ValueError(f"`{label}` has no score from 0 to 1")
        scores[label] = min(max(float(score), 0.0), 1.0)
    return Scores(max(signal.labels, key=scores.__getitem__), scores)


def only(signal: Signal, label: str) -> Scores:
    """The answer that gives one label 1 and all others 0."""
    return Scores(label, {name: float(name == label) for name in signal.labels})


def exact_type(signal: Signal) -> type | None:
    """The type whose every value is one of the signal's; ``None`` where values need a look."""
    if signal.kind in ("classifier", "language"):
        return Scores
    return {"bool": bool, "int": int, "set": frozenset, "float": None}.get(signal.type, str)


def pinned(signal: Signal, pin: Pin) -> Value:
    """The value a signal takes when it is fixed.

    Scores that are left out share what is left of 1 evenly; of a classifier that is not
    exclusive they are 0.

    Raises:
        ValueError: the pin is not a value of the signal's.
    """
    if signal.kind in ("classifier", "language") and not isinstance(pin, str | Mapping):
        label, scores = getattr(pin, "label", None), getattr(pin, "scores", None)
        if label is not None and scores is not None:
            return Scores(label, dict(scores))
    if signal.kind == "classifier":
        return _pinned_classifier(signal, pin)
    if signal.kind == "language":
        if isinstance(pin, str):
            return Scores(pin, {"confidence": 1.0})
        raise ValueError(f"`{signal.name}` is pinned to a language code")
    value: Any = pin
    if type(value) is float and signal.type == "float" and math.isfinite(value):
        return value
    if isinstance(pin, set | list | tuple):
        value = frozenset(pin)
    if signal.type == "float" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    wanted = {"bool": bool, "int": int, "float": float, "set": frozenset}.get(signal.type, str)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ValueError(f"`{signal.name}` is pinned to something that is not a {signal.type}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{signal.name}` is pinned to a number that is not finite")
    return cast(Plain, value)


def _pinned_classifier(signal: Signal, pin: Pin) -> Scores:
    if isinstance(pin, str):
        if pin not in signal.labels:
            raise ValueError(f"`{pin}` is not a label of `{signal.name}`")
        return only(signal, pin)
    if not isinstance(pin, Mapping) or not set(pin) <= set(signal.labels):
        raise ValueError(f"`{signal.name}` is pinned to a label, or to scores of its labels")
    missing = len(signal.labels) - len(pin)
    rest = max(0.0, 1.0 - math.fsum(pin.values())) / missing if missing else 0.0
    if not signal.exclusive:
        rest = 0.0
    return scores_of(signal, {label: pin.get(label, rest) for label in signal.labels})


def on_error(signal: Signal) -> Value:
    """The value a signal takes when it cannot be computed.

    What it states itself; else ``und`` for a language and 0 or false. Entities that state
    none count as all found: a guard on them then closes rather than opens.
    """
    stated = signal.on_error
    if signal.kind == "classifier":
        return only(signal, stated if isinstance(stated, str) else signal.labels[0])
    if signal.kind == "language":
        return Scores(stated if isinstance(stated, str) else "und", {"confidence": 0.0})
    if signal.kind == "entities":
        return frozenset(stated if isinstance(stated, tuple | list) else signal.kinds)
    if isinstance(stated, tuple | list):
        return frozenset(str(member) for member in stated)
    if stated is not None:
        return float(stated) if signal.type == "float" else stated
    none: dict[str, Value] = {"bool": False, "int": 0, "float": 0.0, "set": frozenset()}
    return none.get(signal.type, "")
