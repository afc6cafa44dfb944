"""Making batches of what waits in the lanes, each in its turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from routec.runtime.stream.lane import Lane
from routec.runtime.stream.unit import Slice


class Turns:
    """Fills batches fairly: a partition that is far behind does not keep the others waiting.

    Each lane that has something waiting gets an equal share of a batch, and what some leave goes
    to the others; which lane comes first moves on from batch to batch.

    Args:
        size: most records in a batch, from 1.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._first = 0

    def any(self, lanes: Iterable[Lane]) -> bool:
        """Whether something waits."""
        return any(lane.waiting for lane in lanes)

    def full(self, lanes: Iterable[Lane]) -> bool:
        """Whether what waits fills a batch."""
        return sum(lane.queued for lane in lanes) >= self._size

    def take(self, lanes: Sequence[Lane]) -> list[tuple[Lane, Slice]]:
        """The next batch; in each lane its records keep their order."""
        if not lanes:
            return []
        first = self._first % len(lanes)
        self._first = first + 1
        waiting = [lane for lane in (*lanes[first:], *lanes[:first]) if lane.waiting]
        taken: list[tuple[Lane, Slice]] = []
        room = self._size
        while waiting and room:
            share = max(1, room // len(waiting))
            for lane in waiting:
                if not room:
                    break
                part = lane.take(min(share, room))
                taken.append((lane, part))
                room -= len(part.records)
            waiting = [lane for lane in waiting if lane.waiting]
        return taken
