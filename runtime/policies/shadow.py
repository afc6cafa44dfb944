"""What another policy would have decided, found out beside the decisions that count."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from routec.runtime.events.encode import decision_id
from routec.runtime.records import Dead, Outcome, Record
from routec.runtime.service import PolicyService

log = logging.getLogger(__name__)

SLICE = 16
"""Events that a shadow decides at once: decisions wait at most for so many."""
REST = 3.0
"""Time that a shadow rests after each slice, in times of what the slice took."""
MOST_EVENTS = 2_000
"""Most decided events that wait for a shadow; what comes then is not compared."""
MOST_BYTES = 8 * 1024 * 1024
"""Bytes of events and decisions above which nothing more is taken to compare."""
_COMPARED = ("outcome", "route", "model", "reject", "redacted")


class _Decided(NamedTuple):
    active: PolicyService
    shadow: PolicyService
    record: Record
    outcome: Outcome
    bytes: int


class Comparer:
    """Has decided events decided again by a shadow, and tells of each that differs.

    A shadow has no side effects: it has a cache of its own in which nothing is ever stored, and
    nobody hears of what it does but through the differences. Events answered from the cache are
    not compared. It decides in the same thread, so at most `SLICE` events at once, and rests
    `REST` times as long after each: where it cannot keep up, events are skipped.

    Args:
        tell: takes the key and the JSON of a difference; returns at once.

    Attributes:
        compared: events that were compared.
        differing: how many of them differed.
        skipped: events that were not compared, because there was no room or the shadow failed.
    """

    def __init__(self, tell: Callable[[bytes, bytes], None]) -> None:
        self._tell = tell
        self._waiting: deque[_Decided] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.compared = 0
        self.differing = 0
        self.skipped = 0

    def start(self) -> None:
        """Begin to compare."""
        self._task = asyncio.create_task(self._run(), name="routec-shadow")

    def offer(
        self,
        active: PolicyService,
        shadow: PolicyService,
        records: Sequence[Record],
        outcomes: Sequence[Outcome],
    ) -> None:
        """Compare a decided batch some time, as far as there is room; returns at once."""
        for record, outcome in zip(records, outcomes, strict=True):
            size = len(record.value or b"")
            size += 0 if isinstance(outcome, Dead) else len(outcome.value)
            if len(self._waiting) >= MOST_EVENTS or self._bytes + size > MOST_BYTES:
                self.skipped += 1
                continue
            self._waiting.append(_Decided(active, shadow, record, outcome, size))
            self._bytes += size
        self._news.set()

    async def stop(self) -> None:
        """Stop; what waits is not compared."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            while self._waiting:
                begun = time.perf_counter()
                part = self._take()
                try:
                    await self._compare(part)
                except Exception:
                    self.skipped += len(part)
                    log.exception("the shadow failed; its events are not compared")
                await asyncio.sleep(REST * (time.perf_counter() - begun))
            await self._news.wait()

    def _take(self) -> list[_Decided]:
        """The next events that the same two policies are compared for."""
        part = [self._waiting.popleft()]
        while self._waiting and len(part) < SLICE and self._waiting[0][:2] == part[0][:2]:
            part.append(self._waiting.popleft())
        self._bytes -= sum(one.bytes for one in part)
        return part

    async def _compare(self, part: list[_Decided]) -> None:
        active, shadow = part[0].active, part[0].shadow
        # What is chosen by latency must not differ for want of observations.
        shadow.memory.latencies.update(active.memory.latencies)
        outcomes = await shadow.decide([one.record for one in part])
        for one, other in zip(part, outcomes, strict=True):
            ours, theirs = _plain(one.outcome), _plain(other)
            if ours.get("outcome") == "cached":
                continue
            self.compared += 1
            if all(ours.get(name) == theirs.get(name) for name in _COMPARED):
                continue
            self.differing += 1
            self._tell(
                one.record.key or decision_id(one.record).encode(),
                orjson.dumps(
                    {
                        "decision_id": decision_id(one.record),
                        "request_id": ours.get("request_id", theirs.get("request_id")),
                        "time": ours.get("time", theirs.get("time")),
                        "policy": active.policy_name,
                        "in_force": _told(active, ours),
                        "shadow": _told(shadow, theirs),
                    }
                ),
            )


def _plain(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Dead):
        return {"outcome": "dead", "reject": {"reason": outcome.code}}
    event: dict[str, Any] = orjson.loads(outcome.value)
    return event


def _told(service: PolicyService, event: dict[str, Any]) -> dict[str, Any]:
    return {"hash": service.policy_hash} | {name: event.get(name) for name in _COMPARED}
