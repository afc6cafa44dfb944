"""Each request is decided once, whatever dies; subscribers read committed records."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from traffic import (
    PARTITIONS,
    EchoDecider,
    check_once,
    committed,
    numbered,
    read_all,
    running,
    send,
    sources,
    until,
    until_committed,
    until_count,
    with_runtime,
)

from routec.runtime.config import Config
from routec.runtime.records import Outcome, Record
from routec.runtime.stream import Point, StreamError, Worker
from routec.runtime.stream.observer import Silent

pytestmark = pytest.mark.kafka

POINTS = (
    "opening",
    "opened",
    "fetched",
    "decided",
    "before-begin",
    "begun",
    "sent",
    "acknowledged",
    "offsets-sent",
    "committed",
)


class Noting(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()

    def fenced(self) -> None:
        self.told["fenced"] += 1

    def rebuilt(self, reason: str) -> None:
        self.told[f"rebuilt {reason}"] += 1

    def rebalanced(self, seconds: float) -> None:
        self.told["rebalanced"] += 1


class Gated(EchoDecider):
    """Decides nothing until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.gate = asyncio.Event(), asyncio.Event()

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        self.asked.set()
        await self.gate.wait()
        return await super().decide(records)


def last_offsets(sent: Sequence[tuple[int, int]]) -> dict[int, int]:
    return {p: max(o for q, o in sent if q == p) + 1 for p in range(PARTITIONS)}


def with_kafka(config: Config, **values: Any) -> Config:
    return msgspec.structs.replace(config, kafka=msgspec.structs.replace(config.kafka, **values))


async def end_in_order(process: Any) -> str:
    process.send_signal(signal.SIGTERM)
    out, err = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 0, err
    return str(out)


async def test_killed_at_each_point_it_loses_and_doubles_nothing(
    ready: Config, processes: Any
) -> None:
    # One in ten is a dead letter.
    mixed = [(p, b"no json" if n % 10 == 7 else v) for n, (p, v) in enumerate(numbered(6000))]
    sent = await send(ready, mixed)
    for number, point in enumerate(POINTS):
        # A stable name lets the next one take over without waiting for the session to expire.
        process = processes.start(
            pause=0.01, fault=("SIGKILL", point, 3 + number % 3), KAFKA__INSTANCE_ID="one"
        )
        out, err = await asyncio.to_thread(process.communicate, timeout=40)
        assert process.returncode == -signal.SIGKILL, err
        assert out.strip() == f"SIGKILL at {point}"
    done = await committed(ready)
    assert 0 < sum(done.values()) < len(sent)
    last = processes.start(KAFKA__INSTANCE_ID="one")
    await until_committed(ready, last_offsets(sent))
    await end_in_order(last)
    await check_once(ready, sent)


async def test_a_worker_killed_without_a_stable_name_is_followed_after_its_session(
    ready: Config, processes: Any
) -> None:
    sent = await send(ready, numbered(4000))
    names = {"KAFKA__SESSION_TIMEOUT": "2s", "KAFKA__HEARTBEAT_INTERVAL": "0.5s"}
    for wanted in (300, 900):
        process = processes.start(pause=0.02, batch_size=50, **names)
        await until_count(ready, ready.topics.decisions, wanted)
        process.kill()
        await asyncio.to_thread(process.communicate)
    last = processes.start(**names)
    await until_committed(ready, last_offsets(sent))
    await end_in_order(last)
    await check_once(ready, sent)


@pytest.mark.parametrize("point", ["decided", "begun", "sent", "offsets-sent"])
async def test_a_worker_stopped_past_its_session_writes_nothing_when_it_wakes(
    ready: Config, processes: Any, point: Point
) -> None:
    sent = await send(ready, numbered(2000))
    names = {"KAFKA__SESSION_TIMEOUT": "2s", "KAFKA__HEARTBEAT_INTERVAL": "0.5s"}
    asleep = processes.start(pause=0.01, fault=("SIGSTOP", point, 4), **names)
    assert await asyncio.to_thread(asleep.stdout.readline) == f"SIGSTOP at {point}\n"
    # Its successor does all of the rest, though a transaction may be open.
    awake = processes.start(**names)
    await until_committed(ready, last_offsets(sent))
    asleep.send_signal(signal.SIGCONT)
    more = await send(ready, numbered(1000, start=2000))
    await until_committed(ready, last_offsets(more))
    # Both are members now, and both leave in order.
    await end_in_order(asleep)
    await end_in_order(awake)
    await check_once(ready, sent + more)


async def test_whoever_takes_a_lane_s_name_is_shut_out_in_turn(ready: Config) -> None:
    quick = with_runtime(
        with_kafka(ready, heartbeat_interval=0.2, session_timeout=4.0), batch_size=50
    )
    sent = await send(ready, numbered(2000))
    noted = Noting()
    worker = Worker(quick, EchoDecider(pause=0.02), noted)
    async with running(worker):
        await until(lambda: worker.counts.decided > 300)
        thief = AIOKafkaProducer(
            bootstrap_servers=ready.kafka.bootstrap,
            transactional_id=f"routec.{ready.kafka.group}.{ready.topics.requests}.1",
        )
        await thief.start()
        try:
            await thief.begin_transaction()
            await thief.send_and_wait(ready.topics.decisions, b"stolen", partition=1)
            await until(lambda: worker.counts.decided == 2000)
        finally:
            # It was shut out: it cannot commit, and stopping it must not hang.
            with pytest.raises(Exception, match=r"ProducerFenced|newer producer|Invalid"):
                await asyncio.wait_for(thief.commit_transaction(), 10)
            await asyncio.wait_for(thief.stop(), 10)
    assert noted.told["fenced"] >= 1
    await check_once(ready, sent)


async def test_a_lane_s_name_that_is_taken_again_and_again_stops_the_worker(
    ready: Config,
) -> None:
    quick = with_runtime(
        with_kafka(ready, heartbeat_interval=0.1, session_timeout=4.0), batch_size=20
    )
    await send(ready, numbered(4000))
    worker = Worker(quick, EchoDecider(pause=0.01))
    task = asyncio.create_task(worker.run())

    async def steal() -> None:
        while not task.done():
            thief = AIOKafkaProducer(
                bootstrap_servers=ready.kafka.bootstrap,
                transactional_id=f"routec.{ready.kafka.group}.{ready.topics.requests}.2",
            )
            await thief.start()
            await thief.stop()

    await until(lambda: worker.counts.decided > 100)
    stealing = asyncio.create_task(steal())
    with pytest.raises(StreamError) as stopped:
        await asyncio.wait_for(task, 40)
    await asyncio.wait_for(stealing, 20)
    assert stopped.value.code == "fenced"
    assert f"{ready.topics.requests}.2" in stopped.value.message
    found = sources(await read_all(ready, ready.topics.decisions))
    assert {p: len(o) for p, o in found.items()} == await committed(ready)


async def test_two_workers_share_the_partitions_and_one_takes_over(ready: Config) -> None:
    ready = with_runtime(ready, batch_size=50)
    one, two = (Worker(ready, EchoDecider(pause=0.01)) for _ in range(2))
    async with running(one):
        await until(lambda: one.ready)
        async with running(two):
            await until(lambda: two.ready and one.ready)
            sent = await send(ready, numbered(3000))
            await until(lambda: one.counts.decided > 200 and two.counts.decided > 200)
        sent += await send(ready, numbered(1000, start=3000))
        await until_committed(ready, last_offsets(sent))
    await check_once(ready, sent)


async def test_what_is_decided_after_a_partition_moved_is_dropped(ready: Config) -> None:
    slow = with_runtime(with_kafka(ready, rebalance_timeout=4.0), batch_size=200)
    sent = await send(ready, numbered(1000))
    gated, noted = Gated(), Noting()
    one, two = Worker(slow, gated, noted), Worker(slow, EchoDecider())
    async with running(one):
        await asyncio.wait_for(gated.asked.wait(), 20)
        async with running(two):
            # It gives everything up in the middle of its batch, and gets half of it back.
            await until(lambda: noted.told["rebalanced"] == 1)
            await until(lambda: two.counts.decided == 500)
            assert one.counts.decided == 0
            gated.gate.set()
            await until(lambda: one.counts.decided == 500)
            assert one.counts.stale > 0
    await check_once(ready, sent)


async def test_a_rebalance_lets_a_batch_finish_that_is_quick_enough(ready: Config) -> None:
    sent = await send(ready, numbered(2000))
    one = Worker(with_runtime(ready, batch_size=100), EchoDecider(pause=0.2))
    two = Worker(ready, EchoDecider())
    async with running(one):
        await until(lambda: one.counts.decided > 0)
        async with running(two):
            await until(lambda: two.counts.decided > 0)
            await until(lambda: one.counts.decided + two.counts.decided == 2000)
        assert one.counts.stale == two.counts.stale == 0
    await check_once(ready, sent)


async def test_a_worker_with_a_stable_name_restarts_without_a_rebalance(
    ready: Config, processes: Any
) -> None:
    noted = Noting()
    stays = Worker(with_kafka(ready, instance_id="stays"), EchoDecider(), noted)
    async with running(stays):
        await until(lambda: stays.ready)
        restarted = processes.start(KAFKA__INSTANCE_ID="restarted")
        await until(lambda: noted.told["rebalanced"] == 1 and stays.ready)
        sent = await send(ready, numbered(800))
        await until_committed(ready, last_offsets(sent))
        before = noted.told["rebalanced"]
        decided = stays.counts.decided
        assert 0 < decided < 800
        for _ in range(2):
            await end_in_order(restarted)
            restarted = processes.start(KAFKA__INSTANCE_ID="restarted")
            sent += await send(ready, numbered(800))
            await until_committed(ready, last_offsets(sent))
        await end_in_order(restarted)
        assert noted.told["rebalanced"] == before
    await check_once(ready, sent)


async def test_two_workers_under_one_stable_name_double_nothing_and_who_stops_says_why(
    ready: Config,
) -> None:
    """An operator's mistake: they throw each other out of the group."""
    same = with_runtime(
        with_kafka(ready, instance_id="same", heartbeat_interval=0.5), batch_size=100
    )
    sent = await send(ready, numbered(3000))
    pair = [Worker(same, EchoDecider(pause=0.02)) for _ in range(2)]
    tasks = [asyncio.create_task(one.run()) for one in pair]
    await asyncio.wait(tasks, timeout=4.0)
    for one in pair:
        one.stop()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if ended is not None:
            assert isinstance(ended, StreamError)
            assert ended.code == "group-failed"
            assert "kafka.instance_id" in ended.help
    async with running(Worker(same, EchoDecider())):
        await until_committed(ready, last_offsets(sent))
    await check_once(ready, sent)


async def test_a_stalled_decider_holds_no_more_than_the_budget(ready: Config) -> None:
    sent = await send(ready, numbered(5000))
    small = with_runtime(ready, max_in_flight_events=300, batch_size=100)
    gated = Gated()
    worker = Worker(small, gated)
    async with running(worker):
        await asyncio.wait_for(gated.asked.wait(), 20)
        most, stalled = 0, time.monotonic() + 2.0
        while time.monotonic() < stalled:
            most = max(most, worker.in_flight[0])
            await asyncio.sleep(0.01)
        assert 200 < most <= 300
        # The heartbeats went on: it is still a member.
        assert worker.ready
        gated.gate.set()
        while worker.counts.decided < 5000:
            assert worker.in_flight[0] <= 300
            await asyncio.sleep(0.005)
        assert worker.in_flight == (0, 0)
    await check_once(ready, sent)


async def test_a_partition_that_is_far_behind_does_not_keep_the_others_waiting(
    ready: Config,
) -> None:
    class Logging(EchoDecider):
        def __init__(self) -> None:
            super().__init__(pause=0.005)
            self.order: list[int] = []

        async def decide(self, records: Sequence[Record]) -> list[Outcome]:
            self.order += [record.partition for record in records]
            return await super().decide(records)

    values = [(0, b'{"n": 1}')] * 10_000
    sent = await send(ready, values)
    logging = Logging()
    worker = Worker(with_runtime(ready, max_in_flight_events=1000, batch_size=100), logging)
    async with running(worker):
        await until(lambda: worker.counts.decided > 500)
        sent += await send(ready, [(p, b'{"n": 2}') for p in (1, 2, 3) for _ in range(20)])
        await until(lambda: worker.counts.decided == 10_060)
    others = [at for at, partition in enumerate(logging.order) if partition != 0]
    assert len(others) == 60
    # Long before the backlog was done.
    assert others[-1] < 8000
    await check_once(ready, sent)


async def test_a_group_that_begins_at_the_end_misses_nothing_after_that(ready: Config) -> None:
    latest = with_kafka(ready, start="latest")
    await send(ready, numbered(40))
    worker = Worker(latest, EchoDecider())
    async with running(worker):
        await until(lambda: worker.ready)
    # Written while nobody was there, and nothing was ever decided.
    sent = await send(ready, numbered(40, start=40))
    again = Worker(latest, EchoDecider())
    async with running(again):
        await until(lambda: again.counts.decided == 40)
    await check_once(ready, sent)


async def test_a_committed_offset_moved_by_an_operator_is_followed(ready: Config) -> None:
    """The lane's next commit would overwrite it; the rebuilt producer finds it moved."""

    class Once:
        def __init__(self) -> None:
            self.done = False

        async def reach(self, point: Point, partition: TopicPartition | None) -> None:
            if self.done or point != "begun" or partition is None or partition.partition != 1:
                return
            if worker.counts.decided > 100:
                self.done = True
                await move(partition)
                raise ConnectionError("made up")

    async def move(partition: TopicPartition) -> None:
        # Without a generation only the transactional way is open to a group with members.
        producer = AIOKafkaProducer(
            bootstrap_servers=ready.kafka.bootstrap, transactional_id="operator"
        )
        async with producer, producer.transaction():
            await producer.send_offsets_to_transaction({partition: 400}, ready.kafka.group)

    await send(ready, numbered(2000))
    worker = Worker(with_runtime(ready, batch_size=50), EchoDecider(pause=0.01), faults=Once())
    async with running(worker):
        await until(lambda: worker.counts.decided + worker.counts.stale > 1500)
        await until_committed(ready, dict.fromkeys(range(PARTITIONS), 500))
    found = sources(await read_all(ready, ready.topics.decisions))
    assert found[0] == found[2] == found[3] == list(range(500))
    assert found[1] == sorted(set(found[1]))
    assert found[1][-100:] == list(range(400, 500))
    assert len(found[1]) < 500
