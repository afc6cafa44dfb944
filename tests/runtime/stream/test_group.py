"""Where lanes begin, and what ends with them."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from aiokafka.structs import OffsetAndTimestamp

from routec.runtime.config import Config, Kafka
from routec.runtime.stream import Worker
from routec.runtime.stream.acknowledged import Offsets
from routec.runtime.stream.deadline import Deadline
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.faults import NoFaults
from routec.runtime.stream.group import Membership
from routec.runtime.stream.observer import Silent

ONE, OTHER = TopicPartition("t", 0), TopicPartition("t", 1)


class Consumer:
    """A client over records of some times."""

    def __init__(self, *times_ms: int) -> None:
        self.times_ms, self.at = times_ms, -1

    async def offsets_for_times(self, wanted: dict[TopicPartition, int]) -> Any:
        ((partition, since),) = wanted.items()
        later = [at for at, time_ms in enumerate(self.times_ms) if time_ms >= since]
        return {partition: OffsetAndTimestamp(later[0], since) if later else None}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at = offset

    async def seek_to_beginning(self, partition: TopicPartition) -> None:
        self.at = 0

    async def seek_to_end(self, partition: TopicPartition) -> None:
        self.at = len(self.times_ms)

    async def position(self, partition: TopicPartition) -> int:
        return self.at

    def pause(self, *partitions: TopicPartition) -> None:
        """Nothing is fetched."""


class Lane:
    """A lane that has nothing to do, or fails at it."""

    state = "running"

    def __init__(self, partition: TopicPartition, error: BaseException | None = None) -> None:
        self.partition, self.error, self.ended = partition, error, False

    def start(self) -> None:
        """Nothing to open."""

    def halt(self) -> None:
        """Nothing to stop."""

    async def settled(self) -> None:
        """Nothing to wait for."""

    async def close(self) -> None:
        self.ended = True


def membership(consumer: Consumer, start: Any = "earliest", **lanes: Any) -> Membership:
    async def nothing(*_: Any) -> None:
        """Nothing is being decided or committed."""

    client: Any = consumer
    return Membership(
        Config(kafka=Kafka(start=start)),
        client,
        make_lane=lambda partition, lease: lanes.get(f"p{partition.partition}") or Lane(partition),  # type: ignore[arg-type, return-value]
        policy_hash=lambda: "sha256:x",
        settle=nothing,
        flush=nothing,
        changed=lambda: None,
        observer=Silent(),
        faults=NoFaults(),
    )


@pytest.mark.parametrize(
    ("start", "offset", "seconds", "position"),
    [
        ("earliest", None, (-60, -30, 30), 0),
        ("earliest", 2, (-60, -30, 30), 2),
        ("latest", 1, (-60, -30, 30), 1),
        ("latest", None, (-60, -30, 30), 2),
        ("latest", None, (-60, -30), 2),
        ("latest", None, (), 0),
        # A partition that came after the worker had begun: all of it is new.
        ("latest", None, (1, 2, 3), 0),
    ],
)
async def test_where_a_partition_begins(
    start: str, offset: int | None, seconds: tuple[int, ...], position: int
) -> None:
    now = int(time.time() * 1000)
    member = membership(Consumer(*(now + 1000 * one for one in seconds)), start)
    assert await member.seek(ONE, offset) == position


async def test_a_lane_that_fails_while_the_worker_stops_is_told() -> None:
    wrong = StreamError("dead-letter-refused", "the broker refuses it", "raise the limit")
    failing = Lane(OTHER, wrong)
    member = membership(Consumer(), p1=failing)
    await member.on_partitions_assigned({ONE, OTHER})
    lanes: Any = list(member.lanes.values())
    with pytest.raises(StreamError) as failed:
        await member.finish(Deadline.after(1.0))
    assert failed.value is wrong
    assert all(lane.ended for lane in lanes)
    # Once it is told it is over.
    assert await member.finish(Deadline.after(1.0))


async def test_trouble_of_a_partition_that_moved_away_is_not_held_against_the_worker() -> None:
    told: list[bool] = []

    class Heard(Silent):
        def ready(self, holds: bool) -> None:
            told.append(holds)

    decider: Any = SimpleNamespace(policy_hash="sha256:x")
    worker = Worker(Config(), decider, Heard())
    lanes = {ONE: Lane(ONE), OTHER: Lane(OTHER)}
    worker._membership = SimpleNamespace(lease=object(), lanes=lanes)  # type: ignore[assignment]
    worker._tell_ready()
    worker._set_working(ONE, False)
    worker._set_working(None, False)
    assert told == [True, False]
    worker._membership.lanes = {}  # type: ignore[union-attr, misc]
    worker._tell_ready()
    worker._membership.lanes = {OTHER: Lane(OTHER)}  # type: ignore[union-attr, misc, dict-item]
    worker._tell_ready()
    assert worker.ready


async def test_partitions_are_given_up_only_when_what_is_being_finished_is_done() -> None:
    settled = asyncio.Event()

    class Slow(Lane):
        async def settled(self) -> None:
            await settled.wait()

    member = membership(Consumer(), p1=Slow(OTHER))
    await member.on_partitions_assigned({OTHER})
    finishing = asyncio.create_task(member.finish(Deadline.after(30.0)))
    await asyncio.sleep(0.01)
    revoked = asyncio.create_task(member.on_partitions_revoked({OTHER}))
    await asyncio.sleep(0.01)
    assert not revoked.done()
    settled.set()
    await revoked
    assert finishing.done()


async def test_an_offset_of_a_partition_that_is_gone_does_not_keep_the_others_from_being_committed() -> (
    None
):
    class Strict:
        def __init__(self) -> None:
            self.committed: list[dict[TopicPartition, int]] = []

        def assignment(self) -> set[TopicPartition]:
            return {ONE}

        async def commit(self, offsets: dict[TopicPartition, int]) -> None:
            if offsets.keys() - self.assignment():
                raise IllegalStateError("not assigned")
            self.committed.append(dict(offsets))

    client: Any = Strict()
    offsets = Offsets(Config(kafka=Kafka(retry_backoff=0.001)), client)
    await offsets.acknowledge(ONE, 5)
    await offsets.acknowledge(OTHER, 7)
    await offsets.flush(Deadline.after(5.0), 1.0)
    assert client.committed == [{ONE: 5}]
