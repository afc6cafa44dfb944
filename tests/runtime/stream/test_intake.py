"""Whatever comes between, a lane is handed the records of its partition, each once and in order."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaConnectionError
from aiokafka.structs import ConsumerRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.runtime.config import Config, Kafka, Runtime
from routec.runtime.records import Decided
from routec.runtime.stream.budget import Budget
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.faults import NoFaults
from routec.runtime.stream.intake import Intake
from routec.runtime.stream.lane import Counts, Lane
from routec.runtime.stream.lease import Lease
from routec.runtime.stream.limits import Limits
from routec.runtime.stream.observer import Silent
from routec.runtime.stream.unit import Displaced, Unit

AT = TopicPartition("t", 0)
END = 120
CONFIG = Config(kafka=Kafka(retry_backoff=0.001), runtime=Runtime(batch_size=10))


def consumed(offset: int) -> ConsumerRecord:
    return ConsumerRecord("t", 0, offset, 7, 0, b"k", b"12345", None, 1, 5, ())


class Log:
    """A partition, a client that reads it, and the group's offset, which others may move.

    Args:
        rng: how long each step takes.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.linger = rng.choice((0.0, 0.001))
        self.position = self.committed = 0
        self.end = END
        self.reads = 0
        self.fails: list[Exception] = []

    async def turns(self) -> None:
        for _ in range(self.rng.randrange(4)):
            await asyncio.sleep(0)

    # --- as a consumer

    def paused(self) -> set[TopicPartition]:
        return set()

    def pause(self, *partitions: TopicPartition) -> None:
        """Nothing is taken of what is not asked for."""

    resume = pause

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.position = offset

    def highwater(self, partition: TopicPartition) -> int:
        return self.end

    async def getmany(self, *asked: TopicPartition, timeout_ms: int, max_records: int) -> Any:
        self.reads += 1
        await self.turns()
        if self.fails:
            self.position += 3  # it has unpacked what it does not hand over
            raise self.fails.pop()
        begin, self.position = self.position, min(self.end, self.position + max_records)
        return (
            {AT: [consumed(at) for at in range(begin, self.position)]} if begin < self.end else {}
        )

    # --- as a writer

    async def open(self) -> int | None:
        await self.turns()
        return self.committed

    async def write(self, unit: Unit) -> None:
        await self.turns()
        if unit.start != self.committed:
            raise Displaced(self.committed)
        assert [one.offset for one, _, _ in unit.decisions] == [*range(unit.start, unit.end)]
        self.committed = unit.end

    async def close(self) -> None:
        """Nothing to close."""

    # --- as what finds positions

    async def find(self, partition: TopicPartition, offset: int | None) -> int:
        await self.turns()
        assert offset is not None
        self.seek(partition, offset)
        await self.turns()
        return offset


class Scene:
    """A lane of a log, with its intake and something that decides."""

    def __init__(self, log: Log) -> None:
        self.log = log
        budget = Budget(40, 1_000_000, lambda: self.intake.wake())
        self.lane = Lane(
            AT,
            Lease(1, lambda: "sha256:x"),
            log,
            log.find,
            budget,
            Counts(),
            Silent(),
            lambda: self.intake.wake(),
            Limits(AT, CONFIG.runtime),
        )
        membership: Any = SimpleNamespace(lanes={AT: self.lane}, lease=object())
        client: Any = log
        self.intake = Intake(
            CONFIG, client, membership, budget, Silent(), NoFaults(), asyncio.Event()
        )

    async def decide(self) -> None:
        while True:
            await self.log.turns()
            await asyncio.sleep(0)
            if self.lane.waiting:
                part = self.lane.take(self.log.rng.randrange(1, 12))
                await self.log.turns()
                self.lane.finish(part, [Decided(b"", ()) for _ in part.records], "sha256:x")

    async def run(self, until: Any) -> None:
        self.lane.start()
        tasks = [asyncio.create_task(self.intake.run()), asyncio.create_task(self.decide())]
        try:
            async with asyncio.timeout(20):
                while not until() and self.lane.error is None:
                    done, _ = await asyncio.wait(tasks, timeout=0)
                    for task in done:
                        task.result()
                    await asyncio.sleep(0)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.lane.close()
        if self.lane.error is not None:
            raise self.lane.error


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, END)), max_size=4),
    st.lists(st.integers(0, 200), max_size=3),
)
def test_units_follow_each_other_wherever_others_move_the_offset(
    seed: int, moves: list[tuple[int, int]], failures: list[int]
) -> None:
    log = Log(random.Random(seed))

    async def disturb() -> None:
        for turn in range(201):
            for when, to in moves:
                if when == turn:
                    log.committed = to
            if turn in failures:
                log.fails.append(KafkaConnectionError("gone"))
            await asyncio.sleep(0)
        # Who has nothing to write does not notice that the offset was moved.
        log.end += 5

    async def run() -> None:
        scene = Scene(log)
        disturbing = asyncio.create_task(disturb())
        await scene.run(lambda: disturbing.done() and log.committed == log.end)

    # The log itself checks each unit that is written.
    asyncio.run(run())
    assert log.committed == END + 5


async def test_an_offset_beyond_the_end_is_an_error_and_no_loop() -> None:
    log = Log(random.Random(1))
    log.committed = END + 50
    real = log.getmany

    async def begins_again(*asked: Any, **limits: Any) -> Any:
        if log.position > END:
            log.position = 7  # what `auto_offset_reset="earliest"` does
        return await real(*asked, **limits)

    log.getmany = begins_again  # type: ignore[method-assign]
    with pytest.raises(StreamError) as failed:
        await Scene(log).run(lambda: False)
    assert failed.value.code == "offset-out-of-range"
    assert "ends before offset 170" in failed.value.message
    assert "begins again at 7" in failed.value.message
    assert log.reads < 10


async def test_records_that_come_before_a_position_once_are_asked_for_again() -> None:
    log = Log(random.Random(1))
    real, odd = log.getmany, [True, False, True]

    async def sometimes_before(*asked: Any, **limits: Any) -> Any:
        if log.position > 20 and odd and odd.pop():
            log.position -= 15
        return await real(*asked, **limits)

    log.getmany = sometimes_before  # type: ignore[method-assign]
    await Scene(log).run(lambda: log.committed == END)
    assert not odd


async def test_a_batch_that_cannot_be_read_is_salvaged_from_where_the_lane_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log(random.Random(1))
    asked: list[int] = []

    async def salvaged(client: Any, config: Config, partition: Any, offset: int) -> Any:
        asked.append(offset)
        return SimpleNamespace(records=[consumed(offset)], end=offset + 1, unreadable={})

    monkeypatch.setattr("routec.runtime.stream.intake.salvage", salvaged)
    log.fails = [CorruptRecordException(), CorruptRecordException()]
    await Scene(log).run(lambda: log.committed == END)
    assert asked[0] == 0
    assert len(asked) == 2
