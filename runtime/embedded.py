"""A broker inside the process, for the demo and the fast tests.

It is librdkafka's mock cluster, which speaks the Kafka protocol on loopback. Its
limits are hard:

- nothing is kept on disk, and all is gone with the process;
- every topic has four partitions and keeps only its last 5 MiB a partition,
  dropping the oldest silently;
- one worker only: two members of a group race each other;
- at-least-once only: its transactions are answered but do nothing;
- an empty fetch is held for its whole wait whatever arrives, so readers need
  a short one (`EmbeddedBroker.fetch_max_wait`);
- the admin API is missing: a topic is created by asking for its metadata.

Everything it cannot do needs Apache Kafka.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

PARTITIONS = 4
"""Partitions of every topic of the embedded broker."""
RETAINED_BYTES = 5 * 1024 * 1024
"""Bytes that a partition keeps; older records are dropped."""


class EmbeddedBrokerError(Exception):
    """The embedded broker cannot be started.

    Attributes:
        code: stable machine-readable reason.
        message: one sentence for a person.
        help: how to put it right.
    """

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """A running embedded broker.

    Attributes:
        bootstrap: its address, ``127.0.0.1:PORT``.
        partitions: partitions of every topic.
        fetch_max_wait: seconds to set as `kafka.fetch_max_wait` of its readers.
    """

    bootstrap: str
    partitions: int = PARTITIONS
    fetch_max_wait: float = 0.01


@asynccontextmanager
async def embedded_broker(topics: Sequence[str] = ()) -> AsyncIterator[EmbeddedBroker]:
    """Run a broker for as long as the context lasts.

    Args:
        topics: topics to create, `PARTITIONS` partitions each.

    Raises:
        EmbeddedBrokerError: the library is not installed or the broker does not answer.
    """
    held, bootstrap = await asyncio.to_thread(_start, tuple(topics))
    try:
        yield EmbeddedBroker(bootstrap)
    finally:
        await asyncio.to_thread(held.clear)


def _start(topics: Sequence[str]) -> tuple[list[Any], str]:
    """The handle of a new cluster, which lives as long as that, and its address.

    The handle stays in its list: emptied, nothing else, a thread's last call included, keeps the
    cluster alive.
    """
    try:
        from confluent_kafka import KafkaException, Producer
    except ImportError as error:
        raise EmbeddedBrokerError(
            "embedded-missing",
            "the embedded broker is not installed",
            'install it with `pip install "routec[embedded]"`',
        ) from error
    handle = Producer(
        {
            "test.mock.num.brokers": 1,
            "bootstrap.servers": "ignored",
            "allow.auto.create.topics": True,
            "log_level": 2,
            "logger": _librdkafka_log(),
        }
    )
    try:
        cluster = handle.list_topics(timeout=10.0)
        broker = next(iter(cluster.brokers.values()))
        for topic in topics:
            handle.list_topics(topic, timeout=10.0)
    except (KafkaException, StopIteration) as error:
        raise EmbeddedBrokerError(
            "embedded-failed",
            f"the embedded broker does not answer: {error}",
            "check that loopback connections are allowed",
        ) from error
    return [handle], f"{broker.host}:{broker.port}"


def _librdkafka_log() -> logging.Logger:
    # It warns of being a mock at each start; that is said above.
    log = logging.getLogger("routec.embedded")
    log.setLevel(logging.CRITICAL)
    return log
