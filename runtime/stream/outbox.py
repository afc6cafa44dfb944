"""Writing decisions and dead letters so that nothing is lost and order is kept."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownError,
)

from routec.runtime.config import Config
from routec.runtime.records import Dead
from routec.runtime.stream.clients import close, connect, make_producer
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.letters import RawHeaders

log = logging.getLogger(__name__)

Entry = tuple[Any, bytes | None, RawHeaders]
"""A record to write: the consumed record it answers, the value, the headers; the key is copied."""

_REFUSED = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    InvalidTimestampError,
    PolicyViolationError,
)
_FORBIDDEN = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)
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
        self._producer = producer
        self._working = working
        self._repair = asyncio.Lock()
        self._patience = config.kafka.request_timeout * 2

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
            builder, end = _fill(producer, entries, start, start + most)
            try:
                async with asyncio.timeout(self._patience):
                    await (await producer.send_batch(builder, topic, partition=partition))
            except (*_REFUSED, UnknownError) as error:
                unexplained += isinstance(error, UnknownError)
                if 0 < unexplained < _UNEXPLAINED_TRIES:
                    await asyncio.sleep(backoff)
                    continue
                if end - start > 1:
                    # One of them is to blame: halve until it is alone.
                    most = (end - start) // 2
                    continue
                refused.append((entries[start][0], _refusal(topic, error)))
            except _FORBIDDEN as error:
                raise StreamError(
                    "write-forbidden",
                    f"Kafka forbids writing to `{topic}`",
                    f"grant WRITE on `{topic}` to this client",
                ) from error
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
            await _discard(broken)
            # Never gives up by itself: giving up is the caller's decision.
            self._producer = await connect(
                lambda: make_producer(self._config), self._config, deadline=float("inf")
            )

    async def stop(self, seconds: float) -> None:
        """Close the producer in bounded time; everything written is acknowledged already."""
        if not await close(self._producer, seconds):
            await _discard(self._producer)


async def _discard(producer: AIOKafkaProducer) -> None:
    """End a producer without waiting for what it still holds: that is sent again elsewhere."""
    sender = getattr(producer, "_sender", None)
    if sender is not None and sender.sender_task is not None:
        # No public way ends the sender without flushing, which is what hangs here.
        sender.sender_task.cancel()
        await asyncio.wait([sender.sender_task], timeout=1.0)
    await close(producer, 1.0)
    await producer.client.close()


def _fill(
    producer: AIOKafkaProducer, entries: Sequence[Entry], start: int, limit: int
) -> tuple[Any, int]:
    """A batch of entries from ``start``, and where the next one begins.

    A record larger than a batch is taken when it is the first: it travels alone.
    """
    builder = producer.create_batch()
    append = builder.append
    now = int(time.time() * 1000)
    at = start
    limit = min(limit, len(entries))
    while at < limit:
        source, value, headers = entries[at]
        if append(timestamp=now, key=source.key, value=value, headers=headers) is None:
            break
        at += 1
    builder.close()
    return builder, at


def _refusal(topic: str, error: KafkaError) -> Dead:
    if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
        return Dead(
            "decision-too-large",
            f"the decision is larger than `{topic}` takes (`max.message.bytes`)",
        )
    return Dead("decision-refused", f"`{topic}` refuses the decision: {type(error).__name__}")
