"""What travels through a lane: slices on the way in, units on the way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from routec.runtime.records import Dead, Outcome
from routec.runtime.stream.letters import RawHeaders, decision_headers

Entry = tuple[Any, bytes | None, RawHeaders]
"""A record to write: the consumed record it answers, the value, the headers; the key is copied."""


@dataclass(slots=True)
class Slice:
    """Consecutive records of one partition on their way to a decision.

    Attributes:
        generation: the lane's when they were taken; outcomes of an older one are dropped.
        records: consumed records (`aiokafka.ConsumerRecord`), in order; may be empty where the
            partition has nothing but offsets to skip.
        unreadable: by index in ``records``, why a record could not be read.
        bytes: bytes of keys, values and headers.
        end: the offset to go on from.
    """

    generation: int
    records: list[Any]
    unreadable: dict[int, Dead]
    bytes: int
    end: int

    def cut(self, count: int) -> tuple[Slice, Slice]:
        """The first ``count`` records, from 1 to fewer than there are, and the rest."""
        head, tail = self.records[:count], self.records[count:]
        size = measure(head)
        return (
            Slice(
                self.generation,
                head,
                {at: why for at, why in self.unreadable.items() if at < count},
                size,
                head[-1].offset + 1,
            ),
            Slice(
                self.generation,
                tail,
                {at - count: why for at, why in self.unreadable.items() if at >= count},
                self.bytes - size,
                self.end,
            ),
        )


def measure(records: Iterable[Any]) -> int:
    """Bytes of keys, values and headers."""
    total = 0
    for one in records:
        if one.key is not None:
            total += len(one.key)
        if one.value is not None:
            total += len(one.value)
        if one.headers:
            total += headers_size(one.headers)
    return total


def headers_size(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Bytes of headers; of their names as many as they have characters."""
    return sum(len(name) + (0 if value is None else len(value)) for name, value in headers)


@dataclass(slots=True)
class Unit:
    """A stretch of one partition's outcomes that is committed as a whole or not at all.

    Attributes:
        start: the committed offset before it; ``None`` where the group has none yet.
        end: the committed offset after it.
        events: requests it answers.
        bytes: their bytes.
        decisions: decisions, in the order of their requests.
        dead: consumed records that become dead letters, why, and the hash of the policy in
            force, in order.
    """

    start: int | None
    end: int
    events: int = 0
    bytes: int = 0
    decisions: list[Entry] = field(default_factory=list)
    dead: list[tuple[Any, Dead, str]] = field(default_factory=list)

    def add(self, taken: Slice, outcomes: Sequence[Outcome], policy_hash: str) -> None:
        """Append the outcomes of the next slice, one a record."""
        decisions, dead = self.decisions, self.dead
        for consumed, outcome in zip(taken.records, outcomes, strict=True):
            if isinstance(outcome, Dead):
                dead.append((consumed, outcome, policy_hash))
            else:
                headers = decision_headers(consumed.headers, outcome)
                decisions.append((consumed, outcome.value, headers))
        self.events += len(taken.records)
        self.bytes += taken.bytes
        self.end = taken.end

    def bury(self, refused: Sequence[tuple[Any, Dead]], policy_hash: str) -> None:
        """Make dead letters of decisions that the broker refuses."""
        offsets = {consumed.offset for consumed, _ in refused}
        self.decisions = [one for one in self.decisions if one[0].offset not in offsets]
        self.dead.extend((consumed, why, policy_hash) for consumed, why in refused)
        self.dead.sort(key=lambda one: one[0].offset)

    def cut(self, count: int) -> tuple[Unit, Unit | None]:
        """A unit of its first events, at most so many (1 or more), and one of the rest, if any."""
        if self.events <= count:
            return self, None
        places = sorted(consumed.offset for consumed, *_ in (*self.decisions, *self.dead))
        border = places[count]
        head, rest = self._part(self.start, border), self._part(border, self.end)
        return head, rest

    def join(self, parts: Sequence[Unit]) -> None:
        """Take over what became of its parts while they were written."""
        self.decisions = [one for part in parts for one in part.decisions]
        self.dead = [one for part in parts for one in part.dead]

    def _part(self, start: int | None, end: int) -> Unit:
        first = -1 if start is None else start
        decisions = [one for one in self.decisions if first <= one[0].offset < end]
        dead = [one for one in self.dead if first <= one[0].offset < end]
        records = [consumed for consumed, *_ in (*decisions, *dead)]
        return Unit(start, end, len(records), measure(records), decisions, dead)

    def codes(self) -> Counter[str]:
        """Dead letters by code."""
        return Counter(why.code for _, why, _ in self.dead)


class Displaced(Exception):
    """The group's committed offset is not where this lane left it.

    Attributes:
        offset: where it is; ``None`` if there is none.
    """

    def __init__(self, offset: int | None) -> None:
        super().__init__(offset)
        self.offset = offset


class Lost(Exception):
    """The partition belongs to another worker now."""


class Writer(Protocol):
    """Writes one lane's units. Used by one task at a time.

    Attributes:
        linger: seconds by which a unit may be late for the sake of a larger one; 0 for none.
    """

    linger: float

    async def open(self) -> int | None:
        """Get ready to write, then read the offset from which to go on.

        Returns:
            The group's committed offset; ``None`` if it has none.

        Raises:
            Lost: the partition moved meanwhile.
            StreamError: the broker forbids it.
        """

    async def write(self, unit: Unit) -> None:
        """Write a unit and its end offset, as often as it takes.

        What the broker refuses for its size or content becomes a dead letter in the unit.

        Raises:
            Lost: the partition moved before it was done; nothing of it was committed, or all.
            Displaced: the committed offset was moved by somebody else; the unit is void.
            StreamError: the broker forbids it, or takes no dead letter.
        """

    async def close(self) -> None:
        """Give everything up, in bounded time; a unit that is being written is abandoned."""
