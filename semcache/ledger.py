"""The books of one category: its terms, what it is guaranteed, what it holds and held."""

from __future__ import annotations

from collections import Counter

from .graph import Builder
from .outcome import CategoryStats
from .shelf import Entry, Shelf
from .terms import Terms
from .vectors import Matrix

__all__ = ["Ledger"]


class Ledger:
    """Counts what comes onto a category's shelf, and what leaves it for which reason.

    Args:
        terms: The terms in force.
        dimension: Components of a vector.
        builder: Builds graphs for the partitions.
        fingerprints: As a `Shelf` has them.
    """

    __slots__ = (
        "_builder", "_dimension", "_fingerprints", "evictions", "exact_hits", "exact_misses",
        "guaranteed", "guaranteed_bytes", "refused", "semantic_hits", "semantic_misses", "shelf",
        "terms", "writes",
    )  # fmt: skip

    def __init__(
        self, terms: Terms, dimension: int, builder: Builder, fingerprints: dict[bytes, int]
    ) -> None:
        self._dimension = dimension
        self._fingerprints = fingerprints
        self._builder = builder
        self.terms = terms
        self.guaranteed = 0
        self.guaranteed_bytes = 0
        self.writes = 0
        self.exact_hits = 0
        self.semantic_hits = 0
        self.exact_misses: Counter[str] = Counter()
        self.semantic_misses: Counter[str] = Counter()
        self.evictions: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.shelf = Shelf(dimension, builder, fingerprints)

    def __len__(self) -> int:
        return len(self.shelf)

    @property
    def bytes(self) -> int:
        """Responses, fingerprints and vectors of the entries held."""
        return self.shelf.bytes

    def add(self, entry: Entry, row: Matrix | None) -> None:
        """Take in a new entry, as the youngest."""
        self.shelf.add(entry, row)
        self.writes += 1

    def drop(self, entry: Entry, reason: str) -> None:
        """Forget an entry, for a reason that is counted."""
        self.shelf.drop(entry)
        self.evictions[reason] += 1

    def empty(self, reason: str) -> Shelf:
        """Forget every entry at once, for a reason that is counted; the shelf they are on."""
        left = self.shelf
        self.shelf = Shelf(self._dimension, self._builder, self._fingerprints)
        if len(left):
            self.evictions[reason] += len(left)
        return left

    def oldest_expired(self, now: float) -> Entry | None:
        """The earliest written entry, if its time is up at `now`."""
        entry = self.shelf.earliest()
        if entry is None or not self.terms.expired(entry.written_at, now):
            return None
        return entry

    def stats(self) -> CategoryStats:
        """A copy of the counts."""
        return CategoryStats(
            entries=len(self.shelf),
            bytes=self.shelf.bytes,
            guaranteed=self.guaranteed,
            writes=self.writes,
            exact_hits=self.exact_hits,
            exact_misses=dict(self.exact_misses),
            semantic_hits=self.semantic_hits,
            semantic_misses=dict(self.semantic_misses),
            evictions=dict(self.evictions),
            refused=dict(self.refused),
        )
