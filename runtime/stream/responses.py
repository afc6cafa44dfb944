"""Following the responses topic, from which the cache is filled."""

from __future__ import annotations

import asyncio
import logging
import time

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from routec.runtime.config import Config
from routec.runtime.records import Decider
from routec.runtime.stream.clients import close, connect, make_consumer
from routec.runtime.stream.reader import TopicReader
from routec.runtime.stream.topics import find_partitions

log = logging.getLogger(__name__)

_POLL = 0.5
_MAX_BACKOFF = 5.0
_LOOK = 30.0
"""Seconds after which it is looked for partitions that the topic has gained."""


class ResponseTail:
    """Reads every partition of the responses topic from its end, in no group.

    Each worker reads all of it; partitions that the topic gains later it reads from their start.
    What goes wrong here costs cache entries, never decisions.

    Args:
        config: the configuration, with a responses topic.
        decider: is handed the responses.
        partitions: partitions of the topic.
        look: seconds after which it is looked for more of them.
    """

    def __init__(
        self, config: Config, decider: Decider, partitions: int, look: float = _LOOK
    ) -> None:
        self._config = config
        self._decider = decider
        self._topic = config.topics.responses
        self._partitions = partitions
        self._look = look
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self.learned = 0

    async def start(self) -> None:
        """Connect, go to the end and begin to follow.

        Where the end cannot be had now, it is looked for again while decisions are made.

        Raises:
            StreamError: the cluster cannot be reached.
        """
        consumer = await connect(lambda: make_consumer(self._config, group=False), self._config)
        self._consumer = consumer
        reader = TopicReader(consumer, self._config)
        try:
            await self._go_to_end(reader)
        except (KafkaError, TimeoutError) as error:
            _complain(error)
        self._task = asyncio.create_task(self._follow(consumer, reader), name="routec-responses")

    async def _go_to_end(self, reader: TopicReader) -> None:
        partitions = [TopicPartition(self._topic, number) for number in range(self._partitions)]
        async with asyncio.timeout(self._config.kafka.request_timeout):
            await reader.add(partitions, at_end=True)

    async def _look_for_more(self, consumer: AIOKafkaConsumer, reader: TopicReader) -> None:
        """Read partitions that are new from their start: nothing there is older than we are."""
        async with asyncio.timeout(self._config.kafka.request_timeout):
            await reader.add(await find_partitions(consumer._client, self._topic))

    async def _follow(self, consumer: AIOKafkaConsumer, reader: TopicReader) -> None:
        kafka = self._config.kafka
        backoff = kafka.retry_backoff
        looked = time.monotonic()
        while True:
            try:
                if not reader.positions:
                    await self._go_to_end(reader)
                if time.monotonic() - looked >= self._look:
                    looked = time.monotonic()
                    await self._look_for_more(consumer, reader)
                await self._learn(reader)
                backoff = kafka.retry_backoff
            except (KafkaError, TimeoutError) as error:
                _complain(error)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
            except Exception:
                log.exception("learning from responses failed")
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)

    async def _learn(self, reader: TopicReader) -> None:
        size = self._config.runtime.batch_size
        records = await reader.take(_POLL, size)
        for first in range(0, len(records), size):
            part = records[first : first + size]
            self._decider.learn(part)
            self.learned += len(part)
            # Learning holds the loop; let decisions go first.
            await asyncio.sleep(0)

    async def stop(self, seconds: float) -> None:
        """Stop following, in bounded time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=seconds)
        if self._consumer is not None:
            await close(self._consumer, seconds)


def _complain(error: Exception) -> None:
    log.warning("responses cannot be read", extra={"error": type(error).__name__})
