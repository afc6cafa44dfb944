"""Without transactions: some decisions come twice after a failure, none is missing."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import msgspec
import pytest
from apache_kafka import ApacheKafka
from traffic import (
    PARTITIONS,
    EchoDecider,
    check_once,
    first_occurrences,
    header,
    numbered,
    read_all,
    running,
    send,
    sources,
    until,
    until_committed,
)

from routec.runtime.config import Config
from routec.runtime.stream import Worker

pytestmark = pytest.mark.kafka


@pytest.fixture
def ready(ready: Config) -> Config:
    """The usual configuration, without transactions."""
    runtime = msgspec.structs.replace(ready.runtime, delivery="at_least_once")
    return msgspec.structs.replace(ready, runtime=runtime)


async def test_undisturbed_each_event_gets_one_decision_or_dead_letter(ready: Config) -> None:
    mixed = [(p, b"no json" if n % 10 == 3 else v) for n, (p, v) in enumerate(numbered(4000))]
    sent = await send(ready, mixed)
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.decided + worker.counts.dead == 4000)
    assert worker.counts.dead == 400
    await check_once(ready, sent)


async def test_killed_workers_lose_nothing(ready: Config, processes: Any) -> None:
    sent = await send(ready, numbered(4000))
    names = {"RUNTIME__DELIVERY": "at_least_once", "KAFKA__INSTANCE_ID": "one"}
    for point in ("committed", "before-begin"):
        fault = ("SIGKILL", point, 12)
        process = processes.start(pause=0.01, batch_size=50, fault=fault, **names)
        await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == -signal.SIGKILL
    last = processes.start(batch_size=500, **names)
    ends = {p: max(o for q, o in sent if q == p) + 1 for p in range(PARTITIONS)}
    await until_committed(ready, ends)
    last.send_signal(signal.SIGTERM)
    _, err = await asyncio.to_thread(last.communicate, timeout=30)
    assert last.returncode == 0, err
    found = sources(await read_all(ready, ready.topics.decisions))
    for partition in range(PARTITIONS):
        assert first_occurrences(found[partition]) == [o for q, o in sent if q == partition]


async def test_a_restarted_broker_costs_no_event(ready: Config, apache_kafka: ApacheKafka) -> None:
    sent = await send(ready, numbered(1000))
    worker = Worker(ready, EchoDecider(pause=0.02))
    async with running(worker):
        await until(lambda: worker.counts.decided >= 200)
        await asyncio.to_thread(apache_kafka.kill)
        await asyncio.to_thread(apache_kafka.start)
        sent += await send(ready, numbered(1000, start=1000))
        await until(lambda: worker.counts.decided >= 2000)
    found = sources(await read_all(ready, ready.topics.decisions))
    for partition in range(PARTITIONS):
        wanted = [o for q, o in sent if q == partition]
        assert first_occurrences(found[partition]) == wanted


async def test_two_workers_share_the_partitions_and_one_takes_over(ready: Config) -> None:
    one, two = (Worker(ready, EchoDecider(pause=0.01)) for _ in range(2))
    async with running(one):
        await until(lambda: one.ready)
        async with running(two):
            await until(lambda: two.ready and one.ready)
            sent = await send(ready, numbered(2000))
            await until(lambda: one.counts.decided > 200 and two.counts.decided > 200)
        sent += await send(ready, numbered(1000, start=2000))
        ends = {p: max(o for q, o in sent if q == p) + 1 for p in range(PARTITIONS)}
        await until_committed(ready, ends)
    found = sources(await read_all(ready, ready.topics.decisions))
    for partition in range(PARTITIONS):
        assert first_occurrences(found[partition]) == [o for q, o in sent if q == partition]
    assert await read_all(ready, ready.topics.dlq) == []


async def test_a_decision_larger_than_its_topic_takes_becomes_a_dead_letter(ready: Config) -> None:
    class Swollen(EchoDecider):
        def _one(self, record):  # type: ignore[no-untyped-def]
            outcome = super()._one(record)
            if record.offset == 3:
                return type(outcome)(b"z" * 1_500_000, outcome.headers)
            return outcome

    sent = await send(ready, numbered(40))
    worker = Worker(ready, Swollen())
    async with running(worker):
        await until(lambda: worker.counts.decided + worker.counts.dead == 40)
    letters = await read_all(ready, ready.topics.dlq)
    assert {header(letter, "routec.error.code") for letter in letters} == {"decision-too-large"}
    assert len(letters) == PARTITIONS
    await check_once(ready, sent)
