"""The index of one partition: flat while small, a graph with a flat delta once large."""

from __future__ import annotations

import numpy as np

from .flat import FlatIndex, rank
from .graph import Build, Builder, Segment
from .vectors import Candidate, Matrix

__all__ = ["VectorIndex"]

# Rebuild once this share of the live vectors is outside the graph or dead inside it.
STALE_SHARE = 0.2


class VectorIndex:
    """Nearest neighbours among the vectors of one partition.

    Up to `builder.graph_from` vectors the search is exact. Above, a graph is built over a snapshot
    while the flat tier goes on answering; new vectors stay in the flat delta until the next build
    replaces the graph by reference. A graph that fails to build leaves everything flat.

    One thread owns an index; only the builder's snapshot is read by another.
    """

    __slots__ = ("_build", "_builder", "_flat", "_removed", "_retry_above", "_segment")

    def __init__(self, dimension: int, builder: Builder) -> None:
        self._flat = FlatIndex(dimension)
        self._builder = builder
        self._segment: Segment | None = None
        self._build: Build | None = None
        self._removed: list[int] = []
        self._retry_above = builder.graph_from

    def __len__(self) -> int:
        return len(self._flat) + (0 if self._segment is None else len(self._segment))

    @property
    def has_graph(self) -> bool:
        """Whether a graph answers for part of the vectors."""
        return self._segment is not None

    def add(self, label: int, vector: Matrix) -> None:
        """Add a unit row under a label never used before."""
        self._flat.add(label, vector)
        self._maintain()

    def remove(self, label: int) -> None:
        """Drop a label that was added."""
        if not self._flat.remove(label):
            assert self._segment is not None
            self._segment.remove(label)
        if self._build is not None:
            self._removed.append(label)
        self._maintain()

    def search(self, queries: Matrix, k: int) -> list[list[Candidate]]:
        """The `k` nearest of each unit row as `(label, cosine)`, nearest first."""
        if self._build is not None:
            self._adopt(self._build)
        found = self._flat.search(queries, k)
        if self._segment is not None:
            for near, others in zip(found, self._segment.search(queries, k), strict=True):
                near.extend(others)
                del rank(near)[k:]
        return found

    def close(self) -> None:
        """Give up a build in progress."""
        if self._build is not None:
            self._build.cancel()

    def _maintain(self) -> None:
        if self._build is not None:
            self._adopt(self._build)
        elif self._stale() and self._builder.free:
            self._build = self._builder.start(self._segment, self._flat.labels, self._flat.vectors)
            self._adopt(self._build)

    def _stale(self) -> bool:
        live = len(self)
        if self._segment is None:
            return live > self._retry_above
        if 2 * live <= self._builder.graph_from:
            self._flatten(self._segment)
            return False
        return len(self._flat) + self._segment.dead > STALE_SHARE * live

    def _adopt(self, build: Build) -> None:
        if not build.done.is_set():
            return
        removed, self._removed, self._build = self._removed, [], None
        if build.result is None:
            self._builder.failed += 1
            self._retry_above = len(self) + max(len(self) // 5, 1)
            if self._segment is not None:
                self._flatten(self._segment)
            return
        self._builder.built += 1
        self._segment = build.result
        for label in removed:
            self._segment.remove(label)
        fresh = ~np.isin(self._flat.labels, self._segment.labels)
        delta = FlatIndex(self._flat.vectors.shape[1])
        delta.extend(self._flat.labels[fresh], self._flat.vectors[fresh])
        self._flat = delta

    def _flatten(self, segment: Segment) -> None:
        live = segment.live
        self._segment = None
        self._flat.extend(segment.labels[live], segment.vectors[live])
