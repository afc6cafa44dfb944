"""How many events of a partition may become dead letters before its lane stops.

A dead letter is the answer to one bad event. When nearly every event becomes one, it is the worker
that is wrong, or whoever fills the topic, and each further letter is one more to bring back. So
what would pass a limit is not written: the partition's committed offset stays before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from heapq import merge

from aiokafka import TopicPartition

from routec.runtime.config import Runtime
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.unit import Unit, measure


class TooManyDeadLetters(StreamError):
    """A lane stopped at a limit of dead letters.

    Attributes:
        partition: the lane's partition of the requests topic.
        limit: the key of the limit: ``max_consecutive_dead_letters`` or ``max_dead_letter_ratio``.
        offset: the first offset that is not committed.
    """

    def __init__(self, partition: TopicPartition, limit: str, offset: int, message: str) -> None:
        super().__init__(
            "too-many-dead-letters",
            message,
            "nothing is lost: mend what fails (see `routec dlq list`) and start again, which goes "
            f"on from there; to let them pass, raise `runtime.{limit}`",
        )
        self.partition = partition
        self.limit = limit
        self.offset = offset


@dataclass(frozen=True, slots=True)
class _Passed:
    """A limit that is passed.

    Attributes:
        limit: its key.
        why: what passed it.
        first: offset of the first of the letters in question that are not yet written.
        code: the last one's.
    """

    limit: str
    why: str
    first: int
    code: str


class Limits:
    """Watches the outcomes of one partition, in the order of their events.

    What is counted begins anew with each lane: after a restart or a rebalance.

    Args:
        partition: the partition.
        runtime: `max_consecutive_dead_letters` (0: no limit), `max_dead_letter_ratio` (1: no
            limit) and `dead_letter_window` are used.
    """

    def __init__(self, partition: TopicPartition, runtime: Runtime) -> None:
        self._partition = partition
        self._run_limit = runtime.max_consecutive_dead_letters
        self._window = runtime.dead_letter_window
        self._share = runtime.max_dead_letter_ratio
        # As it is written: 29 % of 100 are 29, which binary fractions miss.
        self._allowed = int(Decimal(str(self._share)) * self._window)
        self._run = 0
        self._seen = 0
        # The numbers, counted from 1, of dead letters in the window: at most one an event of it.
        self._dead: deque[int] = deque()

    def admit(self, unit: Unit) -> tuple[Unit, TooManyDeadLetters | None]:
        """What of a unit may be written; nothing is remembered yet.

        Returns:
            The unit, and no error; or, where it passes a limit, the part before the first of the
            letters that pass it, which may be empty, and why the lane stops after that.
        """
        passed = self._passed(unit)
        if passed is None:
            return unit, None
        return _before(unit, passed.first), self._error(passed, "would become", passed.first)

    def count(self, unit: Unit) -> TooManyDeadLetters | None:
        """Remember a unit that was written.

        Returns:
            Why the lane stops, where decisions that the broker refused, and that became dead
            letters while the unit was written, pass a limit.
        """
        passed = self._passed(unit) if unit.dead else None
        for dead, length, _ in _stretches(unit):
            if dead and self._share < 1.0:
                self._dead.extend(range(self._seen + 1, self._seen + length + 1))
            self._run = self._run + length if dead else 0
            self._seen += length
        while self._dead and self._dead[0] <= self._seen - self._window:
            self._dead.popleft()
        return None if passed is None else self._error(passed, "became", unit.end)

    def _passed(self, unit: Unit) -> _Passed | None:
        if not unit.dead:
            return None
        codes = {consumed.offset: why.code for consumed, why, _ in unit.dead}
        run, seen = self._run, self._seen
        recent = deque(self._dead)
        first = unit.dead[0][0].offset
        for dead, length, offsets in _stretches(unit):
            if not dead:
                run, seen = 0, seen + length
                continue
            for offset in offsets:
                run, seen = run + 1, seen + 1
                if 0 < self._run_limit < run:
                    why = f"{run:,} events in a row"
                    return _Passed("max_consecutive_dead_letters", why, offsets[0], codes[offset])
                if self._share == 1.0:
                    continue
                recent.append(seen)
                while recent[0] <= seen - self._window:
                    recent.popleft()
                if len(recent) > self._allowed:
                    why = f"{len(recent):,} of the last {self._window:,} events"
                    return _Passed("max_dead_letter_ratio", why, first, codes[offset])
        return None

    def _error(self, passed: _Passed, became: str, offset: int) -> TooManyDeadLetters:
        at = self._partition
        return TooManyDeadLetters(
            at,
            passed.limit,
            offset,
            f"{passed.why} of partition {at.partition} of `{at.topic}` {became} dead letters, "
            f"last for `{passed.code}`; stopped before offset {offset}",
        )


def _stretches(unit: Unit) -> list[tuple[bool, int, list[int]]]:
    """A unit's outcomes in order: whether dead, how many alike follow, offsets of dead ones."""
    if not unit.dead:
        return [(False, unit.events, [])] if unit.events else []
    good = [consumed.offset for consumed, _, _ in unit.decisions]
    bad = [consumed.offset for consumed, _, _ in unit.dead]
    found: list[tuple[bool, int, list[int]]] = []
    at = taken = 0
    while at < len(bad):
        before = bisect_right(good, bad[at], lo=taken)
        if before > taken:
            found.append((False, before - taken, []))
            taken = before
        end = at
        following = good[taken] if taken < len(good) else None
        while end < len(bad) and (following is None or bad[end] < following):
            end += 1
        found.append((True, end - at, bad[at:end]))
        at = end
    if taken < len(good):
        found.append((False, len(good) - taken, []))
    return found


def _before(unit: Unit, offset: int) -> Unit:
    """The outcomes of a unit before an offset."""
    decisions = [one for one in unit.decisions if one[0].offset < offset]
    dead = [one for one in unit.dead if one[0].offset < offset]
    records = [one[0] for one in merge(decisions, dead, key=lambda one: one[0].offset)]
    return Unit(unit.start, offset, len(records), measure(records), decisions, dead)
