"""The flat tier: every vector of a partition in one matrix, searched exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .vectors import Candidate, Matrix, cosine

__all__ = ["FlatIndex", "scan"]

# Cosines computed at once: 32 MiB of float32, whatever the batch.
SCAN_CELLS = 1 << 23


class FlatIndex:
    """Unit rows in a dense matrix that doubles as it grows and halves as it empties.

    Removal moves the last row into the gap, so a search never passes over the dead.
    """

    __slots__ = ("_labels", "_rows", "_vectors")

    def __init__(self, dimension: int) -> None:
        self._vectors: Matrix = np.empty((1, dimension), dtype=np.float32)
        self._labels: NDArray[np.int64] = np.empty(1, dtype=np.int64)
        self._rows: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels in row order; a view, valid until the next change."""
        return self._labels[: len(self._rows)]

    @property
    def vectors(self) -> Matrix:
        """Unit rows; a view, valid until the next change."""
        return self._vectors[: len(self._rows)]

    def add(self, label: int, vector: Matrix) -> None:
        """Append a unit row under a label not in use."""
        row = len(self._rows)
        if row == len(self._labels):
            self._resize(2 * row)
        self._vectors[row] = vector
        self._labels[row] = label
        self._rows[label] = row

    def extend(self, labels: NDArray[np.int64], vectors: Matrix) -> None:
        """Append many unit rows under labels not in use."""
        start = len(self._rows)
        if start + len(labels) > len(self._labels):
            self._resize(max(2 * start, start + len(labels)))
        self._vectors[start : start + len(labels)] = vectors
        self._labels[start : start + len(labels)] = labels
        self._rows.update(zip(labels.tolist(), range(start, start + len(labels)), strict=True))

    def remove(self, label: int) -> bool:
        """Drop a label; False if it is not here."""
        row = self._rows.pop(label, None)
        if row is None:
            return False
        last = len(self._rows)
        if row != last:
            moved = int(self._labels[last])
            self._vectors[row] = self._vectors[last]
            self._labels[row] = moved
            self._rows[moved] = row
        if last and 4 * last <= len(self._labels):
            self._resize(2 * last)
        return True

    def search(self, queries: Matrix, k: int) -> list[list[Candidate]]:
        """The `k` nearest of each query row, nearest first; fewer where fewer are held."""
        return scan(self.vectors, self.labels, queries, k)

    def _resize(self, size: int) -> None:
        held = len(self._rows)
        vectors = np.empty((size, self._vectors.shape[1]), dtype=np.float32)
        labels = np.empty(size, dtype=np.int64)
        vectors[:held] = self._vectors[:held]
        labels[:held] = self._labels[:held]
        self._vectors, self._labels = vectors, labels


def scan(
    vectors: Matrix, labels: NDArray[np.int64], queries: Matrix, k: int
) -> list[list[Candidate]]:
    """Compare every query with every vector, one matrix product for many queries."""
    held = len(vectors)
    if held == 0:
        return [[] for _ in queries]
    k = min(k, held)
    step = max(1, SCAN_CELLS // held)
    found: list[list[Candidate]] = []
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        cosines = (vectors @ part[0])[np.newaxis] if len(part) == 1 else part @ vectors.T
        if k == 1:
            rows = np.argmax(cosines, axis=1)[:, np.newaxis]
        elif k == held:
            rows = np.broadcast_to(np.arange(held), (len(part), held))
        else:
            rows = np.argpartition(cosines, held - k, axis=1)[:, held - k :]
        for query, chosen in zip(part, rows.tolist(), strict=True):
            found.append(rank([(int(labels[row]), cosine(vectors[row], query)) for row in chosen]))
    return found


def rank(candidates: list[Candidate]) -> list[Candidate]:
    """Nearest first; of equals the later written, whose label is higher."""
    if len(candidates) > 1:
        candidates.sort(key=lambda candidate: (-candidate[1], -candidate[0]))
    return candidates
