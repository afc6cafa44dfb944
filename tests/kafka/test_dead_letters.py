"""Dead letters on Apache Kafka: limits lose and double nothing, and letters come back once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from traffic import (
    PARTITIONS,
    EchoDecider,
    check_once,
    committed,
    header,
    read_all,
    running,
    send,
    until,
    with_runtime,
)

from routec.runtime.config import Config
from routec.runtime.dlq import (
    Letter,
    Replay,
    Replayed,
    letters_of,
    opened,
    read_register,
    register_topic,
)
from routec.runtime.stream import StreamError, Worker

pytestmark = pytest.mark.kafka

BAD = b"{"


def good(n: int) -> bytes:
    return json.dumps({"n": n}).encode()


async def replay(
    config: Config, *, stop: asyncio.Event | None = None, fail_after: int | None = None
) -> Replayed:
    """Bring everything back; or fail when so many letters were handed over."""

    async def wanted(source: Any) -> AsyncIterator[Letter]:
        count = 0
        async for letter in source:
            if letter is None:
                continue
            if count == fail_after:
                raise ConnectionError("the power went")
            count += 1
            yield letter

    async with (
        opened(config) as consumer,
        opened(config) as register,
        aclosing(letters_of(consumer, config)) as source,
        Replay(config, register) as work,
    ):
        await work.run(wanted(source), stop or asyncio.Event())
    return work.result


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
async def test_a_limit_stops_the_worker_and_nothing_is_lost_or_doubled(
    ready: Config, delivery: str
) -> None:
    """The last partition turns bad after its first 50; the others are good throughout."""
    sent = await send(
        ready,
        [
            (p, BAD if p == PARTITIONS - 1 and n >= 50 else good(n))
            for n in range(400)
            for p in range(PARTITIONS)
        ],
    )
    # Offsets are committed by the stop itself, or not at all.
    base = with_runtime(ready, delivery=delivery, batch_size=40, commit_interval=60.0)
    limited = with_runtime(base, max_consecutive_dead_letters=30)
    worker = Worker(limited, EchoDecider(pause=0.01))
    with pytest.raises(StreamError) as stopped:
        async with asyncio.timeout(60):
            await worker.run()
    assert stopped.value.code == "too-many-dead-letters"
    assert f"of partition {PARTITIONS - 1} of `{ready.topics.requests}`" in stopped.value.message
    assert len(await read_all(ready, ready.topics.dlq)) <= 30
    offsets = await committed(ready)
    assert 50 <= offsets[PARTITIONS - 1] <= 80

    second = Worker(base, EchoDecider())
    left = len(sent) - sum(offsets.values())
    async with running(second):
        await until(lambda: second.counts.decided + second.counts.dead == left)
    await check_once(ready, sent)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
async def test_decisions_that_their_topic_refuses_stop_the_worker_too(
    ready: Config, delivery: str
) -> None:
    """What such a worker has written before it stops is committed with its offsets."""

    class Swollen(EchoDecider):
        def _one(self, record: Any) -> Any:
            made = super()._one(record)
            return msgspec.structs.replace(made, value=made.value + b" " * 2_000_000)

    sent = await send(ready, [(0, good(n)) for n in range(12)])
    limited = with_runtime(
        ready,
        delivery=delivery,
        batch_size=4,
        commit_interval=60.0,
        max_dead_letter_ratio=0.2,
        dead_letter_window=20,
    )
    with pytest.raises(StreamError) as stopped:
        async with asyncio.timeout(60):
            await Worker(limited, Swollen(pause=0.05)).run()
    assert stopped.value.code == "too-many-dead-letters"
    letters = await read_all(ready, ready.topics.dlq)
    assert {header(one, "routec.error.code") for one in letters} == {"decision-too-large"}
    offset = (await committed(ready))[0]
    assert len(letters) == offset >= 5

    second = Worker(with_runtime(ready, delivery=delivery), EchoDecider())
    async with running(second):
        await until(lambda: second.counts.decided == len(sent) - offset)
    await check_once(ready, sent)


async def test_letters_come_back_once_and_are_decided(ready: Config) -> None:
    """A replay that fails between two transactions is finished by the next one."""
    sent = await send(ready, [(n % PARTITIONS, BAD) for n in range(250)])
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.dead == 250)
    with pytest.raises(ConnectionError):
        await replay(ready, fail_after=230)
    assert len(await read_all(ready, ready.topics.requests)) == len(sent) + 200
    result = await replay(ready)
    assert (result.done.total(), result.before, result.refused) == (50, 200, [])
    assert (await replay(ready)).before == 250
    requests = await read_all(ready, ready.topics.requests)
    assert len(requests) == 2 * len(sent)
    for partition in range(PARTITIONS):
        mine = [(one.key, one.value, one.headers) for one in requests if one.partition == partition]
        half = len(mine) // 2
        assert mine[:half] == mine[half:]

    async with opened(ready) as consumer:
        assert len((await read_register(consumer, ready)).entries) == 250
    second = Worker(ready, EchoDecider())
    async with running(second):
        await until(lambda: second.counts.dead == 250)
    ends = [(one.partition, one.offset) for one in requests]
    await check_once(ready, ends)


async def test_a_replay_shuts_out_the_one_before_and_takes_over_from_it(ready: Config) -> None:
    await send(ready, [(0, BAD) for _ in range(5)])
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.dead == 5)
    async with opened(ready) as reading, opened(ready) as consumer:
        letters = [one async for one in letters_of(reading, ready) if one is not None]

        async def held(gate: asyncio.Event) -> AsyncIterator[Letter]:
            yield letters[0]
            await gate.wait()

        async def twice() -> None:
            gate = asyncio.Event()
            async with Replay(ready, consumer) as first:
                task = asyncio.create_task(first.run(held(gate), asyncio.Event()))
                assert (await replay(ready)).done.total() == 5
                gate.set()
                await task

        with pytest.raises(StreamError) as fenced:
            await twice()
        assert fenced.value.code == "fenced"
    assert len(await read_all(ready, ready.topics.requests)) == 10


async def test_a_letter_that_its_topic_refuses_is_named_and_the_others_come_back(
    ready: Config,
) -> None:
    """The topic took it once, and has been told to take less since."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    values = [BAD + b"%d" % n for n in range(9)]
    values[4] += b"x" * 600_000
    await send(ready, [(1, value) for value in values])
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.dead == 9)
    admin = AIOKafkaAdminClient(bootstrap_servers=ready.kafka.bootstrap)
    await admin.start()
    try:
        resource = ConfigResource(
            ConfigResourceType.TOPIC, ready.topics.requests, {"max.message.bytes": "100000"}
        )
        await admin.alter_configs([resource])
    finally:
        await admin.close()
    result = await replay(ready)
    assert result.done.total() == 8
    assert [one.reason for one in result.refused] == [
        f"`{ready.topics.requests}` refuses it: MessageSizeTooLargeError"
    ]
    back = (await read_all(ready, ready.topics.requests))[9:]
    assert [one.value for one in back] == [*values[:4], *values[5:]]


async def test_the_register_is_compacted_and_open_transactions_are_not_seen(
    ready: Config,
) -> None:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    await send(ready, [(0, BAD)])
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.dead == 1)
    assert (await replay(ready)).done.total() == 1
    admin = AIOKafkaAdminClient(bootstrap_servers=ready.kafka.bootstrap)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, register_topic(ready))
        (answer,) = await admin.describe_configs([resource])
    finally:
        await admin.close()
    entries = {entry[0]: entry[1] for entry in answer.resources[0][-1]}
    assert entries["cleanup.policy"] == "compact"

    # Something in the register that was never committed says nothing.
    producer = AIOKafkaProducer(
        bootstrap_servers=ready.kafka.bootstrap,
        transactional_id=f"other.{ready.kafka.group}",
        transaction_timeout_ms=2000,
    )
    await producer.start()
    await producer.begin_transaction()
    entry = {"topic": "t", "partition": 0, "offset": 1, "digest": "d", "time_ms": 1}
    await producer.send_and_wait(register_topic(ready), json.dumps(entry).encode(), key=b"t/0/1")
    await producer.abort_transaction()
    await producer.stop()
    async with opened(ready) as consumer:
        assert len((await read_register(consumer, ready)).entries) == 1
