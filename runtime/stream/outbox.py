"""Writing decisions and dead letters so that nothing is lost and order is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownError

from routec.runtime.config import Config
from routec.runtime.records import Dead
from routec.runtime.stream.batches import FORBIDDEN, REFUSED, fill, refusal, write_forbidden
from routec.runtime.stream.clients import close, connect, discard, make_producer
from routec.runtime.stream.topics import require_partition
from routec.runtime.stream.unit import Entry

log = logging.getLogger(__name__)

_MAX_BACKOFF = 5.0
_UNEXPLAINED_TRIES = 3
"""Refusals under a code the client has no name for that are taken for trouble of the broker."""


class Outbox:
    """Writes batches to single partitions and waits for their acknowledgement.

    One batch a partition is unacknowledged at a time, so a batch that has to be
    sent again cannot overtake a later one. Whatever the broker's trouble, a batch
    is sent again until it is acknowledged, refused for what it holds, or the
    caller gives up by cancelling.

    Args:
        config: the configuration.
        producer: a started producer; the outbox replaces it when it breaks and stops the last.
        working: told False when the broker does not take records and True when it does again.
    """

    def __init__(
        self, config: Config, producer: AIOKafkaProducer, working: Callable[[bool], None]
    ) -> None:
        self._config = config
        self._working = working
        self._producer = producer
        self._repair = asyncio.Lock()
        self._patience = config.kafka.request_timeout * 2

    async def require_partition(self, topic: str, partition: int) -> None:
        """Make sure that a topic has a partition.

        Raises:
            KafkaError: it has not, which may change, or that cannot be told now.
        """
        await require_partition(self._producer, topic, partition)

    async def write(
        self, topic: str, partition: int, entries: Sequence[Entry]
    ) -> list[tuple[Any, Dead]]:
        """Write records to one partition, in order, and wait for all of them.

        Args:
            topic: where to.
            partition: its partition, from 0.
            entries: the records.

        Returns:
            The consumed records whose entry the broker refuses for what it
            holds, such as its size, and why; all others are acknowledged.

        Raises:
            StreamError: the broker forbids writing to the topic.
        """
        refused: list[tuple[Any, Dead]] = []
        backoff = self._config.kafka.retry_backoff
        start, most, unexplained = 0, len(entries), 0
        while start < len(entries):
            producer = self._producer
            builder, end = fill(producer, entries, start, start + most)
            try:
                async with asyncio.timeout(self._patience):
                    await (await producer.send_batch(builder, topic, partition=partition))
            except (*REFUSED, UnknownError) as error:
                unexplained += isinstance(error, UnknownError)
                if 0 < unexplained < _UNEXPLAINED_TRIES:
                    await asyncio.sleep(backoff)
                    continue
                if end - start > 1:
                    # One of them is to blame: halve until it is alone.
                    most = (end - start) // 2
                    continue
                refused.append((entries[start][0], refusal(topic, error)))
            except FORBIDDEN as error:
                raise write_forbidden(f"`{topic}`") from error
            except (KafkaError, OSError, TimeoutError) as error:
                self._working(False)
                log.warning(
                    "kafka does not take records; trying again",
                    extra={"topic": topic, "partition": partition, "error": repr(error)},
                )
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
                if not getattr(error, "retriable", False):
                    await self._replace(producer)
                continue
            start, most, unexplained = end, len(entries), 0
        self._working(True)
        return refused

    async def _replace(self, broken: AIOKafkaProducer) -> None:
        """Put a new producer in the place of a broken one, once for all who saw it break."""
        async with self._repair:
            if self._producer is not broken:
                return
            await discard(broken)
            # Never gives up by itself: giving up is the caller's decision.
            self._producer = await connect(
                lambda: make_producer(self._config), self._config, deadline=float("inf")
            )

    async def stop(self, seconds: float) -> None:
        """Close the producer in bounded time; everything written is acknowledged already."""
        if not await close(self._producer, seconds):
            await discard(self._producer)
