"""Reading and writing whole topics of policies: the control topic and the status topic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.partitioner import DefaultPartitioner

from routec.runtime.config import Config
from routec.runtime.policies.order import Order
from routec.runtime.records import Headers, Record
from routec.runtime.stream.clients import close, connect, make_consumer, make_producer
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.reader import TopicReader
from routec.runtime.stream.topics import find_partitions

_POLL = 0.2
Write = tuple[str, bytes | None, Headers]
"""Key, value (``None`` for a tombstone) and headers of a record to be written."""


async def read_compacted(config: Config, topic: str) -> dict[bytes, Record]:
    """The newest record of each key that a topic holds now; keys with a tombstone are left out.

    Raises:
        StreamError: the cluster cannot be reached, or the topic is missing or cannot be read.
    """
    held: dict[bytes, Record] = {}
    order = Order()

    def take(record: Record) -> None:
        if record.key is None:
            return
        if not order.goes_on(record.key, record.partition, record.timestamp_ms):
            return
        held.pop(record.key, None)
        if record.value is not None:
            held[record.key] = record

    await read_topic(config, topic, take)
    return held


async def read_topic(config: Config, topic: str, take: Callable[[Record], None]) -> None:
    """Read all that a topic holds now, each partition in order.

    Args:
        config: where.
        topic: its name.
        take: is given every record.

    Raises:
        StreamError: the cluster cannot be reached, or the topic is missing or cannot be read.
    """
    consumer = await connect(lambda: make_consumer(config, group=False), config)
    try:
        async with asyncio.timeout(config.kafka.connect_timeout):
            partitions = await _partitions(consumer._client, topic)
            reader = TopicReader(consumer, config)
            await reader.add(partitions)
            ends = await consumer.end_offsets(partitions)
            while any(reader.positions[one] < end for one, end in ends.items()):
                for record in await reader.take(_POLL):
                    take(record)
    except TopicAuthorizationFailedError as error:
        raise StreamError(
            "read-forbidden", f"Kafka forbids reading `{topic}`", "grant READ on it to this client"
        ) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise StreamError(
            "unreadable-topic",
            f"`{topic}` cannot be read to its end: {error or 'it takes too long'}",
            "see the log of the brokers",
        ) from error
    finally:
        await close(consumer)


async def write_records(config: Config, name: str, records: Sequence[Write]) -> None:
    """Write records of one policy to one partition of the control topic, as one batch.

    Raises:
        StreamError: the cluster cannot be reached, or the topic is missing or cannot be written.
    """
    topic = config.topics.policies
    producer = await connect(lambda: make_producer(config), config)
    try:
        async with asyncio.timeout(config.kafka.request_timeout):
            numbers = [one.partition for one in await _partitions(producer.client, topic)]
            # Where any producer would put the policy's name: its records keep their order.
            number = DefaultPartitioner()(name.encode(), numbers, numbers)
            await _send(producer, topic, number, records)
    except TopicAuthorizationFailedError as error:
        raise StreamError(
            "write-forbidden",
            f"Kafka forbids writing to `{topic}`",
            "grant WRITE on it to this client",
        ) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise StreamError(
            "unwritable-topic",
            f"nothing could be written to `{topic}`, or it is not known whether it was: "
            f"{error or 'it takes too long'}",
            "see with `routec status` whether it was, and only if not try again: a second "
            "`--rollback` goes back one step more; a program of some size needs a larger "
            "`max.message.bytes` of the topic",
        ) from error
    finally:
        await close(producer)


async def _send(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    records: Sequence[Write],
) -> None:
    now = int(time.time() * 1000)
    batch = producer.create_batch()
    together = all(
        batch.append(key=key.encode(), value=value, timestamp=now, headers=list(headers))
        is not None
        for key, value, headers in records
    )
    if together:
        batch.close()
        await (await producer.send_batch(batch, topic, partition=partition))
        return
    # Too large for one batch: one after the other, in order.
    for key, value, headers in records:
        await producer.send_and_wait(
            topic, value, key=key.encode(), partition=partition, headers=list(headers)
        )


async def _partitions(client: AIOKafkaClient, topic: str) -> list[TopicPartition]:
    found = await find_partitions(client, topic)
    if not found:
        raise StreamError(
            "missing-topic",
            f"the topic `{topic}` does not exist",
            "create it with `cleanup.policy=compact`, or name another in `[topics]`",
        )
    return found
