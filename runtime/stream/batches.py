"""Filling batches, and what a broker's refusal of one means."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from routec.runtime.records import Dead
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.unit import Entry

REFUSED = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    InvalidTimestampError,
    PolicyViolationError,
)
"""Refusals of a batch for what it holds: sending it again is of no use."""
FORBIDDEN = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)
"""Refusals of the client: only an operator can help."""


def fill(
    producer: AIOKafkaProducer, entries: Sequence[Entry], start: int, limit: int
) -> tuple[Any, int]:
    """A batch of entries from ``start`` to at most ``limit``, and where the next one begins.

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


def refusal(topic: str, error: BaseException) -> Dead:
    """Why a decision becomes a dead letter."""
    if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
        return Dead(
            "decision-too-large",
            f"the decision is larger than `{topic}` takes (`max.message.bytes`)",
        )
    return Dead("decision-refused", f"`{topic}` refuses the decision: {type(error).__name__}")


def letter_refused(topic: str, lost: Any) -> StreamError:
    """Why the worker stops when a dead letter is refused.

    Args:
        topic: the dead-letter topic.
        lost: the consumed record that it would have held.
    """
    return StreamError(
        "dead-letter-refused",
        f"`{topic}` refuses the record at offset {lost.offset} of partition "
        f"{lost.partition} of `{lost.topic}`, which has {len(lost.value or b'')} bytes",
        f"raise `max.message.bytes` of `{topic}`; the record is not lost, "
        "the worker goes on from it after a restart",
    )


def write_forbidden(topics: str) -> StreamError:
    """Why the worker stops when it may not write."""
    return StreamError(
        "write-forbidden",
        f"Kafka forbids writing to {topics}",
        f"grant WRITE on {topics} to this client",
    )
