"""Following the control topic, so that a worker decides by the newest policy."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from routec.runtime.config import Config
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.live import LivePolicy
from routec.runtime.policies.notices import Notices
from routec.runtime.policies.retention import Retention
from routec.runtime.policies.shadow import Comparer
from routec.runtime.policies.status import INTERVAL, Reporter, encode_status
from routec.runtime.stream.clients import close, connect, make_consumer
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.reader import TopicReader
from routec.runtime.stream.topics import find_partitions

log = logging.getLogger(__name__)

_POLL = 0.5
_MAX_BACKOFF = 5.0
_LOOK = 30.0
"""Seconds after which a control topic that was missing, or partitions it gained, are looked for."""


class PolicyFollower:
    """Reads the control topic to its end before the worker joins its group, then goes on reading.

    Args:
        config: the configuration, with a control topic.
        live: where policies are put in force.
        activation: puts them in force.
        look: seconds after which the topic, or more of its partitions, is looked for again.
    """

    def __init__(
        self, config: Config, live: LivePolicy, activation: Activation, look: float = _LOOK
    ) -> None:
        self._config = config
        self._look = look
        self._topic = config.topics.policies
        self._live = live
        self._activation = activation
        self._reporter = Reporter(config, activation)
        self._notices = Notices(config)
        self._retention: Retention | None = None
        if config.policies.keys:
            self._retention = Retention(
                self._topic, activation.problems, lambda: activation.changed()
            )
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []
        self._applied: dict[TopicPartition, int] = {}
        self._moved = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Put the newest policy in force, and begin to follow.

        Raises:
            StreamError: the cluster cannot be reached, or the control topic cannot be read.
        """
        config = self._config
        topics = config.topics
        if topics.status or topics.differences:
            self._notices.start()
        if topics.differences:
            self._live.comparer = Comparer(
                lambda key, value: self._notices.send(topics.differences, key, value)
            )
            self._live.comparer.start()
        consumer = await connect(lambda: make_consumer(config, group=False), config)
        self._consumer = consumer
        reader = TopicReader(consumer, config)
        try:
            async with asyncio.timeout(config.kafka.connect_timeout):
                if await self._find(reader, consumer):
                    ends = await consumer.end_offsets(self._partitions)
                    while not self._has_reached(ends):
                        await self._step(reader)
                    await self._check_retention(consumer)
                else:
                    log.warning(
                        "the control topic does not exist; the policy stays as it is",
                        extra={"topic": self._topic},
                    )
        except TopicAuthorizationFailedError as error:
            raise StreamError(
                "read-forbidden",
                f"Kafka forbids reading `{self._topic}`",
                'grant READ on it to this client, or run without it: `topics.policies = ""`',
            ) from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise StreamError(
                "policies-unreadable",
                f"the control topic `{self._topic}` cannot be read to its end: "
                f"{error or 'it takes too long'}",
                "see the log of the brokers; "
                "a worker that does not know the newest policy does not start",
            ) from error
        self._tasks = [asyncio.create_task(self._follow(consumer, reader), name="routec-policies")]
        if config.topics.status:
            self._activation.changed = self._report
            self._tasks.append(asyncio.create_task(self._report_often(), name="routec-status"))

    def begin_batch(self) -> None:
        """A batch begins."""
        self._live.begin_batch()

    def end_batch(self) -> None:
        """The batch is decided."""
        self._live.end_batch()

    async def caught_up(self) -> None:
        """Wait until what the control topic holds now is in force, or was refused.

        Where that takes longer than `kafka.request_timeout`, it is given up, and said.
        """
        consumer = self._consumer
        if consumer is None or not self._partitions:
            return
        try:
            async with asyncio.timeout(self._config.kafka.request_timeout):
                ends = await consumer.end_offsets(self._partitions)
                async with self._moved:
                    await self._moved.wait_for(lambda: self._has_reached(ends))
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning(
                "the control topic cannot be read; the last policy stays in force",
                extra={"topic": self._topic, "error": repr(error)},
            )

    async def stop(self, seconds: float) -> None:
        """Stop following, in bounded time; the status record is taken back."""
        comparer, self._live.comparer = self._live.comparer, None
        if comparer is not None:
            await comparer.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
            if self._config.topics.status:
                self._notices.send(self._config.topics.status, self._reporter.key, None)
        await self._notices.stop(seconds)
        if self._consumer is not None:
            await close(self._consumer, seconds)

    async def _find(self, reader: TopicReader, consumer: AIOKafkaConsumer) -> bool:
        """Read the partitions that the topic has, those that are new from their start."""
        await reader.add(await find_partitions(consumer._client, self._topic))
        self._partitions = list(reader.positions)
        return bool(self._partitions)

    async def _check_retention(self, consumer: AIOKafkaConsumer) -> None:
        if self._retention is not None and self._partitions:
            await self._retention.look(consumer)

    def _has_reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        return all(self._applied.get(partition, 0) >= end for partition, end in ends.items())

    async def _step(self, reader: TopicReader) -> None:
        """Take what has come since, and follow it."""
        records = await reader.take(_POLL)
        if records:
            await self._activation.apply(records)
        async with self._moved:
            self._applied = dict(reader.positions)
            self._moved.notify_all()

    async def _follow(self, consumer: AIOKafkaConsumer, reader: TopicReader) -> None:
        backoff = self._config.kafka.retry_backoff
        looked = time.monotonic()
        while True:
            try:
                if time.monotonic() - looked >= self._look:
                    looked = time.monotonic()
                    await self._find(reader, consumer)
                    await self._check_retention(consumer)
                if self._partitions:
                    await self._step(reader)
                else:
                    await asyncio.sleep(min(self._look, _POLL))
                backoff = self._config.kafka.retry_backoff
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.warning("the control topic cannot be read", extra={"error": repr(error)})
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)

    def _report(self) -> None:
        status = encode_status(self._reporter.status())
        self._notices.send(self._config.topics.status, self._reporter.key, status)

    async def _report_often(self) -> None:
        while True:
            self._report()
            await asyncio.sleep(INTERVAL)
