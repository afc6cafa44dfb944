"""A topic is read to its end, whatever was written to it and whatever is deleted meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from routec.runtime.config import Config, Kafka
from routec.runtime.dlq import letters_of, opened
from routec.runtime.embedded import embedded_broker
from routec.runtime.records import Record
from routec.runtime.stream import StreamError
from routec.runtime.stream.clients import close, connect, make_consumer
from routec.runtime.stream.reader import TopicReader
from routec.runtime.stream.responses import ResponseTail

TOPIC, DLQ = "routec.responses", "routec.dlq"
PLACES = [TopicPartition(TOPIC, number) for number in range(4)]
KEPT = 5 * 2**20
"""Bytes that the embedded broker keeps of a partition; it deletes what was before."""


@pytest.fixture
async def config() -> AsyncIterator[Config]:
    async with embedded_broker((TOPIC, DLQ)) as broker:
        kafka = Kafka(
            bootstrap=broker.bootstrap, fetch_max_wait=broker.fetch_max_wait, retry_backoff=0.02
        )
        yield Config(kafka=kafka)


@asynccontextmanager
async def reading(config: Config) -> AsyncIterator[TopicReader]:
    consumer = await connect(lambda: make_consumer(config, group=False), config)
    try:
        yield TopicReader(consumer, config)
    finally:
        await close(consumer)


async def write(config: Config, partition: int, *values: bytes, topic: str = TOPIC) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=config.kafka.bootstrap, max_request_size=2**21
    ) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=partition)


class Odd(str):
    """A header's name that is not UTF-8, as clients in other languages may write."""

    def encode(self, *_: Any) -> bytes:
        return b"na\xffme"


async def write_odd(config: Config, partition: int, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=config.kafka.bootstrap) as producer:
        batch = producer.create_batch()
        builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 100_000)
        builder.append(0, 1_700_000_000_000, None, value, [(Odd("x"), b"1")])
        batch._relative_offset += 1
        batch._builder = builder
        await (await producer.send_batch(batch, TOPIC, partition=partition))


async def take(reader: TopicReader, count: int) -> list[Record]:
    found: list[Record] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += await reader.take(0.1)
    return found


async def test_partitions_are_read_from_their_start_or_end_and_added_later(config: Config) -> None:
    await write(config, 0, b"a")
    await write(config, 1, b"before")
    await write(config, 2, b"later")
    async with reading(config) as reader:
        await reader.add(PLACES[:1])
        assert [one.value for one in await take(reader, 1)] == [b"a"]
        await reader.add(PLACES[1:2], at_end=True)
        await reader.add(PLACES[:3])
        await write(config, 1, b"after")
        await write(config, 0, b"b")
        assert sorted(one.value or b"" for one in await take(reader, 3)) == [
            b"after", b"b", b"later",
        ]  # fmt: skip


async def test_what_was_deleted_before_it_was_read_is_counted_and_the_rest_read(
    config: Config,
) -> None:
    await write(config, 0, b"first")
    async with reading(config) as reader:
        await reader.add(PLACES)
        assert len(await take(reader, 1)) == 1
        await write(config, 0, *[b"%d" % n + bytes(2**20 - 200) for n in range(8)], b"last")
        await write(config, 1, b"other")
        # As it would be for one that was away: back to what is no longer there.
        reader.positions[PLACES[0]] = 1
        reader._seek()
        values = [one.value or b"" for one in await take(reader, 5)]
        assert b"other" in values
        while b"last" not in values:
            values += [one.value or b"" for one in await reader.take(0.1)]
        assert reader.lost == 9 - (len(values) - 1) > 0


async def test_dead_letters_that_are_deleted_while_they_are_read_are_not_passed_over(
    config: Config,
) -> None:
    await write(config, 0, *[bytes(2**20 - 200)] * 4, topic=DLQ)
    async with opened(config) as consumer:
        letters = letters_of(consumer, config)
        await anext(letters)
        await write(config, 0, *[bytes(2**20 - 200)] * 8, topic=DLQ)
        consumer.seek(TopicPartition(DLQ, 0), 1)
        with pytest.raises(StreamError) as overtaken:
            await _drain(letters)
    assert overtaken.value.code == "read-overtaken"
    assert "run it again" in overtaken.value.help


async def _drain(letters: AsyncIterator[Any]) -> None:
    async for _ in letters:
        pass


class Learning:
    """Notes what it learns."""

    def __init__(self) -> None:
        self.learnt: list[Any] = []

    def learn(self, responses: Sequence[Record]) -> None:
        self.learnt += [json.loads(one.value or b"null") for one in responses]


async def test_responses_are_learnt_past_a_header_that_the_client_cannot_read(
    config: Config,
) -> None:
    learning = Learning()
    tail = ResponseTail(config, learning, 3, look=0.2)  # type: ignore[arg-type]
    await tail.start()
    try:
        await write(config, 0, b"1")
        await write_odd(config, 1, b"2")
        await write(config, 1, b"3")
        await write(config, 2, b"4")
        # The topic has more partitions than there were when it began.
        await write(config, 3, b"5")
        async with asyncio.timeout(20):
            while len(learning.learnt) < 5:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.02)
    finally:
        await tail.stop(1.0)
    assert sorted(learning.learnt) == [1, 2, 3, 4, 5]
