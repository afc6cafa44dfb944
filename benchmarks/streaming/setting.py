"""A broker, topics on it, and requests in them."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from routec.runtime.config import Config, Kafka, Runtime, Topics
from routec.runtime.stream import create_topics
from routec.runtime.stream.clients import close, connect, make_producer
from streaming import traffic

Delivery = Literal["exactly_once", "at_least_once"]

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def kafka(bootstrap: str | None) -> Iterator[str]:
    """The broker named, or one of our own."""
    if bootstrap is not None:
        yield bootstrap
        return
    sys.path.insert(0, str(ROOT / "tests" / "kafka" / "broker"))
    from apache_kafka import ApacheKafka

    # As brokers are run: warm, and with room for hundreds of partitions.
    with ApacheKafka(heap="1g", quick=False) as broker:
        yield broker.bootstrap


def new_config(bootstrap: str, batch: int) -> Config:
    """Topics of new names, and no others than the worker needs."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    topics = dict.fromkeys(Topics.__struct_fields__, "")
    topics |= {field: f"{name}.{field}" for field in ("requests", "decisions", "dlq")}
    return Config(
        kafka=Kafka(bootstrap=bootstrap, group=name),
        topics=Topics(**topics),
        runtime=Runtime(batch_size=batch),
    )


def fresh(config: Config, delivery: Delivery) -> Config:
    """The same topics, read by a new group."""
    group = f"bench-{uuid.uuid4().hex[:8]}"
    return msgspec.structs.replace(
        config,
        kafka=msgspec.structs.replace(config.kafka, group=group),
        runtime=msgspec.structs.replace(config.runtime, delivery=delivery),
    )


async def make_topics(config: Config, partitions: int = traffic.PARTITIONS) -> None:
    """Make the topics."""
    await create_topics(config, partitions=partitions)


async def make_small_topics(config: Config, partition_bytes: int) -> None:
    """Make the topics so that each partition keeps little, for load that goes on for long."""
    options = {
        "retention.bytes": str(partition_bytes),
        "segment.bytes": str(partition_bytes // 4),
        "file.delete.delay.ms": "1000",
    }
    names = (config.topics.requests, config.topics.decisions, config.topics.dlq)
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, traffic.PARTITIONS, 1, topic_configs=options) for name in names]
        )
    finally:
        await admin.close()
    await make_topics(config)


async def drop_topics(config: Config) -> None:
    """Remove the topics, whose data would fill the disk."""
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics(
            [config.topics.requests, config.topics.decisions, config.topics.dlq]
        )
    finally:
        await admin.close()


class Sender:
    """Writes requests to given partitions, in batches.

    Args:
        producer: a started producer.
        topic: where to.
        partitions: how many it has.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: int) -> None:
        self._producer = producer
        self._topic = topic
        self._builders = [producer.create_batch() for _ in range(partitions)]
        self._keys = traffic.keys(partitions)
        self._waiting: set[asyncio.Future[object]] = set()

    async def add(self, number: int, value: bytes) -> None:
        """Put the numbered request into the batch of its partition."""
        partition = number % len(self._builders)
        key = self._keys[partition][number // len(self._builders) % 8]
        if self._builders[partition].append(timestamp=None, key=key, value=value) is None:
            await self.ship(partition)
            self._builders[partition].append(timestamp=None, key=key, value=value)

    async def ship(self, partition: int) -> None:
        """Hand a partition's batch over."""
        builder = self._builders[partition]
        if not builder.record_count():
            return
        self._builders[partition] = self._producer.create_batch()
        sent = await self._producer.send_batch(builder, self._topic, partition=partition)
        self._waiting.add(sent)
        sent.add_done_callback(self._waiting.discard)

    async def ship_all(self) -> None:
        """Hand all batches over."""
        for partition in range(len(self._builders)):
            await self.ship(partition)

    async def finish(self) -> None:
        """Wait until all is acknowledged."""
        await self.ship_all()
        await asyncio.gather(*self._waiting)


async def load(config: Config, count: int, partitions: int = traffic.PARTITIONS) -> float:
    """Write requests, to each partition in turn; their mean size in bytes."""
    producer: AIOKafkaProducer = await connect(lambda: make_producer(config), config)
    sender, size = Sender(producer, config.topics.requests, partitions), 0
    try:
        for number, value in enumerate(traffic.requests(count)):
            size += len(value)
            await sender.add(number, value)
            # One request of the client holds a batch of every partition: no broker takes 100 MB.
            if number % 20_000 == 0:
                await sender.finish()
        await sender.finish()
    finally:
        await close(producer)
    return size / count
