"""The topics of the stream's benchmark: made, filled, read and removed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from routec.cli.bench.result import Disagreement
from routec.cli.bench.stream_events import PARTITIONS, requests
from routec.cli.bench.stream_side import config_of
from routec.runtime.config import Config
from routec.runtime.stream import StreamError, create_topics
from routec.runtime.stream.clients import (
    Admin,
    close,
    connect,
    make_consumer,
    make_producer,
)
from routec.runtime.stream.unreachable import in_words

Told = Callable[[str], None]
"""Is told what goes on."""
PATIENCE = 5.0
"""Seconds without a decision after which no more are to come."""
_AHEAD = 32
"""Batches of requests that are written at once."""
_TOPICS = ("requests", "decisions", "dlq")


@contextmanager
def throwaway_topics(config: Config, prefix: str, told: Told) -> Iterator[Config]:
    """Topics of new names, which are removed again whatever happens."""
    own = config_of(config, prefix, prefix, "exactly_once")
    told("making topics")
    try:
        asyncio.run(create_topics(own, partitions=PARTITIONS))
    except StreamError as error:
        # They may be there, and not be ready.
        if error.code == "topic-refused":
            with suppress(StreamError):
                asyncio.run(_drop(own))
        raise
    try:
        yield own
    finally:
        told("removing the topics")
        asyncio.run(_drop(own))


async def _drop(config: Config) -> None:
    names = [getattr(config.topics, name) for name in _TOPICS]
    try:
        admin = await connect(lambda: Admin(config), config)
        try:
            there = set(await admin.client.list_topics())
            await admin.client.delete_topics([name for name in names if name in there])
        finally:
            await close(admin)
    except (KafkaError, TimeoutError, StreamError) as error:
        reason = error.message if isinstance(error, StreamError) else in_words(error)
        raise StreamError(
            "topic-refused",
            f"the topics of the benchmark cannot be removed: {reason}",
            f"remove those whose names begin with `{names[0].rpartition('.')[0]}`",
        ) from error


async def load(config: Config, count: int) -> None:
    """Write requests, to each partition in turn, with as many keys as callers."""
    producer: AIOKafkaProducer = await connect(lambda: make_producer(config), config)
    topic = config.topics.requests
    builders = [producer.create_batch() for _ in range(PARTITIONS)]
    waiting = []
    try:
        for number, value in enumerate(requests(count)):
            at, key = number % PARTITIONS, b"caller-%d" % (number % 64)
            if builders[at].append(timestamp=None, key=key, value=value) is None:
                waiting.append(await producer.send_batch(builders[at], topic, partition=at))
                builders[at] = producer.create_batch()
                builders[at].append(timestamp=None, key=key, value=value)
            if len(waiting) >= _AHEAD:
                await asyncio.gather(*waiting)
                waiting.clear()
        for at, builder in enumerate(builders):
            if builder.record_count():
                waiting.append(await producer.send_batch(builder, topic, partition=at))
        await asyncio.gather(*waiting)
    except KafkaError as error:
        raise StreamError(
            "write-failed",
            f"the requests of the benchmark cannot be written: {in_words(error)}",
            "see the log of the brokers",
        ) from error
    finally:
        await close(producer)


class Decisions:
    """The committed decisions, in the order of each partition, from one run to the next.

    Args:
        config: names their topic.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        topic = config.topics.decisions
        self._next = {TopicPartition(topic, number): 0 for number in range(PARTITIONS)}

    async def of_a_run(self, count: int) -> list[str]:
        """A digest of each partition's decisions that came since.

        Args:
            count: how many there must be.

        Raises:
            Disagreement: there are more or fewer.
        """
        config, places = self._config, list(self._next)
        digests = {one: hashlib.sha256() for one in places}
        read, moved = 0, time.monotonic()
        consumer: AIOKafkaConsumer = await connect(
            lambda: make_consumer(config, group=False), config
        )
        try:
            consumer.assign(places)
            for one in places:
                consumer.seek(one, self._next[one])
            # A commit is answered before its mark is in the partition, and what lies before the
            # mark can be read after it only.
            while read < count and time.monotonic() - moved < PATIENCE:
                for one, records in (await consumer.getmany(timeout_ms=200)).items():
                    read, moved = read + len(records), time.monotonic()
                    self._next[one] = records[-1].offset + 1
                    for record in records:
                        digests[one].update(b"%b %b\n" % (record.key, record.value))
            extra = await consumer.getmany(timeout_ms=200)
        finally:
            await close(consumer)
        read += sum(map(len, extra.values()))
        if read != count:
            raise Disagreement(f"{count:,} requests became {read:,} decisions")
        return [digests[one].hexdigest() for one in places]
