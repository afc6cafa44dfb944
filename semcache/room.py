"""Whose entry goes when the cache is full."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .ledger import Ledger
from .shelf import Entry

__all__ = ["Room"]


class Room:
    """The bounds of a cache and how its categories share them.

    A category may borrow whatever is free. Once the cache is full, entries are taken from the
    category furthest above its guarantee, the writer counted with what it is about to write (of
    equals, the writer). So no category falls below its guarantee by another's writes; in bytes, by
    at most a part of one entry.
    """

    __slots__ = ("capacity", "max_bytes", "max_response_bytes")

    def __init__(self, capacity: int, max_bytes: int, max_response_bytes: int) -> None:
        self.capacity = capacity
        self.max_bytes = max_bytes
        self.max_response_bytes = max_response_bytes

    def guaranteed_bytes(self, entries: int) -> int:
        """The part of the bytes that goes with a guarantee of so many entries."""
        return self.max_bytes * entries // self.capacity

    def has(self, ledgers: Collection[Ledger], writer: Ledger, size: int) -> bool:
        """Whether evictions within the rules can make room for `size` bytes of `writer`."""
        if sum(map(len, ledgers)) >= self.capacity and not any(
            len(other) and _entries_over(other, writer) > 0 for other in ledgers
        ):
            return False
        free = self.max_bytes - sum(ledger.bytes for ledger in ledgers)
        if size <= free:
            return True
        takeable = sum(
            max(0, other.bytes - other.guaranteed_bytes) for other in ledgers if other is not writer
        )
        return size <= free + takeable + writer.bytes

    def victims(
        self, ledgers: Collection[Ledger], writer: Ledger, size: int
    ) -> Iterator[tuple[Ledger, Entry, str]]:
        """The entries to drop, each before the next is asked for; `has` must have said yes."""
        while sum(map(len, ledgers)) >= self.capacity:
            ledger = max(
                (ledger for ledger in ledgers if len(ledger)),
                key=lambda other: (_entries_over(other, writer), other is writer),
            )
            yield ledger, ledger.shelf.victim(), "capacity"
        while sum(ledger.bytes for ledger in ledgers) + size > self.max_bytes:
            ledger = max(
                (ledger for ledger in ledgers if len(ledger)),
                key=lambda other: (_bytes_over(other, writer, size), other is writer),
            )
            yield ledger, ledger.shelf.victim(), "bytes"


def _entries_over(ledger: Ledger, writer: Ledger) -> int:
    return len(ledger) + (ledger is writer) - ledger.guaranteed


def _bytes_over(ledger: Ledger, writer: Ledger, size: int) -> int:
    return ledger.bytes + (size if ledger is writer else 0) - ledger.guaranteed_bytes
