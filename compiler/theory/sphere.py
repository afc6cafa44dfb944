"""Linear inequalities on the unit sphere: whether some unit vector meets them all.

Some unit vector does exactly when the point of least length that meets them has a length of at
most 1, provided that the space has a direction in which none of the inequalities looks: along
it the point is moved out to the sphere. The point of least length is found by least distance
programming with non-negative least squares (Lawson and Hanson, "Solving Least Squares Problems",
1974, chapter 23).

The solver computes in floating point, so no answer rests on it. A point counts only if it meets
every inequality with its margin to spare; "no point" counts only with a certificate: weights
``u >= 0`` with ``u·bounds > |directionsᵀ u|``, which no point of the unit ball survives, even if
every bound is relaxed by its slack. What lies between the two is neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]

TOLERANCE = 1e-6
"""How near to its bound a cosine is not told from it; signals are rounded to as many decimals."""

_EXACT = 1e-9
_FREE_SCALE = 1e3
_AT_ONCE = 16
_AXES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """``direction · x + free · z >= bound``.

    Attributes:
        direction: shape (r,); `x` is a point of the unit sphere.
        free: shape (f,); `z` are numbers that lie on no sphere.
        bound: the constant.
        margin: how much more than the bound is asked of a point.
        slack: how much less than the bound a certificate must still exclude.
        reasons: whatever the caller needs to know the row again in a conflict.
    """

    direction: Array
    free: Array
    bound: float
    margin: float
    slack: float
    reasons: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Meets all rows.

    Attributes:
        x: shape (r,), of a length of at most 1.
    """

    x: Array


@dataclass(frozen=True, slots=True)
class Blocked:
    """No point was found.

    Attributes:
        reasons: of the rows that stand in the way.
        proved: whether there is none; else it is too close to call, or took too long.
    """

    reasons: frozenset[int]
    proved: bool


class Sphere:
    """The unit sphere as some vectors see it.

    Attributes:
        coordinates: shape (k, r): the vectors in an orthonormal basis of what they span, the
            directions in which they differ most first.
        roomy: whether some direction is orthogonal to all of them.
    """

    def __init__(self, vectors: Array) -> None:
        left, sizes, _ = np.linalg.svd(vectors, full_matrices=False)
        rank = int((sizes > _EXACT).sum())
        self.coordinates: Array = left[:, :rank] * sizes[:rank]
        self.roomy = rank < vectors.shape[1]

    @property
    def rank(self) -> int:
        """Dimension of what the vectors span."""
        return int(self.coordinates.shape[1])

    def meet(self, rows: Sequence[Row], limits: Array) -> Point | Blocked:
        """A point that meets all rows.

        Args:
            rows: the inequalities.
            limits: shape (f,): the greatest absolute value of each free number; may be infinite.
        """
        if not rows:
            return Point(np.zeros(self.rank))
        system = _System(rows, limits)
        found = system.nearest(system.bounds + system.margins)
        if isinstance(found, _Weights):
            reasons = system.reasons(found)
            if system.refutes(found):
                return Blocked(reasons, True)
            relaxed = system.nearest(system.bounds - system.slacks)
            if isinstance(relaxed, _Weights) and system.refutes(relaxed):
                return Blocked(system.reasons(relaxed), True)
            return Blocked(reasons, False)
        if found is None:
            return Blocked(frozenset().union(*(r.reasons for r in rows)), False)
        x = found[: self.rank]
        if self.roomy or self._reaches(system, found):
            return Point(x)
        return Blocked(frozenset().union(*(r.reasons for r in rows)), False)

    def _reaches(self, system: _System, found: Array) -> bool:
        """Move a point inside the ball out to the sphere, along the axes least looked at."""
        x = found[: self.rank]
        for axis in range(self.rank - 1, max(-1, self.rank - 1 - _AXES), -1):
            rest = 1 - float(x @ x) + float(x[axis]) ** 2
            for sign in (1.0, -1.0):
                moved = found.copy()
                moved[axis] = sign * np.sqrt(max(rest, 0.0))
                if system.met(moved, system.bounds + system.margins):
                    found[axis] = moved[axis]
                    return True
        return False


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """Weights of rows; what they add up to excludes every point, if it does."""

    rows: list[int]
    values: Array


class _System:
    """Rows as matrices. Free numbers count for so little that they do not lengthen a point."""

    def __init__(self, rows: Sequence[Row], limits: Array) -> None:
        self._rows = rows
        self._limits = limits
        self._directions = np.array([row.direction for row in rows])
        self._free = np.array([row.free for row in rows])
        self.bounds = np.array([row.bound for row in rows])
        self._matrix = np.hstack([self._directions, self._free * self._scales()])
        self.margins = np.array([row.margin for row in rows])
        self.slacks = np.array([row.slack for row in rows])

    def _scales(self) -> Array:
        """How large each free number can become, times so much that its length does not count."""
        sizes = self._limits.copy()
        for at in np.flatnonzero(np.isinf(sizes)):
            read = self._free[:, at] != 0
            ratios = np.abs(self.bounds[read] / self._free[read, at])
            sizes[at] = float(ratios.max()) if len(ratios) else 1.0
        return _FREE_SCALE * np.maximum(sizes, 1.0)

    def met(self, point: Array, bounds: Array) -> bool:
        """Whether a point meets all rows."""
        return bool(np.all(self._matrix @ point >= bounds - _EXACT))

    def nearest(self, bounds: Array) -> Array | _Weights | None:
        """The shortest point that meets the bounds, or weights where it is longer than 1.

        Rows are taken in as the points found break them. ``None`` where the numbers give out.
        """
        point = np.zeros(self._matrix.shape[1])
        active: list[int] = []
        while True:
            gaps = self._matrix @ point - bounds
            broken = np.flatnonzero(gaps < -_EXACT)
            if not len(broken):
                return point
            worst = broken[np.argsort(gaps[broken], kind="stable")][:_AT_ONCE]
            new = [int(at) for at in worst if at not in active]
            if not new:
                return None
            active += new
            directions, wanted = self._matrix[active], bounds[active]
            target = np.zeros(directions.shape[1] + 1)
            target[-1] = 1.0
            try:
                weights, _ = nnls(np.vstack([directions.T, wanted]), target)
            except RuntimeError:
                return None
            rest = 1.0 - float(wanted @ weights)
            step = directions.T @ weights
            if rest <= 1e-14 or float(step @ step) > (rest * (1 + _EXACT)) ** 2:
                return _Weights(active, weights)
            point = step / rest

    def refutes(self, weights: _Weights) -> bool:
        """Whether weights exclude every point of the unit ball, with all slacks granted."""
        u = weights.values
        if not np.all(np.isfinite(u)) or not np.all(u >= 0) or not u.any():
            return False
        u = u / u.sum()
        at = weights.rows
        pull = float(np.linalg.norm(self._directions[at].T @ u))
        drift = np.abs(self._free[at].T @ u)
        free = float(np.sum(np.where(drift > 0, drift * self._limits, 0.0))) if len(drift) else 0.0
        return bool(float((self.bounds - self.slacks)[at] @ u) > pull + free)

    def reasons(self, weights: _Weights) -> frozenset[int]:
        """Reasons of the rows that carry weight."""
        u = weights.values
        heavy = u > 1e-12 * (float(u.max()) if len(u) else 0.0)
        chosen = [self._rows[row] for row, taken in zip(weights.rows, heavy, strict=True) if taken]
        return frozenset().union(*(row.reasons for row in chosen))
