"""What a candidate has done, counted by itself."""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass
from typing import Any

from routec.runtime.stream.observer import Silent

SETTLING = 0.2
"""Share of the events, from the first, that does not count: everything is getting going then."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where the counts stood at a time, and the CPU used by then."""

    events: int
    transactions: int
    time: float
    cpu: float


class Tally(Silent):
    """Counts events and commits.

    Args:
        count: events after which it is done; ``None`` where there is no end.

    Attributes:
        done: set when that many, or some more, are committed.
        opened: set when all partitions are open (workers only).
    """

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._settled = None if count is None else count * SETTLING
        self._started = time.perf_counter()
        self._begin: _Mark | None = None
        self._end: _Mark | None = None
        self._opening: float | None = None
        self._events = self._transactions = 0
        self.done = asyncio.Event()
        self.opened = asyncio.Event()

    def committed(self, events: int, seconds: float) -> None:
        """One commit (at least once: one acknowledged write) of a partition's outcomes."""
        self._events += events
        self._transactions += 1
        if self._settled is not None and self._events >= self._settled:
            self._settled = None
            self._begin = self._mark()
        if self._count is not None and self._end is None and self._events >= self._count:
            self._end = self._mark()
            self.done.set()

    def _mark(self) -> _Mark:
        return _Mark(self._events, self._transactions, time.perf_counter(), time.process_time())

    def ready(self, holds: bool) -> None:
        """All partitions are open."""
        if holds and self._opening is None:
            self._opening = time.perf_counter() - self._started
            self.opened.set()

    def report(self) -> dict[str, Any]:
        """As JSON: rate in events per second, CPU in microseconds per event, memory in bytes."""
        found = {
            "events": self._events,
            "grouped": self._events / max(1, self._transactions),
            "opening_seconds": self._opening,
            "most_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        begin, end = self._begin, self._end
        if begin is not None and end is not None:
            events = end.events - begin.events
            found |= {
                "rate": events / (end.time - begin.time),
                "cpu_us": (end.cpu - begin.cpu) / events * 1e6,
                "grouped": events / (end.transactions - begin.transactions),
            }
        return found
