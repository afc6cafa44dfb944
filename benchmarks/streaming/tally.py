"""What a candidate has done, counted by itself."""

from __future__ import annotations

import asyncio
import resource
import time
from typing import Any

from routec.runtime.stream.observer import Silent


class Tally(Silent):
    """Counts events and commits from the first batch to the last commit.

    Args:
        count: how many events there are; ``None`` where it is not known.

    Attributes:
        done: set when that many are committed.
        opened: set when all partitions are open (workers only).
    """

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._started = time.perf_counter()
        self._begun = self._ended = self._used = self._spent = 0.0
        self._opening: float | None = None
        self.events = self.transactions = 0
        self.done = asyncio.Event()
        self.opened = asyncio.Event()

    def taken(self) -> None:
        """A batch is about to be decided."""
        if not self._begun:
            self._begun, self._used = time.perf_counter(), time.process_time()

    def committed(self, events: int, seconds: float) -> None:
        """One commit (at least once: one acknowledged write) of a partition's outcomes."""
        self.events += events
        self.transactions += 1
        if self.events == self._count:
            self._ended, self._spent = time.perf_counter(), time.process_time()
            self.done.set()

    def ready(self, holds: bool) -> None:
        """All partitions are open."""
        if holds and self._opening is None:
            self._opening = time.perf_counter() - self._started
            self.opened.set()

    def report(self) -> dict[str, Any]:
        """As JSON."""
        complete = self.done.is_set()
        return {
            "events": self.events,
            "transactions": self.transactions,
            "seconds": self._ended - self._begun if complete else None,
            "cpu_seconds": self._spent - self._used if complete else None,
            "opening_seconds": self._opening,
            "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
