"""What a benchmark says: a figure, what it is compared with, and what was promised of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a figure, or its ratio to the baseline, must keep.

    Attributes:
        op: how the figure must stand to the limit.
        limit: in the figure's unit, or a ratio.
        of: what is bounded.
    """

    op: Literal["<", "<=", ">", ">=", "="]
    limit: float
    of: Literal["value", "ratio"] = "value"

    def met(self, value: float, ratio: float | None) -> bool:
        """Whether a figure keeps the bound; a ratio that is not there does not."""
        bounded = value if self.of == "value" else ratio
        return bounded is not None and _COMPARE[self.op](bounded, self.limit)


@dataclass(frozen=True, slots=True)
class Result:
    """One figure.

    Attributes:
        name: what was measured, ``area/figure``.
        value: the figure.
        unit: its unit; times are processor time unless it says otherwise.
        baseline: the same of what it is compared with, in the same unit.
        against: what that is.
        targets: what was promised of it.
        note: what one must know to read it.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    against: str | None = None
    targets: tuple[Target, ...] = ()
    note: str | None = None

    @property
    def ratio(self) -> float | None:
        """The figure over its baseline; ``None`` without one."""
        return self.value / self.baseline if self.baseline else None

    @property
    def met(self) -> bool | None:
        """Whether all targets are met; ``None`` where there are none."""
        if not self.targets:
            return None
        return all(target.met(self.value, self.ratio) for target in self.targets)

    @property
    def target(self) -> str | None:
        """The targets in words, such as ``<= 2x, < 5 µs``."""
        words = [
            f"{t.op} {t.limit:g}" + ("x" if t.of == "ratio" else f" {self.unit}")
            for t in self.targets
        ]
        return ", ".join(words) or None

    def document(self) -> dict[str, Any]:
        """The member of `bench --format json`."""
        found: dict[str, Any] = {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "baseline": _rounded(self.baseline),
            "ratio": _rounded(self.ratio),
            "target": self.target,
            "met": self.met,
        }
        if self.against is not None:
            found["against"] = self.against
        if self.note is not None:
            found["note"] = self.note
        return found


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A figure that could not be measured here, and why."""

    name: str
    why: str


Outcome = Result | LeftOut

Measure = Callable[[bool], Iterator[Outcome]]
"""Measures an area, figure by figure; told whether to be quick."""


class Disagreement(Exception):
    """Two sides of a comparison do not do the same, so comparing them would be worthless."""


def _rounded(number: float | None) -> float | None:
    """Six digits that say something."""
    return None if number is None else float(f"{number:.6g}")
