"""The entries of one category: their order of eviction, their age, their size."""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from dataclasses import dataclass

from .outcome import CategoryStats
from .terms import Partition, Terms

__all__ = ["Entry", "Ledger"]


@dataclass(slots=True, eq=False)
class Entry:
    """A stored answer.

    Attributes:
        label: 64-bit number, rising with every entry of the cache and never used again.
        id: Stable id, the same for the same partition and fingerprint wherever it is computed.
        partition: Where it may be found.
        fingerprint: Its key in the exact tier.
        response: The answer.
        written_at: Seconds on the cache's time line.
        size: Bytes of response, fingerprint and vector.
        indexed: Whether it has a vector.
        used: Whether it answered since the eviction hand last passed it.
    """

    label: int
    id: str
    partition: Partition
    fingerprint: bytes
    response: bytes
    written_at: float
    size: int
    indexed: bool
    used: bool = False


class Ledger:
    """What a category holds.

    Eviction is second chance (CLOCK; Corbató 1968): the oldest goes, unless it answered since the
    hand last passed, which puts it behind the youngest, once. Amortised constant time.
    """

    __slots__ = (
        "_ages", "_order", "bytes", "evictions", "exact_hits", "exact_misses", "guaranteed",
        "guaranteed_bytes", "refused", "semantic_hits", "semantic_misses", "terms", "writes",
    )  # fmt: skip

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.guaranteed = 0
        self.guaranteed_bytes = 0
        self.bytes = 0
        self.writes = 0
        self.exact_hits = 0
        self.semantic_hits = 0
        self.exact_misses: Counter[str] = Counter()
        self.semantic_misses: Counter[str] = Counter()
        self.evictions: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._order: OrderedDict[int, Entry] = OrderedDict()
        # By time of writing: event times need not rise with the labels.
        self._ages: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, label: int) -> Entry:
        return self._order[label]

    def add(self, entry: Entry) -> None:
        """Take in a new entry, as the youngest."""
        self._order[entry.label] = entry
        heapq.heappush(self._ages, (entry.written_at, entry.label))
        self.bytes += entry.size
        self.writes += 1

    def drop(self, entry: Entry, reason: str) -> None:
        """Forget an entry, for a reason that is counted."""
        del self._order[entry.label]
        self.bytes -= entry.size
        self.evictions[reason] += 1
        if len(self._ages) > 2 * len(self._order) + 64:
            # Those dropped for other reasons than age are still in here.
            self._ages = [age for age in self._ages if age[1] in self._order]
            heapq.heapify(self._ages)

    def victim(self) -> Entry:
        """The entry to evict next; it stays until dropped. Needs at least one entry."""
        while True:
            label, entry = next(iter(self._order.items()))
            if not entry.used:
                return entry
            entry.used = False
            self._order.move_to_end(label)

    def oldest_expired(self, now: float) -> Entry | None:
        """The earliest written entry, if its time is up at `now`."""
        while self._ages:
            written_at, label = self._ages[0]
            entry = self._order.get(label)
            if entry is not None:
                return entry if self.terms.expired(written_at, now) else None
            heapq.heappop(self._ages)
        return None

    def entries(self) -> list[Entry]:
        """All entries, in the order of eviction."""
        return list(self._order.values())

    def stats(self) -> CategoryStats:
        """A copy of the counts."""
        return CategoryStats(
            entries=len(self._order),
            bytes=self.bytes,
            guaranteed=self.guaranteed,
            writes=self.writes,
            exact_hits=self.exact_hits,
            exact_misses=dict(self.exact_misses),
            semantic_hits=self.semantic_hits,
            semantic_misses=dict(self.semantic_misses),
            evictions=dict(self.evictions),
            refused=dict(self.refused),
        )
