"""The cache: an exact tier and a semantic tier per partition, on the terms of each category."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import count
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import CacheError
from .graph import Builder
from .ledger import Ledger
from .lookup import answers
from .outcome import Hit, Miss, Stats
from .room import Room
from .shelf import Entry, Shelf
from .terms import Partition, Terms, guaranteed_entries
from .vectors import stack, unit

__all__ = ["SemanticCache"]

Vectors: TypeAlias = NDArray[np.floating] | Sequence[ArrayLike | None]

# Expired entries freed by one call: a mass expiry must not stop a batch.
SWEEP = 1024
# Dropped entries freed on the way by each lookup in the semantic tier and each write.
RELEASE = 16
FINGERPRINT_BYTES = 64


class SemanticCache:
    """Answers to requests that were asked before, word for word or in other words.

    Entries are found only under the partition they were written to. Every entry expires `ttl`
    seconds after it was written, hits or not, by the terms in force at the lookup. The clock and
    every `now` are seconds on one time line (event time); `now` may go backwards. `now` decides
    what a lookup may see, the clock what is freed: an event from the future hides entries from
    itself but removes none.

    Dropping a category takes the same time whatever it holds: nothing of it is found from then on,
    and what it held is freed a few entries at a time, by lookups, writes and `release`.

    Memory: at most `capacity` entries and `max_bytes` of responses, fingerprints and vectors, those
    dropped and not freed yet included.
    Bookkeeping takes some 0.8 KB an entry beside these (measured with CPython 3.11).
    Besides, a matrix has up to twice the rows it holds (4 times while it shrinks), a partition
    with a graph holds its vectors a second time in it, and a build makes both anew.

    One thread owns a cache. Graphs are built in a thread of the cache's own.

    Args:
        terms: The categories.
        capacity: Entries held at most, 1 or more.
        dimension: Components of a vector, 1 or more.
        clock: Event time in seconds.
        max_bytes: Bytes of responses, fingerprints and vectors held at most.
        max_response_bytes: Longest response that is stored.
        graph_from: Vectors above which a partition gets an HNSW graph; up to there the search
            compares all.
        background: False builds graphs in the call that finds them due, so that replays agree.

    Raises:
        CacheError: a bound below 1 (`bad-bound`), or terms that cannot be kept (see `Terms` and
            `guaranteed_entries`).

    Attributes:
        fingerprints: How many entries there are of each fingerprint, those dropped and not freed
            yet included. The same object for good, to be read only: what is not in there need not
            be looked up (see `spare`).
    """

    def __init__(
        self,
        terms: Sequence[Terms],
        *,
        capacity: int,
        dimension: int,
        clock: Callable[[], float],
        max_bytes: int = 1 << 30,
        max_response_bytes: int = 1 << 20,
        graph_from: int = 10_000,
        background: bool = True,
    ) -> None:
        for name, bound in (
            ("capacity", capacity),
            ("dimension", dimension),
            ("max_bytes", max_bytes),
            ("max_response_bytes", max_response_bytes),
            ("graph_from", graph_from),
        ):
            if bound < 1:
                raise CacheError("bad-bound", f"`{name}` is {bound}", "use 1 or more")
        self._room = Room(capacity, max_bytes, max_response_bytes)
        self._dimension = dimension
        self._clock = clock
        self._builder = Builder(graph_from, background=background)
        self._ledgers: dict[str, Ledger] = {}
        self._leaving: deque[Shelf] = deque()
        self._labels = count(1)
        self._unknown = 0
        self.fingerprints: dict[bytes, int] = {}
        self.reconfigure(terms)

    def exact(self, partition: Partition, fingerprint: bytes, now: float) -> Hit | None:
        """The answer to the very same request, or None.

        Raises:
            CacheError: `now` is not finite (`bad-time`).
        """
        _check_time(now)
        ledger = self._ledgers.get(partition.category)
        if ledger is None:
            self._unknown += 1
            return None
        entry = ledger.shelf.find(partition, fingerprint)
        if entry is None:
            ledger.exact_misses["absent"] += 1
            return None
        if ledger.terms.expired(entry.written_at, now):
            ledger.exact_misses["expired"] += 1
            return None
        entry.used = True
        ledger.exact_hits += 1
        return Hit(entry.id, 1.0, entry.response, "exact")

    def spare(self, category: str, lookups: int) -> None:
        """Count lookups that were not made, since `fingerprints` tells that they miss."""
        ledger = self._ledgers.get(category)
        if ledger is None:
            self._unknown += lookups
        else:
            ledger.exact_misses["absent"] += lookups

    def holds(self, partition: Partition, fingerprint: bytes, now: float) -> bool:
        """Whether `exact` would answer. It is neither counted nor a use of the entry.

        Raises:
            CacheError: `now` is not finite (`bad-time`).
        """
        _check_time(now)
        ledger = self._ledgers.get(partition.category)
        entry = None if ledger is None else ledger.shelf.find(partition, fingerprint)
        if ledger is None or entry is None:
            return False
        return not ledger.terms.expired(entry.written_at, now)

    def nearest(
        self, partitions: Sequence[Partition], vectors: Vectors, now: float, load: float = 0.0
    ) -> list[Hit | Miss]:
        """The nearest answer to each request of a batch; one search per partition.

        Args:
            partitions: Where each request may look.
            vectors: Shape `(len(partitions), dimension)`, any length above zero; or one vector or
                None each, None for a request without text, which matches nothing.
            now: Event time of the batch.
            load: Load of what stands behind the cache, 0 to 1, for `relax_to`.

        Raises:
            CacheError: wrong number or dimension of vectors (`vector-shape`); `now` is not finite
                (`bad-time`). A vector that is zero or not finite is a miss, not an error.
        """
        _check_time(now)
        queries, faults = stack(vectors, len(partitions), self._dimension)
        self.sweep()
        groups: dict[Partition, list[int]] = {}
        outcomes: list[Hit | Miss | None] = [None] * len(partitions)
        for row, (partition, fault) in enumerate(zip(partitions, faults, strict=True)):
            ledger = self._ledgers.get(partition.category)
            if ledger is None:
                self._unknown += 1
                outcomes[row] = Miss("unknown-category")
            elif fault is not None:
                ledger.semantic_misses[fault] += 1
                outcomes[row] = Miss(fault)
            else:
                groups.setdefault(partition, []).append(row)
        for partition, rows in groups.items():
            ledger = self._ledgers[partition.category]
            index = ledger.shelf.index(partition)
            part = queries if len(rows) == len(queries) else queries[rows]
            for row, outcome in zip(rows, answers(ledger, index, part, now, load), strict=True):
                outcomes[row] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    def put(
        self,
        partition: Partition,
        fingerprint: bytes,
        vector: ArrayLike | None,
        response: bytes,
        now: float,
    ) -> str | None:
        """Store an answer and return its entry's id; None if there is no room or no category.

        The first answer stays until it expires: writing again under the same fingerprint changes
        nothing, not even its age, so a redelivered response is harmless. The age counts from `now`
        or the clock, whichever is earlier. Without a vector only the exact tier finds it.

        Raises:
            CacheError: bad vector (`vector-shape`, `vector-value`), fingerprint
                (`bad-fingerprint`), response (`bad-response`) or time (`bad-time`).
        """
        _check_time(now)
        if not isinstance(fingerprint, bytes) or not 1 <= len(fingerprint) <= FINGERPRINT_BYTES:
            raise CacheError(
                "bad-fingerprint", "a fingerprint is 1 to 64 bytes", "pass a digest of the request"
            )
        if not isinstance(response, bytes):
            raise CacheError(
                "bad-response",
                f"a response is `{type(response).__name__}`, not bytes",
                "encode it first",
            )
        row = None if vector is None else unit(vector, self._dimension)
        self.sweep()
        ledger = self._ledgers.get(partition.category)
        if ledger is None:
            self._unknown += 1
            return None
        written_at = min(float(now), self._clock())
        held = ledger.shelf.find(partition, fingerprint)
        if held is not None:
            if not ledger.terms.expired(held.written_at, written_at):
                return held.id
            ledger.drop(held, "replaced")
        size = len(response) + len(fingerprint) + (0 if row is None else row.nbytes)
        if not self._make_room(ledger, len(response), size):
            return None
        entry = Entry(
            label=next(self._labels),
            id=_entry_id(partition, fingerprint),
            partition=partition,
            fingerprint=fingerprint,
            response=response,
            written_at=written_at,
            size=size,
            indexed=row is not None,
        )
        self._give_way(size)
        ledger.add(entry, row)
        return entry.id

    def invalidate(
        self, *, entry: str | None = None, scope: str | None = None, category: str | None = None
    ) -> int:
        """Drop the entries that fit everything given, and return how many.

        A whole category takes the same time whatever it holds; a scope as long as it holds entries.

        Raises:
            CacheError: nothing was given (`nothing-to-invalidate`).
        """
        if entry is None and scope is None and category is None:
            raise CacheError(
                "nothing-to-invalidate",
                "invalidate was called without saying what",
                "name an entry, a scope or a category; `clear` drops everything",
            )
        dropped = 0
        for name, ledger in self._ledgers.items():
            if category is not None and name != category:
                continue
            if entry is None and scope is None:
                dropped += len(ledger)
                self._leave(ledger)
                continue
            if entry is None:
                chosen = ledger.shelf.scoped(scope or "")
            else:
                named = ledger.shelf.named(entry)
                fits = named is not None and scope in (None, named.partition.scope)
                chosen = [named] if named is not None and fits else []
            for held in chosen:
                ledger.drop(held, "invalidated")
            dropped += len(chosen)
        return dropped

    def clear(self) -> int:
        """Drop every entry, and return how many."""
        return sum(self.invalidate(category=name) for name in list(self._ledgers))

    def sweep(self, limit: int = SWEEP) -> int:
        """Free entries that are expired by the clock, at most `limit`, and return how many.

        Lookups do this on the way; call it where none come for long.
        """
        self.release(RELEASE)
        freed = 0
        clock = self._clock()
        for ledger in self._ledgers.values():
            while freed < limit and (entry := ledger.oldest_expired(clock)) is not None:
                ledger.drop(entry, "expired")
                freed += 1
        return freed

    def release(self, limit: int) -> int:
        """Free entries that were dropped with their category, and return how many are left.

        Lookups and writes do this on the way, too; nothing of it can be seen but in `stats`.

        Args:
            limit: Most entries to free, 0 or more.
        """
        while self._leaving and limit > 0:
            limit -= self._leaving[0].release(limit)
            if not len(self._leaving[0]):
                self._leaving.popleft()
        return sum(map(len, self._leaving))

    def reconfigure(self, terms: Sequence[Terms]) -> None:
        """Put new terms in force at once, also for entries already held.

        Entries of categories that are gone are dropped with their counts. A smaller guarantee
        frees nothing by itself: it gives way to the next writes. How many entries there are makes
        no difference to how long it takes.

        Raises:
            CacheError: terms that cannot be kept (see `guaranteed_entries`); the old ones stay.
        """
        guaranteed = guaranteed_entries(terms, self._room.capacity)
        for name in self._ledgers.keys() - guaranteed.keys():
            self._leave(self._ledgers.pop(name))
        held, self._ledgers = self._ledgers, {}
        for term in terms:
            # In the order of the terms, which settles whose entry goes among equals.
            ledger = held.get(term.name)
            if ledger is None:
                ledger = Ledger(term, self._dimension, self._builder, self.fingerprints)
            self._ledgers[term.name] = ledger
            ledger.terms = term
            ledger.guaranteed = guaranteed[term.name]
            ledger.guaranteed_bytes = self._room.guaranteed_bytes(ledger.guaranteed)

    def stats(self) -> Stats:
        """The counts, as copies."""
        categories = {name: ledger.stats() for name, ledger in self._ledgers.items()}
        return Stats(
            entries=sum(map(len, self._ledgers.values())),
            bytes=sum(category.bytes for category in categories.values()),
            partitions=sum(ledger.shelf.partitions for ledger in self._ledgers.values()),
            unfreed=sum(map(len, self._leaving)),
            unfreed_bytes=sum(shelf.bytes for shelf in self._leaving),
            unknown_category=self._unknown,
            graphs_built=self._builder.built,
            graphs_failed=self._builder.failed,
            categories=categories,
        )

    def close(self) -> None:
        """Stop a build in progress. Lookups and writes go on without further graphs."""
        self._builder.close()

    def _make_room(self, ledger: Ledger, response_bytes: int, size: int) -> bool:
        ledgers = self._ledgers.values()
        if response_bytes > self._room.max_response_bytes:
            ledger.refused["too-large"] += 1
            return False
        if not self._room.has(ledgers, ledger, size):
            ledger.refused["no-room"] += 1
            return False
        for loser, entry, reason in self._room.victims(ledgers, ledger, size):
            loser.drop(entry, reason)
        return True

    def _leave(self, ledger: Ledger) -> None:
        shelf = ledger.empty("invalidated")
        if len(shelf):
            self._leaving.append(shelf)

    def _give_way(self, size: int) -> None:
        """Free what was dropped, as far as an entry of `size` bytes needs its place."""
        while self._leaving:
            shelves = [ledger.shelf for ledger in self._ledgers.values()]
            shelves += self._leaving
            entries, held = sum(map(len, shelves)), sum(shelf.bytes for shelf in shelves)
            if entries < self._room.capacity and held + size <= self._room.max_bytes:
                return
            self.release(RELEASE)


def _entry_id(partition: Partition, fingerprint: bytes) -> str:
    digest = blake2b(digest_size=16)
    for part in (
        partition.scope.encode("utf-8", "surrogatepass"),
        partition.category.encode("utf-8", "surrogatepass"),
        partition.compat,
        fingerprint,
    ):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _check_time(now: float) -> None:
    if not math.isfinite(now):
        raise CacheError("bad-time", f"the time is {now!r}", "pass finite seconds")
