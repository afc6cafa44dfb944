"""Scores and bands: values worked out from other signals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from routec.compiler.program import Band

SCORE_DIGITS = 12
"""Decimal places a score is rounded to, half-even, so that sums equal the literals one writes."""


def score(constant: float, terms: Iterable[tuple[float, float]]) -> float:
    """The constant plus each coefficient times its value, in the order given, rounded.

    Args:
        constant: where the sum begins.
        terms: coefficients and values.
    """
    total = constant
    for coefficient, value in terms:
        total += coefficient * value
    return round(total, SCORE_DIGITS)


def band(bands: Sequence[Band], value: float) -> str:
    """Name of the first band that the value lies below (or at, where inclusive); else the last."""
    for each in bands:
        if each.bound is None or value < each.bound or (each.inclusive and value == each.bound):
            return each.name
    return bands[-1].name
