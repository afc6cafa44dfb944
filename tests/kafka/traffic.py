"""Writing requests, reading what became of them, and a small real decider."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from routec.runtime.config import Config
from routec.runtime.records import Dead, Decided, Outcome, Record
from routec.runtime.stream import Worker

PARTITIONS = 4
PATIENCE = 60.0


class EchoDecider:
    """Decides by the JSON's `n`: echoes it; dead letter for what is no JSON object.

    Args:
        pause: seconds that each batch takes.
    """

    policy_hash = "sha256:echo"

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.learned: list[Record] = []

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        if self.pause:
            await asyncio.sleep(self.pause)
        return [self._one(record) for record in records]

    def _one(self, record: Record) -> Outcome:
        source = f"{record.partition}/{record.offset}".encode()
        try:
            n = json.loads(record.value or b"")["n"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            return Dead("invalid-json", f"not a request: {error}")
        return Decided(json.dumps({"n": n}).encode(), (("source", source),))

    def learn(self, responses: Sequence[Record]) -> None:
        self.learned.extend(responses)


def with_runtime(config: Config, **changed: Any) -> Config:
    """The same configuration with other values of ``[runtime]``."""
    runtime = msgspec.structs.replace(config.runtime, **changed)
    return msgspec.structs.replace(config, runtime=runtime)


async def send(
    config: Config, values: Iterable[tuple[int, bytes]], **options: Any
) -> list[tuple[int, int]]:
    """Write requests to given partitions; the partition and offset of each, in order."""
    producer = AIOKafkaProducer(
        bootstrap_servers=config.kafka.bootstrap, max_request_size=20_000_000, acks="all", **options
    )
    await producer.start()
    try:
        sent = [
            await producer.send(
                config.topics.requests,
                value,
                key=f"key-{partition}".encode(),
                partition=partition,
                headers=[("traceparent", b"00-1-2-01")],
            )
            for partition, value in values
        ]
        done = await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return [(one.partition, one.offset) for one in done]


def numbered(count: int, start: int = 0) -> list[tuple[int, bytes]]:
    """Requests `{"n": …}` over all partitions."""
    return [(n % PARTITIONS, json.dumps({"n": n}).encode()) for n in range(start, start + count)]


async def read_all(config: Config, topic: str, count: int = PARTITIONS) -> list[Any]:
    """Every committed record of a topic, in order in each partition.

    A transaction is committed before the broker has written that into all of its partitions, so
    what counts is what lies in them, and not what of it can be read at first.

    Raises:
        TimeoutError: a transaction stays open.
    """
    consumer = AIOKafkaConsumer(
        isolation_level="read_committed",
        bootstrap_servers=config.kafka.bootstrap,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=20_000_000,
    )
    partitions = [TopicPartition(topic, number) for number in range(count)]
    ends = await _ends(config, partitions)
    await consumer.start()
    try:
        consumer.assign(partitions)
        found: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while any([await consumer.position(one) < ends[one] for one in partitions]):
                for some in (await consumer.getmany(timeout_ms=200)).values():
                    found.extend(some)
    finally:
        await consumer.stop()
    return found


async def _ends(config: Config, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Where partitions end, open transactions included."""
    consumer = AIOKafkaConsumer(bootstrap_servers=config.kafka.bootstrap)
    await consumer.start()
    try:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return ends


async def committed(config: Config, count: int = PARTITIONS) -> dict[int, int]:
    """The group's committed offset of each partition of the requests topic, 0 if none."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=config.kafka.bootstrap,
        group_id=config.kafka.group,
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(config.topics.requests, n) for n in range(count)]
        return {one.partition: await consumer.committed(one) or 0 for one in partitions}
    finally:
        await consumer.stop()


def header(record: Any, name: str) -> str:
    """The last header of that name, as text."""
    return [value for key, value in record.headers if key == name][-1].decode()


def sources(records: Iterable[Any]) -> dict[int, list[int]]:
    """By partition, the source offsets of decisions in the order they were written."""
    found: dict[int, list[int]] = {}
    for record in records:
        partition, offset = header(record, "source").split("/")
        assert int(partition) == record.partition
        found.setdefault(record.partition, []).append(int(offset))
    return found


def first_occurrences(offsets: Iterable[int]) -> list[int]:
    """The offsets without repetitions, each at its first place."""
    return list(dict.fromkeys(offsets))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it does not come to hold.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for did not happen")
        await asyncio.sleep(0.02)


async def until_committed(config: Config, offsets: dict[int, int]) -> None:
    """Wait until the group has committed exactly these offsets."""
    deadline = time.monotonic() + PATIENCE
    while (now := await committed(config)) != offsets:
        if time.monotonic() > deadline:
            raise TimeoutError(f"committed {now}, waited for {offsets}")
        await asyncio.sleep(0.2)


async def until_count(config: Config, topic: str, count: int) -> None:
    """Wait until a topic holds at least so many committed records."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=config.kafka.bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        found = 0
        async with asyncio.timeout(PATIENCE):
            while found < count:
                found += sum(map(len, (await consumer.getmany(timeout_ms=50)).values()))
    finally:
        await consumer.stop()


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[None]:
    """A worker at work, stopped in order at the end."""
    task = asyncio.create_task(worker.run())
    try:
        yield
        worker.stop()
        await task
    finally:
        if not task.done():
            worker.abort()
            await asyncio.wait([task])


async def check_once(config: Config, sent: Sequence[tuple[int, int]]) -> None:
    """None lost, none doubled, in order, none made up, offsets with their outcomes.

    Args:
        config: whose topics and group are looked at; nobody may be at work.
        sent: partition and offset of each request.
    """
    wanted: dict[int, list[int]] = {}
    for partition, offset in sent:
        wanted.setdefault(partition, []).append(offset)
    decided = sources(await read_all(config, config.topics.decisions))
    dead: dict[int, list[int]] = {}
    for letter in await read_all(config, config.topics.dlq):
        partition = int(header(letter, "routec.error.partition"))
        dead.setdefault(partition, []).append(int(header(letter, "routec.error.offset")))
    for offsets in (*decided.values(), *dead.values()):
        assert offsets == sorted(set(offsets))
    found = {
        partition: sorted(decided.get(partition, []) + dead.get(partition, []))
        for partition in decided.keys() | dead.keys()
    }
    assert found == wanted
    ends = {partition: offsets[-1] + 1 for partition, offsets in wanted.items()}
    assert {p: o for p, o in (await committed(config)).items() if p in ends} == ends
