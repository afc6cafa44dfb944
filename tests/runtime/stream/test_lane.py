"""A lane keeps order, groups what is decided while it writes, and drops what comes too late."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from routec.runtime.config import Runtime
from routec.runtime.records import Dead, Decided, Outcome
from routec.runtime.stream.budget import Budget
from routec.runtime.stream.deadline import Deadline
from routec.runtime.stream.lane import Counts, Lane
from routec.runtime.stream.lease import Lease
from routec.runtime.stream.limits import Limits, TooManyDeadLetters
from routec.runtime.stream.observer import Silent
from routec.runtime.stream.turns import Turns
from routec.runtime.stream.unit import Displaced, Lost, Slice, Unit, measure

AT = TopicPartition("t", 0)


def consumed(offset: int, partition: int = 0, value: bytes = b"12345") -> ConsumerRecord:
    return ConsumerRecord("t", partition, offset, 7, 0, b"k", value, None, 1, 5, ())


def outcomes(part: Slice) -> list[Outcome]:
    return [
        Dead("odd", "no") if one.offset % 5 == 4 else Decided(str(one.offset).encode(), ())
        for one in part.records
    ]


class Paper:
    """A writer that keeps units in a list, and does what it is told to do first."""

    def __init__(self, offset: int | None = 0, linger: float = 0.0) -> None:
        self.offset = offset
        self.linger = linger
        self.units: list[Unit] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails: list[BaseException] = []
        self.closed = False

    async def open(self) -> int | None:
        return self.offset

    async def write(self, unit: Unit) -> None:
        await self.gate.wait()
        if self.fails:
            raise self.fails.pop(0)
        self.units.append(unit)

    async def close(self) -> None:
        self.closed = True


class Setting:
    """A lane with everything around it."""

    def __init__(self, writer: Paper, partition: int = 0, limits: Runtime | None = None) -> None:
        self.writer = writer
        self.budget = Budget(1_000, 1_000_000, lambda: None)
        self.counts = Counts()
        self.lease = Lease(1, lambda: "sha256:new")
        self.sought: list[int | None] = []
        self.lane = Lane(
            TopicPartition("t", partition),
            self.lease,
            writer,
            self._seek,
            self.budget,
            self.counts,
            Silent(),
            lambda: None,
            Limits(TopicPartition("t", partition), limits or Runtime()),
        )

    async def _seek(self, partition: TopicPartition, offset: int | None) -> int:
        self.sought.append(offset)
        return 70 if offset is None else offset

    def offer(self, *offsets: int) -> None:
        self.lane.offer([consumed(one) for one in offsets], offsets[-1] + 1, {})

    def decide(self, most: int = 100) -> Slice:
        part = self.lane.take(most)
        self.lane.finish(part, outcomes(part), "sha256:old")
        return part


@asynccontextmanager
async def a_lane(writer: Paper | None = None) -> AsyncIterator[Setting]:
    setting = Setting(writer or Paper())
    setting.lane.start()
    await turns()
    yield setting
    await setting.lane.close()
    assert (setting.budget.events, setting.budget.bytes) == (0, 0)


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_outcomes_are_committed_in_order_with_the_offset_after_them() -> None:
    async with a_lane() as one:
        one.offer(0, 1, 2, 3, 4, 5)
        assert one.lane.position == 6
        one.decide(4)
        one.decide()
        await one.lane.settled()
        (unit,) = one.writer.units
        assert (unit.start, unit.end, unit.events) == (0, 6, 6)
        assert [source.offset for source, _, _ in unit.decisions] == [0, 1, 2, 3, 5]
        assert [(source.offset, policy) for source, _, policy in unit.dead] == [(4, "sha256:old")]
        assert (one.counts.decided, one.counts.dead) == (5, 1)


async def test_what_is_decided_while_a_unit_is_written_makes_the_next_one() -> None:
    async with a_lane() as one:
        one.writer.gate.clear()
        for offset in range(5):
            one.offer(offset)
            one.decide()
            await turns()
        one.writer.gate.set()
        await one.lane.settled()
        assert [(unit.start, unit.end) for unit in one.writer.units] == [(0, 1), (1, 5)]


async def test_a_writer_that_lingers_waits_for_what_is_about_to_be_decided() -> None:
    async with a_lane(Paper(linger=60.0)) as one:
        one.offer(0, 1)
        one.offer(2)
        one.offer(3)
        one.decide(1)
        await turns()
        one.decide(1)
        await turns()
        last = one.lane.take(100), one.lane.take(100)
        await turns()
        assert one.writer.units == []
        for part in last:
            one.lane.finish(part, outcomes(part), "sha256:old")
        await one.lane.settled()
        # What comes when nothing else waits is written at once.
        one.offer(4)
        one.decide()
        await one.lane.settled()
        assert [(unit.start, unit.end) for unit in one.writer.units] == [(0, 4), (4, 5)]


async def test_it_lingers_no_longer_than_it_says() -> None:
    async with a_lane(Paper(linger=0.01)) as one:
        one.offer(0)
        one.offer(1)
        one.decide()
        await one.lane.settled()
        assert [(unit.start, unit.end) for unit in one.writer.units] == [(0, 1)]


async def test_it_lingers_for_nothing_once_it_takes_no_more() -> None:
    async with a_lane(Paper(linger=60.0)) as one:
        one.offer(0)
        one.offer(1)
        one.decide()
        await turns()
        one.lane.halt()
        await one.lane.settled()
        assert [(unit.start, unit.end) for unit in one.writer.units] == [(0, 1)]


async def test_an_offset_that_the_group_does_not_have_yet_is_committed_at_once() -> None:
    async with a_lane(Paper(offset=None)) as one:
        assert one.sought == [None]
        (unit,) = one.writer.units
        assert (unit.start, unit.end, unit.events) == (None, 70, 0)
        one.offer(70)
        one.decide()
        await one.lane.settled()
        assert (one.writer.units[1].start, one.writer.units[1].end) == (70, 71)


async def test_offsets_without_records_are_committed_in_their_turn() -> None:
    async with a_lane() as one:
        one.offer(0, 1)
        one.lane.offer([], 9, {})
        one.decide()
        one.decide()
        await one.lane.settled()
        assert [unit.end for unit in one.writer.units] == [9]


async def test_a_halted_lane_takes_no_more_and_writes_what_is_decided() -> None:
    async with a_lane() as one:
        one.writer.gate.clear()
        one.offer(0, 1)
        one.offer(2, 3)
        part = one.lane.take(2)
        one.lane.halt()
        assert not one.lane.waiting
        one.lane.finish(part, outcomes(part), "sha256:old")
        one.writer.gate.set()
        await one.lane.settled()
        assert [unit.end for unit in one.writer.units] == [2]
        assert one.budget.events == 0


async def test_outcomes_for_a_closed_lane_are_dropped() -> None:
    async with a_lane() as one:
        one.offer(0, 1, 2)
        part = one.lane.take(2)
        await one.lane.close()
        assert one.writer.closed
        assert one.budget.events == 2  # what is being decided is still there
        one.lane.finish(part, outcomes(part), "sha256:old")
        assert (one.writer.units, one.counts.stale, one.budget.events) == ([], 2, 0)


async def test_a_unit_that_is_being_written_when_the_lane_closes_is_dropped() -> None:
    async with a_lane() as one:
        one.writer.gate.clear()
        one.offer(0, 1)
        one.decide()
        await turns()
        one.offer(2)
        one.decide()
        await one.lane.close()
        await one.lane.settled()
        assert (one.writer.units, one.counts.stale) == ([], 3)


async def test_a_lane_whose_offset_was_moved_goes_there_and_forgets_what_it_had() -> None:
    async with a_lane() as one:
        one.writer.fails.append(Displaced(40))
        one.offer(0, 1, 2)
        one.offer(3, 4)
        late = one.lane.take(2)
        early = one.lane.take(1)
        one.lane.finish(early, outcomes(early), "sha256:old")
        await turns()
        assert (one.sought, one.lane.position) == ([0, 40], 40)
        assert not one.lane.waiting
        one.lane.finish(late, outcomes(late), "sha256:old")
        one.offer(40)
        one.decide()
        await one.lane.settled()
        assert [(unit.start, unit.end) for unit in one.writer.units] == [(40, 41)]
        assert one.counts.stale == 3


@pytest.mark.parametrize("to", [40, 2])
async def test_a_lane_takes_nothing_in_while_it_goes_to_a_moved_offset(to: int) -> None:
    async with a_lane() as one:
        asked, found = asyncio.Event(), asyncio.Event()

        async def seek(partition: TopicPartition, offset: int | None) -> int:
            asked.set()
            await found.wait()
            assert offset == to
            return to

        one.lane._seek = seek
        one.writer.fails.append(Displaced(to))
        one.offer(0, 1, 2)
        one.decide()
        await asked.wait()
        assert one.lane.state == "opening"
        # Even what is handed in all the same is of the old place.
        one.offer(3, 4)
        one.decide()
        one.offer(5)
        found.set()
        await turns()
        assert (one.lane.state, one.lane.position, one.lane.waiting) == ("running", to, False)
        one.offer(to)
        one.decide()
        await one.lane.settled()
        assert [(unit.start, unit.end) for unit in one.writer.units] == [(to, to + 1)]


async def test_a_lane_whose_first_offset_was_moved_goes_there() -> None:
    writer = Paper(offset=None)
    writer.fails.append(Displaced(40))
    async with a_lane(writer) as one:
        assert (one.sought, one.lane.position, one.lane.state) == ([None, 40], 40, "running")
        one.offer(40)
        one.decide()
        await one.lane.settled()
        assert [(unit.start, unit.end) for unit in writer.units] == [(40, 41)]


async def test_a_partition_that_moved_closes_its_lane_without_an_error() -> None:
    async with a_lane() as one:
        one.writer.fails.append(Lost())
        one.offer(0)
        one.decide()
        await turns()
        assert one.lane.state == "closed"
        assert one.lane.error is None


async def test_what_cannot_go_on_is_told() -> None:
    async with a_lane() as one:
        one.writer.fails.append(RuntimeError("made up"))
        one.offer(0)
        one.decide()
        await turns()
        assert isinstance(one.lane.error, RuntimeError)
        await one.lane.settled()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 20), st.data())
def test_cutting_loses_nothing(sizes: list[int], most: int, data: st.DataObject) -> None:
    count = sum(sizes)
    records = [consumed(offset) for offset in range(count)]
    odd = data.draw(st.sets(st.integers(0, count - 1)))
    left = Slice(3, records, {at: Dead("odd", str(at)) for at in odd}, measure(records), 1000)
    found: list[Any] = []
    told: dict[int, Dead] = {}
    size = 0
    while len(left.records) > most:
        head, left = left.cut(most)
        assert head.end == head.records[-1].offset + 1
        told |= {head.records[at].offset: why for at, why in head.unreadable.items()}
        found += head.records
        size += head.bytes
    told |= {left.records[at].offset: why for at, why in left.unreadable.items()}
    assert [one.offset for one in found + left.records] == list(range(count))
    assert {at: why.message for at, why in told.items()} == {at: str(at) for at in odd}
    assert size + left.bytes == measure(records)
    assert left.end == 1000


@given(st.lists(st.integers(0, 300), min_size=1, max_size=6), st.integers(1, 64))
async def test_batches_take_turns_and_keep_the_order_of_each_lane(
    waiting: list[int], size: int
) -> None:
    settings = [Setting(Paper(), number) for number in range(len(waiting))]
    for number, (setting, count) in enumerate(zip(settings, waiting, strict=True)):
        if count:
            records = [consumed(offset, number) for offset in range(count)]
            setting.lane.offer(records, count, {})
    turns_ = Turns(size)
    lanes = [setting.lane for setting in settings]
    seen: dict[int, list[int]] = {}
    left = list(waiting)
    while turns_.any(lanes):
        batch = turns_.take(lanes)
        records = [one for _, part in batch for one in part.records]
        assert len(records) == min(size, sum(left))
        shares = [0] * len(waiting)
        for one in records:
            seen.setdefault(one.partition, []).append(one.offset)
            shares[one.partition] += 1
        # Whoever got less than another had no more.
        for number, share in enumerate(shares):
            left[number] -= share
            if share + 1 < max(shares) and len(waiting) <= size:
                assert left[number] == 0
    assert seen == {n: list(range(count)) for n, count in enumerate(waiting) if count}


async def test_a_lease_ends_once_and_wakes_who_waits() -> None:
    lease = Lease(1, lambda: "")
    assert lease.active
    assert not await lease.ends_within(0.001)
    waiting = asyncio.create_task(lease.ends_within(10))
    await turns()
    lease.end()
    assert await waiting
    assert not lease.active


def test_a_deadline_is_shared_and_has_a_floor() -> None:
    past = Deadline.after(-5.0)
    assert past.remaining() == 0.0
    assert past.remaining(floor=2.0) == 2.0
    assert Deadline.after(50.0).remaining(floor=2.0) == pytest.approx(50.0, abs=1.0)


def bad(*records: int) -> list[Outcome]:
    return [Dead("odd", "no") for _ in records]


async def test_at_a_limit_what_came_before_is_committed_and_nothing_after() -> None:
    setting = Setting(Paper(), limits=Runtime(max_consecutive_dead_letters=2))
    lane = setting.lane
    lane.start()
    await turns()
    setting.offer(*range(3))
    setting.decide()
    await lane.settled()
    setting.offer(3, 5, 6, 7)
    part = lane.take(9)
    lane.finish(part, [Decided(b"", ()), *bad(5, 6, 7)], "sha256:old")
    await lane.settled()
    assert [(unit.start, unit.end, unit.events) for unit in setting.writer.units] == [
        (0, 3, 3),
        (3, 5, 1),
    ]
    assert isinstance(lane.error, TooManyDeadLetters)
    assert (lane.error.partition, lane.error.offset) == (lane.partition, 5)
    assert lane.state == "closed"
    counts = setting.counts
    assert (counts.decided, counts.dead, counts.stale) == (4, 0, 3)
    assert (setting.budget.events, setting.budget.bytes) == (0, 0)
    await lane.close()


async def test_a_unit_that_begins_with_what_passes_a_limit_is_not_written_at_all() -> None:
    setting = Setting(Paper(), limits=Runtime(max_consecutive_dead_letters=2))
    lane = setting.lane
    lane.start()
    await turns()
    setting.offer(0, 1, 2)
    lane.finish(lane.take(9), bad(0, 1, 2), "sha256:old")
    await lane.settled()
    assert setting.writer.units == []
    assert isinstance(lane.error, TooManyDeadLetters)
    assert (setting.budget.events, setting.counts.stale) == (0, 3)
    await lane.close()


def test_headers_count_for_what_may_be_in_flight() -> None:
    plain, headed = consumed(0), consumed(1)
    headed = dataclasses.replace(headed, headers=(("name", b"12345"), ("odd", None)))
    assert measure([plain, headed]) == 6 + 6 + 4 + 5 + 3
