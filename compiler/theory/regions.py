"""Similarity signals as functions on the unit sphere, and pairs settled in closed form.

The value of a signal at a unit vector `x` is ``max_i(high_i · x) - max_j(low_j · x)``: a
similarity to the nearest example has no `low`, one to the mean of its examples has that mean as its
only `high`, a contrast has both. So a value is at least `t` where for some `i` every
``(high_i - low_j) · x`` is, and at most `t` where for some `j` every ``(high_i - low_j) · x`` is.

Where a signal is one mean, or has no `low`, what lies above a threshold is a union of spherical
caps, and two caps meet, contain each other or cover the sphere by the angle of their centres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routec.compiler import policy as p
from routec.compiler.lock import Lock
from routec.compiler.theory.sphere import TOLERANCE, Array, Sphere


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One signal in the coordinates of a `Sphere`.

    Attributes:
        high: shape (a, r).
        low: shape (b, r); one row of zeros where there is no `low`.
        contrast: whether there is a `low`.
    """

    high: Array
    low: Array
    contrast: bool

    @property
    def linear(self) -> bool:
        """Whether the value is linear in the point."""
        return len(self.high) == len(self.low) == 1

    def difference(self, i: int, j: int) -> Array:
        """``high_i - low_j``."""
        return self.high[i] - self.low[j]  # type: ignore[no-any-return]

    def value(self, x: Array) -> float:
        """The signal's value at a point."""
        return float((self.high @ x).max() - (self.low @ x).max())


def regions(signals: list[p.Signal], lock: Lock) -> tuple[Sphere, dict[str, Region]]:
    """Similarity and contrast signals whose examples all are in the lock.

    Raises:
        KeyError: an example is not.
    """
    rows: dict[str, int] = {}
    vectors: list[tuple[float, ...]] = []

    def at(text: str) -> int:
        if text not in rows:
            vector = lock.vector(text)
            if vector is None:
                raise KeyError(text)
            rows[text] = len(vectors)
            vectors.append(vector)
        return rows[text]

    chosen: dict[str, tuple[list[int], list[int], bool]] = {}
    for signal in signals:
        match signal.definition:
            case p.Similarity(examples=examples, reduce=reduce):
                chosen[signal.name] = ([at(t) for t in examples], [], reduce == "mean")
            case p.Contrast(high=high, low=low):
                chosen[signal.name] = ([at(t) for t in high], [at(t) for t in low], False)
    sphere = Sphere(np.array(vectors, np.float64))
    found: dict[str, Region] = {}
    for name, (ups, downs, mean) in chosen.items():
        above = sphere.coordinates[ups]
        if mean:
            above = above.mean(axis=0, keepdims=True)
        below = sphere.coordinates[downs] if downs else np.zeros((1, sphere.rank))
        found[name] = Region(above, below, bool(downs))
    return sphere, found


class Pair:
    """What the angles between the caps of two signals settle, whatever the thresholds.

    The formulas are those of spherical caps around the centres ``high_i / |high_i|``. Thresholds
    are relaxed by `TOLERANCE`, so that what is claimed holds with that much to spare.
    """

    def __init__(self, first: Region, second: Region) -> None:
        one, other = _sizes(first), _sizes(second)
        # A cap around nothing is the whole sphere or empty: nothing to settle.
        self._open = not (one.all() and other.all()) or first.contrast or second.contrast
        if self._open:
            return
        cosines = np.clip((first.high / one[:, None]) @ (second.high / other[:, None]).T, -1, 1)
        # Of a maximum the examples have one length; only a mean, alone, has another.
        self._one, self._other = float(one.max()), float(other.max())
        self.nearest = float(cosines.max())
        self._farthest = float(cosines.min())
        self._inside = float(cosines.max(axis=1).min())
        self._around = float(cosines.max(axis=0).min())

    @property
    def settled(self) -> bool:
        """Whether the closed form applies at all."""
        return not self._open

    def disjoint(self, first: float, second: float) -> bool:
        """Whether no point is at or above both thresholds."""
        if self._open:
            return False
        return _apart(
            (first - TOLERANCE) / self._one, (second - TOLERANCE) / self._other, self.nearest
        )

    def covering(self, first: float, second: float) -> bool:
        """Whether no point is below both thresholds."""
        if self._open:
            return False
        return _apart(
            -(first + TOLERANCE) / self._one, -(second + TOLERANCE) / self._other, self._farthest
        )

    def contained(self, first: float, second: float) -> bool:
        """Whether every point at or above the first threshold is at or above the second."""
        if self._open:
            return False
        return _within(
            (first - TOLERANCE) / self._one, (second + TOLERANCE) / self._other, self._inside
        )

    def containing(self, first: float, second: float) -> bool:
        """Whether every point at or above the second threshold is at or above the first."""
        if self._open:
            return False
        return _within(
            (second - TOLERANCE) / self._other, (first + TOLERANCE) / self._one, self._around
        )


def _sizes(region: Region) -> Array:
    sizes: Array = np.linalg.norm(region.high, axis=1)
    sizes[sizes < TOLERANCE] = 0.0
    return sizes


def _apart(first: float, second: float, cosine: float) -> bool:
    """Whether ``u·x >= first`` and ``v·x >= second`` have no unit vector in common.

    They have one exactly when the angle between `u` and `v` is at most the sum of the caps' radii.
    """
    if first > 1 or second > 1:
        return True
    if first + second <= 0:
        return False
    return cosine < first * second - _heights(first, second)


def _within(inner: float, outer: float, cosine: float) -> bool:
    """Whether ``u·x >= inner`` implies ``v·x >= outer`` for unit vectors."""
    if inner > 1 or outer <= -1:
        return True
    if outer > inner or outer > 1:
        return False
    return cosine > inner * outer + _heights(inner, outer)


def _heights(first: float, second: float) -> float:
    squares = max(0.0, 1 - first * first) * max(0.0, 1 - second * second)
    return float(np.sqrt(squares))
