"""Following the responses topic, from which the cache is filled."""

from __future__ import annotations

import asyncio
import logging

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from routec.runtime.config import Config
from routec.runtime.records import Decider
from routec.runtime.stream.clients import close, connect, make_consumer
from routec.runtime.stream.take import as_record

log = logging.getLogger(__name__)

_POLL = 0.5
_MAX_BACKOFF = 5.0


class ResponseTail:
    """Reads every partition of the responses topic from its end, in no group.

    Each worker reads all of it. What goes wrong here costs cache entries, never decisions.

    Args:
        config: the configuration, with a responses topic.
        decider: is handed the responses.
        partitions: partitions of the topic.
    """

    def __init__(self, config: Config, decider: Decider, partitions: int) -> None:
        self._config = config
        self._decider = decider
        self._topic = config.topics.responses
        self._partitions = partitions
        self._consumer: AIOKafkaConsumer | None = None
        self._at_end = False
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
        partitions = [TopicPartition(self._topic, number) for number in range(self._partitions)]
        consumer.assign(partitions)
        try:
            await self._go_to_end(consumer)
        except (KafkaError, TimeoutError) as error:
            _complain(error)
        self._task = asyncio.create_task(self._follow(consumer), name="routec-responses")

    async def _go_to_end(self, consumer: AIOKafkaConsumer) -> None:
        async with asyncio.timeout(self._config.kafka.request_timeout):
            await consumer.seek_to_end()
        self._at_end = True

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        backoff = self._config.kafka.retry_backoff
        while True:
            try:
                if not self._at_end:
                    await self._go_to_end(consumer)
                taken = await consumer.getmany(
                    timeout_ms=int(_POLL * 1000), max_records=self._config.runtime.batch_size
                )
                for some in taken.values():
                    self._decider.learn([as_record(one) for one in some])
                    self.learned += len(some)
                    # Learning holds the loop; let decisions go first.
                    await asyncio.sleep(0)
                backoff = self._config.kafka.retry_backoff
            except (KafkaError, TimeoutError, UnicodeDecodeError) as error:
                _complain(error)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
            except Exception:
                log.exception("learning from responses failed")
                await asyncio.sleep(backoff)

    async def stop(self, seconds: float) -> None:
        """Stop following, in bounded time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=seconds)
        if self._consumer is not None:
            await close(self._consumer, seconds)


def _complain(error: Exception) -> None:
    log.warning("responses cannot be read", extra={"error": type(error).__name__})
