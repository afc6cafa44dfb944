"""Joining the requests of a partition with their decisions, in bounded memory.

A decision is written to the partition of its request, in the order of the requests, and its id is
a hash of its request's place. So both are read once, side by side. The hash tells a decision's
place only to who tries that place: the ids of the next offsets are worked out, a window of them,
and a decision found among them belongs to a later request, which it waits for. One that is not
among them is passed over: it belongs to a request before the first one, was written twice, or
comes from another topic. Where nothing of what is left of the decisions is in the window, none of
its requests has one, and the decisions that were passed over are read again for the next window.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from routec.runtime.events.encode import decision_id
from routec.runtime.records import Record

WINDOW = 65_536
"""Offsets whose ids are held, some 15 MB."""
_STEP = 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """A record of the decisions topic.

    Attributes:
        offset: its offset there.
        id: the id of the decision in it; ``None`` where it is no decision.
        value: its bytes.
    """

    offset: int
    id: str | None
    value: bytes | None


class Decisions(Protocol):
    """The decisions of one partition, in order."""

    async def more(self) -> list[Seen] | None:
        """The next of them; ``None`` at the end."""
        ...

    def seek(self, offset: int) -> None:
        """Go on from there."""
        ...


class Join:
    """Finds the decision of each request of one partition.

    Args:
        topic: topic of the requests.
        partition: the partition.
        decisions: the decisions, in the order of their requests.
        window: offsets whose ids are held, from 1.

    Attributes:
        unreadable: records among the decisions that are none; one that was read twice counts twice.
    """

    def __init__(
        self, topic: str, partition: int, decisions: Decisions, window: int = WINDOW
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._decisions = decisions
        self._window = window
        self._waiting: deque[Seen] = deque()
        self._ids: dict[str, int] = {}
        self._offsets: deque[str] = deque()
        self._first = 0
        # Of the offsets below, none has a decision among what is left.
        self._none_before = -1
        self._done = False
        self.unreadable = 0

    async def of(self, offset: int) -> Seen | None:
        """The decision about the request at an offset; ``None`` where there is none.

        Args:
            offset: the request's, above those asked for before.
        """
        self._advance(offset)
        passed: int | None = None
        if self._done or offset < self._none_before:
            return None
        while (head := await self._head()) is not None:
            if head.id is None:
                self.unreadable += 1
            else:
                place = self._place(head.id)
                if place == offset:
                    self._waiting.popleft()
                    return head
                if place is not None:
                    return None
                passed = head.offset if passed is None else passed
            self._waiting.popleft()
        if passed is None:
            self._done = True
        else:
            self._none_before = offset + self._window
            self._decisions.seek(passed)
        return None

    async def _head(self) -> Seen | None:
        while not self._waiting:
            some = await self._decisions.more()
            if some is None:
                return None
            self._waiting.extend(some)
        return self._waiting[0]

    def _advance(self, offset: int) -> None:
        """Forget the ids of the offsets before this one."""
        while self._offsets and self._first < offset:
            del self._ids[self._offsets.popleft()]
            self._first += 1
        self._first = max(self._first, offset)

    def _place(self, id: str) -> int | None:
        """The offset in the window that an id belongs to."""
        while id not in self._ids and len(self._offsets) < self._window:
            start = self._first + len(self._offsets)
            for offset in range(start, min(start + _STEP, self._first + self._window)):
                own = decision_id(Record(self._topic, self._partition, offset, 0, None, None))
                self._ids[own] = offset
                self._offsets.append(own)
        return self._ids.get(id)
