"""Where the entries of a category are: in the order of eviction, by age, by key, by vector."""

from __future__ import annotations

import heapq
from collections import OrderedDict

import msgspec

from .graph import Builder
from .index import VectorIndex
from .terms import Partition
from .vectors import Matrix

__all__ = ["Entry", "Shelf"]


class Entry(msgspec.Struct, eq=False, gc=False):
    """A stored answer.

    It is part of no cycle, and the collector does not visit it: 100,000 would take it a tenth of a
    second, in which nothing is decided.

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


class Shelf:
    """The entries of one category, all that leads to them included.

    Nothing outside refers to them, so taking the shelf away drops them all at once, however many
    they are; `release` then frees them a few at a time.

    Eviction is second chance (CLOCK; Corbató 1968): the oldest goes, unless it answered since the
    hand last passed, which puts it behind the youngest, once. Amortised constant time.

    Args:
        dimension: Components of a vector.
        builder: Builds graphs for the partitions.
        fingerprints: Counts the entries on all shelves by their fingerprints; those of entries that
            are dropped and not freed yet are among them.

    Attributes:
        bytes: Responses, fingerprints and vectors of the entries.
    """

    __slots__ = (
        "_ages", "_builder", "_dimension", "_exact", "_fingerprints", "_ids", "_indexes", "_order",
        "bytes",
    )  # fmt: skip

    def __init__(self, dimension: int, builder: Builder, fingerprints: dict[bytes, int]) -> None:
        self._dimension = dimension
        self._builder = builder
        self._fingerprints = fingerprints
        self.bytes = 0
        self._order: OrderedDict[int, Entry] = OrderedDict()
        # By time of writing: event times need not rise with the labels.
        self._ages: list[tuple[float, int]] = []
        self._ids: dict[str, Entry] = {}
        self._exact: dict[Partition, dict[bytes, Entry]] = {}
        self._indexes: dict[Partition, VectorIndex] = {}

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, label: int) -> Entry:
        return self._order[label]

    @property
    def partitions(self) -> int:
        """How many partitions hold an entry."""
        return len(self._exact)

    def find(self, partition: Partition, fingerprint: bytes) -> Entry | None:
        """The entry under a key of the exact tier."""
        exact = self._exact.get(partition)
        return None if exact is None else exact.get(fingerprint)

    def named(self, id: str) -> Entry | None:
        """The entry of an id."""
        return self._ids.get(id)

    def index(self, partition: Partition) -> VectorIndex | None:
        """The vectors of a partition; None where it has none."""
        return self._indexes.get(partition)

    def scoped(self, scope: str) -> list[Entry]:
        """The entries of a scope."""
        return [
            entry
            for partition, exact in self._exact.items()
            if partition.scope == scope
            for entry in exact.values()
        ]

    def add(self, entry: Entry, row: Matrix | None) -> None:
        """Take in a new entry, as the youngest, with its unit row if it is `indexed`."""
        self._order[entry.label] = entry
        heapq.heappush(self._ages, (entry.written_at, entry.label))
        self.bytes += entry.size
        self._ids[entry.id] = entry
        fingerprint = entry.fingerprint
        self._fingerprints[fingerprint] = self._fingerprints.get(fingerprint, 0) + 1
        self._exact.setdefault(entry.partition, {})[entry.fingerprint] = entry
        if row is not None:
            index = self._indexes.get(entry.partition)
            if index is None:
                index = self._indexes[entry.partition] = VectorIndex(self._dimension, self._builder)
            index.add(entry.label, row)

    def drop(self, entry: Entry) -> None:
        """Forget an entry."""
        partition = entry.partition
        exact = self._exact[partition]
        self._forget(exact.pop(entry.fingerprint))
        if not exact:
            del self._exact[partition]
        if len(self._ages) > 2 * len(self._order) + 64:
            # Those dropped for other reasons than age are still in here.
            self._ages = [age for age in self._ages if age[1] in self._order]
            heapq.heapify(self._ages)
        if entry.indexed:
            index = self._indexes[partition]
            index.remove(entry.label)
            if len(index) == 0:
                index.close()
                del self._indexes[partition]

    def victim(self) -> Entry:
        """The entry to evict next; it stays until dropped. Needs at least one entry."""
        while True:
            label, entry = next(iter(self._order.items()))
            if not entry.used:
                return entry
            entry.used = False
            self._order.move_to_end(label)

    def earliest(self) -> Entry | None:
        """The earliest written entry."""
        while self._ages:
            entry = self._order.get(self._ages[0][1])
            if entry is not None:
                return entry
            heapq.heappop(self._ages)
        return None

    def release(self, limit: int) -> int:
        """Free entries of a shelf that nothing looks into any more, and return how many.

        The vectors of a partition go with the first of its entries, so that `bytes` is never less
        than what is held.

        Args:
            limit: Most entries to free, 1 or more.
        """
        freed = 0
        while freed < limit and self._order:
            # Not the first of the keys: a dict looks for it past all that were deleted.
            partition, exact = self._exact.popitem()
            index = self._indexes.pop(partition, None)
            if index is not None:
                index.close()
            while exact and freed < limit:
                self._forget(exact.popitem()[1])
                freed += 1
            if exact:
                self._exact[partition] = exact
        # Which ages are left does not matter here, but that they, too, go a few at a time.
        del self._ages[2 * len(self._order) + 64 :]
        return freed

    def _forget(self, entry: Entry) -> None:
        del self._order[entry.label]
        del self._ids[entry.id]
        self.bytes -= entry.size
        left = self._fingerprints[entry.fingerprint] - 1
        if left:
            self._fingerprints[entry.fingerprint] = left
        else:
            del self._fingerprints[entry.fingerprint]
