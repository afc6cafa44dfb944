"""Reading a topic from its beginning to its present end, in no group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from routec.runtime.config import Config
from routec.runtime.dlq.letter import Letter, read_letter
from routec.runtime.stream.clients import close, connect, make_consumer
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.salvage import salvage
from routec.runtime.stream.topics import find_partitions
from routec.runtime.stream.unreachable import in_words

Place = tuple[int, int]
"""Partition and offset of a record."""
Told = Callable[[int, int], None]
"""Is told how many offsets are passed, and of how many."""

_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are wanted; each part that is empty or ``None`` wants all.

    Attributes:
        codes: reasons.
        topics: topics that the records came from.
        partitions: partitions there.
        since_ms: letters written at this time or later, milliseconds since the epoch.
        until_ms: letters written before this time.
        places: letters by their place in the dead-letter topic.
    """

    codes: Collection[str] = ()
    topics: Collection[str] = ()
    partitions: Collection[int] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    places: Collection[Place] = ()

    def wants(self, letter: Letter) -> bool:
        """Whether a letter is wanted."""
        return (
            (not self.codes or letter.code in self.codes)
            and (not self.topics or letter.source.topic in self.topics)
            and (not self.partitions or letter.source.partition in self.partitions)
            and (self.since_ms is None or letter.timestamp_ms >= self.since_ms)
            and (self.until_ms is None or letter.timestamp_ms < self.until_ms)
            and (not self.places or (letter.partition, letter.offset) in self.places)
        )

    @property
    def all(self) -> bool:
        """Whether it wants everything."""
        return self == Selection()


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer in no group, which is closed at the end.

    Raises:
        StreamError: the cluster cannot be reached.
    """
    consumer = await connect(lambda: make_consumer(config, group=False), config)
    try:
        yield consumer
    finally:
        await close(consumer)


async def letters_of(
    consumer: AIOKafkaConsumer, config: Config, told: Told | None = None
) -> AsyncGenerator[Letter | None, None]:
    """Every letter there is now, in order in each partition; ``None`` for what is none.

    Raises:
        StreamError: the dead-letter topic is missing, or cannot be read.
    """
    topic = config.topics.dlq
    if not await partitions_of(consumer, config, topic):
        raise StreamError(
            "missing-topic",
            f"the topic `{topic}` does not exist",
            "name the dead-letter topic with `topics.dlq`",
        )
    async with aclosing(reached(consumer, config, topic, told)) as records:
        async for record in records:
            yield read_letter(record)


async def letter_at(consumer: AIOKafkaConsumer, config: Config, place: Place) -> Any:
    """The record at a place of the dead-letter topic; ``None`` where there is none.

    Raises:
        StreamError: the topic cannot be read.
    """
    topic = config.topics.dlq
    partition, offset = place
    if partition not in await partitions_of(consumer, config, topic):
        return None
    async with aclosing(reached(consumer, config, topic, start={partition: offset})) as records:
        async for record in records:
            return record if record.offset == offset else None
    return None


async def partitions_of(consumer: AIOKafkaConsumer, config: Config, topic: str) -> list[int]:
    """The partitions of a topic; none where it does not exist.

    Raises:
        StreamError: the cluster does not answer.
    """
    try:
        async with asyncio.timeout(config.kafka.request_timeout):
            found = await find_partitions(consumer._client, topic)
    except (KafkaError, TimeoutError) as error:
        raise _unanswered(config, topic, error) from error
    return [one.partition for one in found]


async def reached(
    consumer: AIOKafkaConsumer,
    config: Config,
    topic: str,
    told: Told | None = None,
    start: dict[int, int] | None = None,
) -> AsyncGenerator[Any, None]:
    """Every committed record of a topic up to the end it has now.

    Args:
        consumer: a consumer that nobody else uses meanwhile.
        config: the configuration.
        topic: a topic that exists.
        told: is told how far it is.
        start: the partitions to read, and the offset to begin at; all from their beginning if not
            given. One before the beginning begins there.

    Raises:
        StreamError: it cannot be read, or is deleted (``read-overtaken``) before it is read.
    """
    try:
        numbers = start or dict.fromkeys(await partitions_of(consumer, config, topic), 0)
        partitions = [TopicPartition(topic, number) for number in numbers]
        async with asyncio.timeout(config.kafka.request_timeout):
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
        at = {one: max(begins[one], numbers[one.partition]) for one in partitions}
        first = dict(at)
        # At once: in between the client would look for a place of its own.
        consumer.assign(partitions)
        for one in partitions:
            consumer.seek(one, at[one])
        total = sum(max(0, ends[one] - at[one]) for one in partitions)
        moved = time.monotonic()
        while left := [one for one in partitions if at[one] < ends[one]]:
            for one, records in (await _more(consumer, config, left, at)).items():
                for record in records:
                    if record.offset < ends[one]:
                        yield record
                position = await consumer.position(one)
                if position > at[one]:
                    at[one], moved = position, time.monotonic()
            if time.monotonic() - moved > config.kafka.request_timeout:
                raise TimeoutError
            if told is not None:
                told(sum(min(at[one], ends[one]) - first[one] for one in partitions), total)
    except TopicAuthorizationFailedError as error:
        raise StreamError(
            "read-forbidden",
            f"Kafka forbids reading `{topic}`",
            "grant READ on the topic to this client",
        ) from error
    except OffsetOutOfRangeError as error:
        # To go on as if it had been read would say of what is gone that it was dealt with.
        raise StreamError(
            "read-overtaken",
            f"records of `{topic}` were deleted before they were read",
            f"run it again for what is left, and keep `{topic}` for longer (`retention.ms`, "
            "`retention.bytes`)",
        ) from error
    except (KafkaError, TimeoutError) as error:
        raise _unanswered(config, topic, error) from error


async def _more(
    consumer: AIOKafkaConsumer,
    config: Config,
    partitions: list[TopicPartition],
    at: dict[TopicPartition, int],
) -> dict[TopicPartition, list[Any]]:
    """What comes next, each partition's position moved past it."""
    try:
        async with asyncio.timeout(config.kafka.request_timeout):
            found = await consumer.getmany(*partitions, timeout_ms=round(_POLL * 1000))
    except (CorruptRecordException, UnicodeDecodeError):
        # One record that the client cannot decode, or a damaged batch: who knows whose. What it
        # had unpacked of other partitions is dropped, so all of them are read that way.
        return await _leniently(consumer, config, partitions, at)
    # Control records move the position without a record to show for it.
    return {one: found.get(one, []) for one in partitions}


async def _leniently(
    consumer: AIOKafkaConsumer,
    config: Config,
    partitions: list[TopicPartition],
    at: dict[TopicPartition, int],
) -> dict[TopicPartition, list[Any]]:
    found: dict[TopicPartition, list[Any]] = {}
    for one in partitions:
        salvaged = await salvage(consumer, config, one, at[one])
        if salvaged is not None:
            consumer.seek(one, salvaged.end)
            found[one] = salvaged.records
        else:
            consumer.seek(one, at[one])
    return found


def _unanswered(config: Config, topic: str, error: BaseException) -> StreamError:
    return StreamError(
        "read-failed",
        f"`{topic}` at `{config.kafka.bootstrap}` cannot be read: {in_words(error)}",
        "check that the brokers are up, then try again",
    )
