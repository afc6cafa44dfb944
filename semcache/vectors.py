"""Vectors at the border: unit length in, cosines out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import CacheError

__all__ = ["Candidate", "Fault", "Matrix", "cosine", "stack", "unit"]

Matrix: TypeAlias = NDArray[np.float32]
Candidate: TypeAlias = tuple[int, float]  # label, cosine
Fault: TypeAlias = Literal["no-vector", "invalid-vector"]

DECIMALS = 6


def unit(vector: ArrayLike, dimension: int) -> Matrix:
    """One vector as a float32 row of unit length, shape `(dimension,)`.

    Raises:
        CacheError: wrong shape or not numbers (`vector-shape`); NaN, infinite or zero
            (`vector-value`).
    """
    row = _numbers(vector)
    if row.shape != (dimension,):
        raise _shape(row.shape, f"({dimension},)")
    units, sound = _units(row[np.newaxis])
    if not sound[0]:
        raise CacheError(
            "vector-value",
            "the vector is zero or holds a value that is not finite",
            "store the entry without a vector, or repair the embedder",
        )
    row_of_one: Matrix = units[0]
    return row_of_one


def stack(
    vectors: NDArray[np.floating] | Sequence[ArrayLike | None], count: int, dimension: int
) -> tuple[Matrix, list[Fault | None]]:
    """A batch as unit rows, shape `(count, dimension)`, and what is wrong with each row.

    A row without a vector (None) is marked `no-vector`, one that is zero or not finite
    `invalid-vector`; both are zero rows. One bad row does not spoil the batch.

    Raises:
        CacheError: a wrong number of vectors or a wrong dimension (`vector-shape`).
    """
    if len(vectors) != count:
        raise _shape((len(vectors),), f"({count}, {dimension})")
    absent = [row is None for row in vectors] if not isinstance(vectors, np.ndarray) else []
    present = [row for row in vectors if row is not None] if any(absent) else vectors
    try:
        rows = _numbers(present)
    except ValueError as problem:
        if isinstance(problem, CacheError):
            raise
        raise _shape(("ragged",), f"({count}, {dimension})") from problem
    if len(present) == 0:
        rows = np.zeros((0, dimension), dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != dimension:
        raise _shape(rows.shape, f"({count}, {dimension})")
    units, sound = _units(rows)
    faults: list[Fault | None] = [None if good else "invalid-vector" for good in sound.tolist()]
    if not any(absent):
        return units, faults
    batch = np.zeros((count, dimension), dtype=np.float32)
    batch[~np.array(absent)] = units
    remaining = iter(faults)
    return batch, ["no-vector" if gone else next(remaining) for gone in absent]


def cosine(left: Matrix, right: Matrix) -> float:
    """Cosine of two unit rows, rounded to 6 decimals.

    The rows are float32, so their lengths are 1 within 1.2e-7 and so is the cosine of equal rows;
    summing in float64 adds nothing that shows at 6 decimals. Hence equal vectors have exactly 1.0,
    and a pair has one cosine whatever the tier or the batch that found it.
    """
    dot = float(np.dot(left.astype(np.float64), right.astype(np.float64)))
    return round(min(1.0, max(-1.0, dot)), DECIMALS)


def _numbers(values: object) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise CacheError(
            "vector-shape", f"a vector holds `{array.dtype}`, not numbers", "pass float32 vectors"
        )
    return array.astype(np.float64)


def _units(rows: NDArray[np.float64]) -> tuple[Matrix, NDArray[np.bool_]]:
    # Scaled by the largest component first: squares of very large or small ones leave float64.
    peaks = np.max(np.abs(rows), axis=1, initial=0.0, keepdims=True)
    sound = np.isfinite(peaks[:, 0]) & (peaks[:, 0] > 0)
    if not sound.all():
        rows = np.where(sound[:, np.newaxis], rows, 0.0)
        peaks = np.where(sound[:, np.newaxis], peaks, 1.0)
    scaled = rows / peaks
    norms = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, np.newaxis]
    if not sound.all():
        norms[~sound] = 1.0
    return (scaled / norms).astype(np.float32), sound


def _shape(shape: tuple[object, ...], wanted: str) -> CacheError:
    return CacheError(
        "vector-shape",
        f"vectors have shape `{tuple(shape)}`, not `{wanted}`",
        "use the embedder whose dimension the cache was made with",
    )
