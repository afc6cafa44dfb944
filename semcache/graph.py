"""The graph tier: an HNSW graph over a fixed set of vectors, and the thread that builds one."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .flat import rank, scan
from .vectors import Candidate, Matrix, cosine

__all__ = ["Build", "Builder", "Segment"]

# Malkov and Yashunin, arXiv 1603.09320. At these values a search that has a near neighbour finds it
# practically always; a cache needs no more than that one.
LINKS = 16
BUILD_BREADTH = 200
SEARCH_BREADTH = 64
BUILD_STEP = 512

log = logging.getLogger(__name__)


class Segment:
    """A graph that gains no vectors after it was built; those removed are only marked.

    Marked vectors still carry the search but are never returned. Inside the graph a vector goes by
    its row, so the graph library's own label handling (unsigned scalars out, reuse) stays inside.
    The matrix is kept beside the graph: reading vectors back out of it costs 33 us each.
    """

    __slots__ = ("_gone", "_graph", "dead", "labels", "vectors")

    def __init__(self, graph: Any, labels: NDArray[np.int64], vectors: Matrix) -> None:
        self._graph = graph
        self._gone = np.zeros(len(labels), dtype=np.bool_)
        self.dead = 0
        self.labels = labels
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.labels) - self.dead

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which rows are not removed; a copy."""
        return ~self._gone

    def remove(self, label: int) -> bool:
        """Mark a label; False if it is not here or already marked."""
        row = int(np.searchsorted(self.labels, label))
        if row == len(self.labels) or int(self.labels[row]) != label or self._gone[row]:
            return False
        self._gone[row] = True
        self.dead += 1
        self._graph.mark_deleted(row)
        return True

    def search(self, queries: Matrix, k: int) -> list[list[Candidate]]:
        """The `k` approximately nearest of each query row, nearest first."""
        k = min(k, len(self))
        if k == 0:
            return [[] for _ in queries]
        self._graph.set_ef(max(SEARCH_BREADTH, k))
        try:
            rows, _ = self._graph.knn_query(queries, k=k, num_threads=1)
        except RuntimeError:
            # The graph gives up when it meets fewer than k that are not marked.
            live = self.live
            return scan(self.vectors[live], self.labels[live], queries, k)
        return [
            rank([(int(self.labels[row]), cosine(self.vectors[row], query)) for row in chosen])
            for query, chosen in zip(queries, rows.tolist(), strict=True)
        ]


class Build:
    """A graph in the making, from the live rows of an old segment and a copy of newer vectors.

    Reads only what no longer changes: the old segment's matrix and labels, and its own copies.
    """

    def __init__(self, segment: Segment | None, labels: NDArray[np.int64], vectors: Matrix) -> None:
        self._segment = segment
        self._live = None if segment is None else segment.live
        self._labels = labels
        self._vectors = vectors
        self._stop = threading.Event()
        self.done = threading.Event()
        self.result: Segment | None = None

    def cancel(self) -> None:
        """End the build at its next step; it will have no result."""
        self._stop.set()

    def run(self) -> None:
        """Build; afterwards `done` is set, and `result` holds the segment unless it failed."""
        try:
            self.result = self._graph()
        except Exception:
            # Wherever it fails (no such library, no memory) the flat tier still answers.
            log.warning("no graph could be built for a cache partition", exc_info=True)
        finally:
            self._segment = None
            self.done.set()

    def _graph(self) -> Segment | None:
        # A costly import that only large partitions need.
        import hnswlib

        labels, vectors = self._labels, self._vectors
        if self._segment is not None and self._live is not None:
            labels = np.concatenate([self._segment.labels[self._live], labels])
            vectors = np.concatenate([self._segment.vectors[self._live], vectors])
        order = np.argsort(labels)
        labels, vectors = labels[order], np.ascontiguousarray(vectors[order])
        graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
        graph.init_index(
            max_elements=len(labels), M=LINKS, ef_construction=BUILD_BREADTH, random_seed=1
        )
        for start in range(0, len(labels), BUILD_STEP):
            if self._stop.is_set():
                return None
            rows = np.arange(start, min(start + BUILD_STEP, len(labels)))
            graph.add_items(vectors[rows], rows, num_threads=1)
        return Segment(graph, labels, vectors)


class Builder:
    """Builds graphs for all partitions of a cache, one at a time.

    Args:
        graph_from: Vectors above which a partition gets a graph, 1 or more.
        background: Build in a thread of its own; otherwise in the call that starts the build,
            which takes 0.2 ms or more a vector but makes two runs agree in every detail.
    """

    def __init__(self, graph_from: int, *, background: bool) -> None:
        self.graph_from = graph_from
        self.built = 0
        self.failed = 0
        self._background = background
        self._running: Build | None = None
        self._closed = False

    @property
    def free(self) -> bool:
        """Whether a build can start now."""
        return not self._closed and (self._running is None or self._running.done.is_set())

    def start(self, segment: Segment | None, labels: NDArray[np.int64], vectors: Matrix) -> Build:
        """Start a build over `segment` and copies of `labels` and `vectors`; ask `free` first."""
        assert self.free
        build = Build(segment, labels.copy(), vectors.copy())
        self._running = build
        if self._background:
            threading.Thread(target=build.run, name="semcache-build", daemon=True).start()
        else:
            build.run()
        return build

    def close(self) -> None:
        """Stop the build in progress and wait for its thread to leave off; none starts after."""
        self._closed = True
        if self._running is not None:
            self._running.cancel()
            self._running.done.wait()
