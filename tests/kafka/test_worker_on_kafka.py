"""The worker on Apache Kafka, exactly once: nothing lost, order kept, nothing stops it."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from apache_kafka import ApacheKafka
from traffic import (
    PARTITIONS,
    EchoDecider,
    check_once,
    committed,
    header,
    numbered,
    read_all,
    running,
    send,
    sources,
    until,
    until_count,
    with_runtime,
)

from routec.runtime.config import Config
from routec.runtime.observe import POLICY, Health, Metrics
from routec.runtime.stream import Observed, StreamError, Worker, create_topics

pytestmark = pytest.mark.kafka


async def test_each_event_gets_one_decision_in_the_order_of_its_partition(ready: Config) -> None:
    sent = await send(ready, numbered(8000))
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.decided == 8000)
    decisions = await read_all(ready, ready.topics.decisions)
    expected = {p: [o for q, o in sent if q == p] for p in range(PARTITIONS)}
    assert sources(decisions) == expected
    assert {p: offsets[-1] + 1 for p, offsets in expected.items()} == await committed(ready)


@asynccontextmanager
async def administrator(config: Config) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """Gives a topic one partition more, and waits until the broker tells of it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka.bootstrap)

    async def extend(topic: str) -> None:
        await admin.create_partitions({topic: NewPartitions(total_count=PARTITIONS + 1)})
        async with asyncio.timeout(10):
            while len((await admin.describe_topics([topic]))[0]["partitions"]) == PARTITIONS:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    await admin.start()
    try:
        yield extend
    finally:
        await admin.close()


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
async def test_a_partition_that_the_requests_gain_is_worked_on(
    ready: Config, delivery: Literal["exactly_once", "at_least_once"]
) -> None:
    config = with_runtime(ready, delivery=delivery)
    worker = Worker(config, EchoDecider())
    async with administrator(ready) as extend, running(worker):
        await send(ready, numbered(8))
        await until(lambda: worker.counts.decided == 8)
        await extend(ready.topics.decisions)
        await extend(ready.topics.requests)
        await send(ready, [(PARTITIONS, b'{"n": 9}')])
        # Long before the five minutes after which clients ask by themselves.
        await until(lambda: worker.counts.decided == 9)
    assert PARTITIONS in sources(await read_all(ready, ready.topics.decisions, PARTITIONS + 1))


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
async def test_a_partition_that_the_decisions_lack_waits_for_theirs(
    ready: Config, delivery: Literal["exactly_once", "at_least_once"]
) -> None:
    config = with_runtime(ready, delivery=delivery)
    worker = Worker(config, EchoDecider())
    async with administrator(ready) as extend, running(worker):
        await until(lambda: worker.ready)
        await extend(ready.topics.requests)
        await until(lambda: not worker.ready)
        await send(ready, [(PARTITIONS, b'{"n": 9}'), *numbered(8)])
        # The others go on.
        await until(lambda: worker.counts.decided == 8)
        assert not worker.ready
        await extend(ready.topics.decisions)
        await until(lambda: worker.counts.decided == 9)
        await until(lambda: worker.ready)
    assert PARTITIONS in sources(await read_all(ready, ready.topics.decisions, PARTITIONS + 1))


async def test_a_decision_keeps_key_and_headers_of_its_request(ready: Config) -> None:
    await send(ready, numbered(1, start=7))
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.decided == 1)
    (decision,) = await read_all(ready, ready.topics.decisions)
    assert decision.key == b"key-3"
    assert decision.partition == 3
    assert decision.headers == (("traceparent", b"00-1-2-01"), ("source", b"3/0"))
    assert json.loads(decision.value) == {"n": 7}


async def test_events_that_cannot_be_decided_become_dead_letters_with_their_bytes(
    ready: Config,
) -> None:
    rng = random.Random(5)
    bad = [b'{"n": 1', b"\xff\xfe\x00", b"[]", b"", rng.randbytes(4000), b"[" * 10_000]
    mixed = [entry for n, value in enumerate(bad) for entry in ((n % 4, value), numbered(n + 1)[n])]
    sent = await send(ready, mixed)
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.decided + worker.counts.dead == len(mixed))
    letters = await read_all(ready, ready.topics.dlq)
    assert worker.counts.dead == len(bad)
    by_place = dict(zip(sent, mixed, strict=True))
    for letter in letters:
        place = (
            int(header(letter, "routec.error.partition")),
            int(header(letter, "routec.error.offset")),
        )
        partition, value = by_place.pop(place)
        assert (letter.value, letter.key) == (value, f"key-{partition}".encode())
        assert header(letter, "traceparent") == "00-1-2-01"
        assert header(letter, "routec.error.code") == "invalid-json"
        assert header(letter, "routec.error.message").startswith("not a request")
        assert header(letter, "routec.error.topic") == ready.topics.requests
        assert header(letter, "routec.error.time").endswith("Z")
        assert header(letter, "routec.policy.hash") == "sha256:echo"
    assert len(by_place) == worker.counts.decided == len(mixed) - len(bad)


async def test_an_event_of_megabytes_becomes_a_dead_letter_and_nothing_stops(ready: Config) -> None:
    large = json.dumps({"n": 0, "text": "x" * 2_000_000}).encode()
    larger = json.dumps({"n": 0, "text": "y" * 7_000_000}).encode()
    await send(ready, [(0, b'{"n": 1}'), (0, large), (0, larger), (0, b'{"n": 2}')])
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.decided == 2)
    letters = await read_all(ready, ready.topics.dlq)
    assert [letter.value for letter in letters] == [large, larger]
    assert {header(letter, "routec.error.code") for letter in letters} == {"event-too-large"}
    assert sources(await read_all(ready, ready.topics.decisions)) == {0: [0, 3]}


async def test_a_dead_letter_that_does_not_fit_stops_the_worker_and_is_not_committed(
    config: Config,
) -> None:
    small = with_runtime(config, max_dead_letter_bytes=1_000_000)
    await create_topics(small, partitions=PARTITIONS)
    tight = msgspec.structs.replace(small.topics, dlq=f"{small.topics.dlq}.tight")
    # A dead-letter topic with a smaller limit than the requests topic.
    await create_topics(
        msgspec.structs.replace(
            small,
            topics=tight,
            runtime=msgspec.structs.replace(small.runtime, max_dead_letter_bytes=65_536),
        ),
        partitions=PARTITIONS,
    )
    await send(small, [(2, b'{"n": 1}'), (2, b"no json " * 40_000)])
    worker = Worker(msgspec.structs.replace(small, topics=tight), EchoDecider())
    with pytest.raises(StreamError) as stopped:
        await asyncio.wait_for(worker.run(), 30)
    assert stopped.value.code == "dead-letter-refused"
    assert "offset 1 of partition 2" in stopped.value.message
    assert (await committed(small))[2] <= 1


async def test_a_decision_larger_than_its_topic_takes_becomes_a_dead_letter(ready: Config) -> None:
    class Swollen(EchoDecider):
        def _one(self, record):  # type: ignore[no-untyped-def]
            outcome = super()._one(record)
            if json.loads(record.value)["n"] % 10 == 3:
                return msgspec_replace(outcome, b"z" * 1_500_000)
            return outcome

    await send(ready, numbered(40))
    worker = Worker(ready, Swollen())
    async with running(worker):
        await until(lambda: worker.counts.decided + worker.counts.dead == 40)
    letters = await read_all(ready, ready.topics.dlq)
    assert sorted(json.loads(letter.value)["n"] for letter in letters) == [3, 13, 23, 33]
    assert {header(letter, "routec.error.code") for letter in letters} == {"decision-too-large"}
    for offsets in sources(await read_all(ready, ready.topics.decisions)).values():
        assert offsets == sorted(offsets)
    assert worker.counts.decided == 36


def msgspec_replace(outcome, value):  # type: ignore[no-untyped-def]
    return type(outcome)(value, outcome.headers)


async def test_sigterm_finishes_and_commits_what_is_in_flight(
    ready: Config, processes: Any
) -> None:
    await send(ready, numbered(4000))
    process = processes.start(pause=0.05, batch_size=100)
    await until_count(ready, ready.topics.decisions, 500)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    decided = sources(await read_all(ready, ready.topics.decisions))
    total = sum(len(offsets) for offsets in decided.values())
    assert out.strip() == f"taken {total} decided {total} dead 0"
    assert total < 4000
    # Exactly what was decided is committed, so a successor repeats nothing.
    assert await committed(ready) == {p: len(decided.get(p, [])) for p in range(PARTITIONS)}


async def test_a_restarted_broker_costs_no_event(ready: Config, apache_kafka: ApacheKafka) -> None:
    first = await send(ready, numbered(2000))
    health = Health()
    health.set(POLICY, True)
    worker = Worker(ready, EchoDecider(pause=0.02), Observed(Metrics(), health))
    async with running(worker):
        await until(lambda: worker.counts.decided >= 200)
        assert health.ready
        await asyncio.to_thread(apache_kafka.kill)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(apache_kafka.start)
        second = await send(ready, numbered(2000, start=2000))
        await until(lambda: worker.counts.decided >= 4000)
        await until(lambda: worker.ready)
    await check_once(ready, first + second)


async def test_a_missing_topic_is_named_and_none_is_made(config: Config) -> None:
    with pytest.raises(StreamError) as missing:
        await asyncio.wait_for(Worker(config, EchoDecider()).run(), 30)
    assert missing.value.code == "missing-topic"
    assert f"`{config.topics.requests}`" in missing.value.message
    with pytest.raises(StreamError, match="do not exist"):
        await asyncio.wait_for(Worker(config, EchoDecider()).run(), 30)


async def test_responses_written_while_it_runs_are_learned(ready: Config) -> None:
    decider = EchoDecider()
    worker = Worker(ready, decider)
    producer = AIOKafkaProducer(bootstrap_servers=ready.kafka.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(ready.topics.responses, b"before", partition=1)
        async with running(worker):
            await until(lambda: worker.ready)
            await producer.send_and_wait(ready.topics.responses, b"after", partition=1)
            await until(lambda: bool(decider.learned))
    finally:
        await producer.stop()
    assert [record.value for record in decider.learned] == [b"after"]


async def test_a_batch_packed_from_far_too_much_is_one_letter(ready: Config) -> None:
    """The broker takes it: its limit is of packed bytes."""
    from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

    async with AIOKafkaProducer(bootstrap_servers=ready.kafka.bootstrap) as producer:
        batch = producer.create_batch()
        builder = _DefaultRecordBatchBuilderPy(2, 4, 0, -1, -1, 0, 200_000_000)
        builder.append(0, 1_700_000_000_000, None, bytes(100_000_000), [])
        batch._relative_offset, batch._builder = 1, builder
        await (await producer.send_batch(batch, ready.topics.requests, partition=1))
    await send(ready, [(0, b'{"n": 0}'), (1, b'{"n": 1}')])
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.decided >= 2)
    assert sources(await read_all(ready, ready.topics.decisions)) == {0: [0], 1: [1]}
    [letter] = await read_all(ready, ready.topics.dlq)
    why = dict(letter.headers)
    assert why["routec.error.code"] == b"unreadable-batch"
    assert b"67,108,864" in why["routec.error.message"]
    assert len(letter.value) < 50_000


async def test_header_names_that_are_not_utf8_do_not_stop_a_partition(ready: Config) -> None:
    class Odd(str):
        def encode(self, *args: object) -> bytes:  # type: ignore[override]
            return b"na\xffme"

    from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

    producer = AIOKafkaProducer(bootstrap_servers=ready.kafka.bootstrap)
    await producer.start()
    try:
        for first in (0, 3):
            batch = producer.create_batch()
            builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 100_000)
            for at in range(3):
                headers = [(Odd("x"), b"1")] if at == 1 else []
                value = json.dumps({"n": first + at}).encode()
                builder.append(at, 1_700_000_000_000, None, value, headers)
                batch._relative_offset += 1
            batch._builder = builder
            await (await producer.send_batch(batch, ready.topics.requests, partition=1))
            await send(ready, [(0, b'{"n": 100}')])
    finally:
        await producer.stop()
    worker = Worker(ready, EchoDecider())
    async with running(worker):
        await until(lambda: worker.counts.decided >= 8)
    decisions = await read_all(ready, ready.topics.decisions)
    assert sources(decisions) == {0: [0, 1], 1: [0, 1, 2, 3, 4, 5]}
    odd = [one for one in decisions if ("na\\xffme", b"1") in one.headers]
    assert [json.loads(one.value)["n"] for one in odd] == [1, 4]
