"""Signals that are measured between vectors: similarity, contrast, repetition.

Vectors are rows of unit length, or of zeros for a text without content, whose cosine is 0 with
everything. Each product is a sum of its own in float64 and scores are rounded to ``DECIMALS``, so
that a text scores the same, to the bit, whatever else is in its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

DECIMALS: Final = 6
_UNIT_TOLERANCE: Final = 1e-3
# Cosines held at once, 8 MiB of them.
_CHUNK: Final = 1 << 20

Reduce = Literal["max", "mean"]
Vectors = NDArray[np.float32]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Examples:
    """The vectors of a signal's example texts.

    Attributes:
        matrix: float32 of shape (examples, dimension), at least one row; rows of unit length or
            of zeros.
        reduce: ``max`` compares with the nearest example, ``mean`` with all of them.

    Raises:
        ValueError: when the matrix has another form, or holds NaN or infinity.
    """

    matrix: Vectors
    reduce: Reduce = "max"

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or not len(self.matrix):
            raise ValueError("examples are a matrix with at least one row")
        if self.reduce not in ("max", "mean"):
            raise ValueError(f"reduce is `max` or `mean`, not `{self.reduce}`")
        lengths = np.linalg.norm(self.matrix.astype(np.float64), axis=1)
        # Written so that NaN fails too.
        if not np.all((np.abs(lengths - 1) <= _UNIT_TOLERANCE) | (lengths == 0)):
            raise ValueError("the rows of examples have unit length, or are zero")


def similarity(vectors: Vectors, examples: Examples) -> Scores:
    """Cosine of each row of ``vectors`` to the examples, reduced as they say.

    Args:
        vectors: (n, dimension).
        examples: of the same dimension.

    Returns:
        float64 of shape (n,), in [-1, 1], rounded to ``DECIMALS``.

    Raises:
        ValueError: when the dimensions differ.
    """
    return _rounded(_reduced(cosine(vectors, examples.matrix), examples.reduce))


def contrast(vectors: Vectors, high: Examples, low: Examples) -> Scores:
    """How much nearer each row is to its nearest ``high`` than to its nearest ``low`` example.

    Args:
        vectors: (n, dimension).
        high: examples at the upper end; their ``reduce`` is not used, the nearest one counts.
        low: examples at the lower end, the same.

    Returns:
        Largest cosine to ``high`` minus largest cosine to ``low``: float64 of shape (n,), in
        [-2, 2], rounded to ``DECIMALS``.

    Raises:
        ValueError: when the dimensions differ.
    """
    upper = cosine(vectors, high.matrix).max(axis=1)
    lower = cosine(vectors, low.matrix).max(axis=1)
    return _rounded(upper - lower)


class Measures:
    """Several similarity and contrast signals, measured in one product with all their examples.

    Scores are those of `similarity` and `contrast`, to the bit.

    Args:
        signals: of each signal its examples: one set of a similarity, high and low of a contrast.

    Raises:
        ValueError: when the examples' dimensions differ.
    """

    __slots__ = ("_matrix", "_parts")

    def __init__(self, signals: Sequence[Examples | tuple[Examples, Examples]]) -> None:
        matrices: list[Vectors] = []
        self._parts: list[tuple[slice, Reduce] | tuple[slice, slice]] = []
        end = 0

        def placed(examples: Examples) -> slice:
            nonlocal end
            matrices.append(examples.matrix)
            start, end = end, end + len(examples.matrix)
            return slice(start, end)

        for signal in signals:
            if isinstance(signal, Examples):
                self._parts.append((placed(signal), signal.reduce))
            else:
                self._parts.append((placed(signal[0]), placed(signal[1])))
        self._matrix = np.concatenate(matrices).astype(np.float64) if matrices else None

    def scores(self, vectors: Vectors) -> Scores:
        """Scores of shape (n, signals), in the order of the signals.

        Args:
            vectors: (n, dimension).

        Raises:
            ValueError: when the dimension is not that of the examples.
        """
        result = np.empty((len(vectors), len(self._parts)))
        if self._matrix is None:
            return result
        step = max(1, _CHUNK // len(self._matrix))
        for start in range(0, len(vectors), step):
            rows = slice(start, start + step)
            cosines = cosine(vectors[rows], self._matrix)
            for column, (first, second) in enumerate(self._parts):
                result[rows, column] = (
                    _reduced(cosines[:, first], "max") - _reduced(cosines[:, second], "max")
                    if isinstance(second, slice)
                    else _reduced(cosines[:, first], second)
                )
        return _rounded(result)


def repeated(last: Vectors, previous: Vectors, threshold: float) -> bool:
    """Whether the last turn says again what one of the previous turns said.

    Args:
        last: (dimension,), the vector of the last user turn.
        previous: (turns, dimension), those of the turns before it; there may be none.
        threshold: the least cosine, in [-1, 1], that counts as a repetition.

    Raises:
        ValueError: when the dimensions differ.
    """
    if not len(previous):
        return False
    nearest = cosine(last[np.newaxis, :], previous).max(axis=1)
    return bool(_rounded(nearest)[0] >= threshold)


def cosine(left: Vectors | Scores, right: Vectors | Scores) -> Scores:
    """Cosines of every row of ``left`` (n, d) with every row of ``right`` (m, d).

    A matrix product of BLAS sums in an order that depends on the shapes. Here each cosine is one
    dot product of two rows, so it is the same whatever other rows there are.

    Returns:
        float64 of shape (n, m), clipped to [-1, 1], not rounded.

    Raises:
        ValueError: when the dimensions differ.
    """
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise ValueError(f"vectors of shapes {left.shape} and {right.shape} cannot be compared")
    rows = left.astype(np.float64)[:, np.newaxis, :]
    products: Scores = np.vecdot(rows, right.astype(np.float64, copy=False)[np.newaxis, :, :])
    return np.clip(products, -1.0, 1.0, out=products)


def _reduced(cosines: Scores, reduce: Reduce) -> Scores:
    reduced: Scores = cosines.max(axis=1) if reduce == "max" else cosines.mean(axis=1)
    return reduced


def _rounded(scores: Scores) -> Scores:
    # Adding zero turns the -0.0 that rounding leaves into 0.0.
    rounded: Scores = np.round(scores, DECIMALS) + 0.0
    return rounded
