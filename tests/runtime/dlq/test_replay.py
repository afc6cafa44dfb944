"""Letters come back once, as the records that they were; on the embedded broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.structs import ConsumerRecord

from routec.runtime.config import Config, Kafka
from routec.runtime.dlq import (
    Letter,
    Replay,
    Replayed,
    Selection,
    Source,
    letter_at,
    letters_of,
    opened,
    read_register,
    register_topic,
)
from routec.runtime.embedded import PARTITIONS, embedded_broker
from routec.runtime.records import Dead
from routec.runtime.stream import StreamError
from routec.runtime.stream.letters import RawHeaders, dead_letter_headers
from tests.runtime.reading import read

REQUESTS, DLQ = "routec.requests", "routec.dlq"
Record = tuple[int, bytes | None, bytes | None, RawHeaders]
"""Partition, key, value and headers."""


@asynccontextmanager
async def cluster(*topics: str) -> AsyncIterator[Config]:
    async with embedded_broker(topics or (REQUESTS, DLQ, DLQ + ".replays")) as broker:
        kafka = Kafka(bootstrap=broker.bootstrap, fetch_max_wait=broker.fetch_max_wait)
        yield Config(kafka=kafka)


def died(
    offset: int,
    code: str = "invalid-json",
    *,
    partition: int = 1,
    topic: str = REQUESTS,
    key: bytes | None = b"k",
    value: bytes | None = b"{",
    headers: RawHeaders | None = None,
) -> Record:
    """A letter of a record at an offset of a partition."""
    original = ConsumerRecord(
        topic, partition, offset, 7, 0, key, value, None, -1, -1, tuple(headers or [])
    )
    reason = dead_letter_headers(original, Dead(code, "no"), "sha256:1")
    return partition % PARTITIONS, key, value, reason


async def write(config: Config, topic: str, records: Sequence[Record]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=config.kafka.bootstrap) as producer:
        for partition, key, value, headers in records:
            batch = producer.create_batch()
            batch.append(timestamp=1000, key=key, value=value, headers=headers)
            batch.close()
            await (await producer.send_batch(batch, topic, partition=partition))


async def letters(config: Config) -> list[Letter | None]:
    async with opened(config) as consumer:
        return [one async for one in letters_of(consumer, config)]


async def replay(
    config: Config,
    selection: Selection | None = None,
    *,
    rehearse: bool = False,
    stop: asyncio.Event | None = None,
    **options: Any,
) -> Replayed:
    selection, stop = selection or Selection(), stop or asyncio.Event()

    async def wanted(source: Any) -> AsyncIterator[Letter]:
        async for letter in source:
            if letter is not None and selection.wants(letter):
                yield letter

    async with (
        opened(config) as consumer,
        opened(config) as register,
        aclosing(letters_of(consumer, config)) as source,
    ):
        work = Replay(config, register, **options)
        if rehearse:
            await work.rehearse(wanted(source), stop)
        else:
            async with work:
                await work.run(wanted(source), stop)
    return work.result


async def test_the_original_records_come_back_to_their_partitions_once() -> None:
    originals: list[tuple[bytes | None, bytes | None, RawHeaders]] = [
        (b"k", b"{", [("traceparent", b"00"), ("x", None), ("routec.error.code", b"mine")]),
        (None, b"\xff\x00", []),
        (b"only a key", None, []),
        (None, None, [("h", b"")]),
    ]
    async with cluster() as config:
        await write(
            config,
            DLQ,
            [
                died(n, partition=2, key=key, value=value, headers=headers)
                for n, (key, value, headers) in enumerate(originals)
            ],
        )
        result = await replay(config)
        assert result.done == {(REQUESTS, "invalid-json"): 4}
        back = await read(config, REQUESTS)
        assert [(one.key, one.value, list(one.headers)) for one in back] == originals
        assert {one.partition for one in back} == {2}

        second = await replay(config)
        assert (second.done.total(), second.before) == (0, 4)
        assert len(await read(config, REQUESTS)) == 4

        third = await replay(config, again=True)
        assert (third.done.total(), third.before) == (4, 0)
        assert len(await read(config, REQUESTS)) == 8


async def test_a_rehearsal_says_the_same_and_does_nothing() -> None:
    async with cluster(REQUESTS, DLQ) as config:
        await write(config, DLQ, [died(1), died(2, "empty-event"), died(3, topic="gone")])
        result = await replay(config, rehearse=True, topics={"gone"})
        assert result.done == {(REQUESTS, "invalid-json"): 1, (REQUESTS, "empty-event"): 1}
        assert [one.reason for one in result.refused] == ["the topic `gone` does not exist"]
        assert await read(config, REQUESTS) == []
        async with opened(config) as consumer:
            cluster_ = await consumer._client.fetch_all_metadata()
            assert register_topic(config) not in cluster_.topics()


async def test_what_is_selected_leaves_the_rest_for_later() -> None:
    async with cluster() as config:
        records = [died(n, "empty-event" if n % 2 else "invalid-json") for n in range(6)]
        await write(config, DLQ, records)
        assert (await replay(config, Selection(codes={"empty-event"}))).done.total() == 3
        assert (await replay(config, limit=2)).done.total() == 2
        last = await replay(config)
        assert (last.done.total(), last.before) == (1, 5)
        assert len(await read(config, REQUESTS)) == 6


async def test_two_letters_of_one_record_bring_it_back_once_also_when_repeated() -> None:
    async with cluster() as config:
        await write(config, DLQ, [died(7), died(7), died(8)])
        for again in (False, True):
            result = await replay(config, again=again)
            assert (result.done.total(), result.before) == (2, 1)


async def test_a_source_that_was_filled_anew_is_another_one() -> None:
    async with cluster() as config:
        await write(config, DLQ, [died(7)])
        await replay(config)
        await write(config, DLQ, [died(7, value=b"another")])
        result = await replay(config, Selection(places={(1, 1)}))
        assert result.done.total() == 1
        # Neither of the two is forgotten for the other.
        third = await replay(config)
        assert (third.done.total(), third.before) == (0, 2)
        # Under their keys a compacted topic keeps both.
        keys = {one.key for one in await read(config, register_topic(config))}
        assert len(keys) == 2


async def test_what_cannot_come_back_is_named_and_stops_nothing() -> None:
    async with cluster() as config:
        await write(
            config,
            DLQ,
            [died(1, "unreadable-batch"), died(2, partition=9), died(3, topic="gone"), died(4)],
        )
        result = await replay(config, topics={"gone"})
        assert result.done.total() == 1
        assert sorted(one.reason for one in result.refused) == [
            "`routec.requests` has no partition 9 any more",
            "it holds a damaged batch, not a record",
            "the topic `gone` does not exist",
        ]


async def test_only_the_topic_of_the_requests_is_written_unless_another_is_named() -> None:
    async with cluster(REQUESTS, DLQ, DLQ + ".replays", "orders") as config:
        await write(config, DLQ, [died(3, topic="orders")])
        result = await replay(config)
        assert [one.reason for one in result.refused] == [
            "it says it is from `orders`; `--topic orders` allows that"
        ]
        assert await read(config, "orders") == []
        assert (await replay(config, topics={"orders"})).done == {("orders", "invalid-json"): 1}
        assert len(await read(config, "orders")) == 1


async def test_many_letters_keep_their_order() -> None:
    async with cluster() as config:
        await write(config, DLQ, [died(n, value=b"%d" % n) for n in range(250)])
        assert (await replay(config)).done.total() == 250
        assert [one.value for one in await read(config, REQUESTS)] == [
            b"%d" % n for n in range(250)
        ]


async def test_told_to_stop_it_does_no_more() -> None:
    async with cluster() as config:
        await write(config, DLQ, [died(1)])
        stop = asyncio.Event()
        stop.set()
        result = await replay(config, stop=stop)
        assert (result.done.total(), result.stopped) == (0, True)
        assert await read(config, REQUESTS) == []


async def test_records_of_other_programs_are_no_letters_and_no_entries() -> None:
    async with cluster() as config:
        await write(config, DLQ, [(0, b"k", b"v", [("h", b"1")]), died(4)])
        odd: list[bytes | None] = [
            b"{}",
            None,
            b"\xff",
            b'{"topic":"\xff","partition":0,"offset":0,"digest":"","time_ms":0}',
            b'{"x":' + b"[" * 100_000,
        ]
        await write(config, register_topic(config), [(0, b"k", value, []) for value in odd])
        found = await letters(config)
        assert [None if one is None else one.source for one in found] == [
            None,
            Source(REQUESTS, 1, 4),
        ]
        async with opened(config) as consumer:
            assert (await read_register(consumer, config)).entries == set()


async def test_one_letter_is_found_at_its_place_and_nothing_beside_it() -> None:
    async with cluster() as config:
        await write(config, DLQ, [died(4), died(5)])
        async with opened(config) as consumer:
            record = await letter_at(consumer, config, (1, 1))
            assert dict(record.headers)["routec.error.offset"] == b"5"
            for place in ((1, 2), (0, 0), (77, 0), (1, 10**17)):
                assert await letter_at(consumer, config, place) is None


async def test_without_its_topic_there_are_no_letters() -> None:
    async with cluster(REQUESTS) as config:
        with pytest.raises(StreamError, match=r"the topic `routec\.dlq` does not exist"):
            await letters(config)


async def test_a_header_name_that_is_no_utf_8_hides_no_letter() -> None:
    class Odd(str):
        def encode(self, *_: object) -> bytes:  # type: ignore[override]
            return b"na\xffme"

    async with cluster() as config:
        await write(config, DLQ, [died(1)])
        async with AIOKafkaProducer(bootstrap_servers=config.kafka.bootstrap) as producer:
            batch = producer.create_batch()
            builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 100_000)
            builder.append(0, 1000, b"k", b"v", [(Odd("x"), b"1")])
            batch._relative_offset += 1
            batch._builder = builder
            await (await producer.send_batch(batch, DLQ, partition=1))
        await write(config, DLQ, [died(2)])
        found = await letters(config)
        assert [None if one is None else one.source.offset for one in found] == [1, None, 2]
