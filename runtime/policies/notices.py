"""Records that nobody waits for: written when Kafka takes them, dropped when it does not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from routec.runtime.config import Config
from routec.runtime.stream.clients import close, connect, discard, make_producer

log = logging.getLogger(__name__)

LIMIT = 1_000
"""Most records that wait to be written."""
_ABSENT = 30.0
"""Seconds after which a topic that was missing is looked for again."""
_PAUSE = 1.0


class Notices:
    """Writes records in the background, outside of any transaction; never makes a topic.

    Args:
        config: the configuration.
        limit: most records that wait; when there are more, the oldest are dropped.

    Attributes:
        dropped: records that were never written.
    """

    def __init__(self, config: Config, limit: int = LIMIT) -> None:
        self._config = config
        self._waiting: deque[tuple[str, bytes, bytes | None]] = deque()
        self._limit = limit
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._known: set[str] = set()
        self._absent: dict[str, float] = {}
        self._producer: AIOKafkaProducer | None = None
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write(), name="routec-notices")

    def send(self, topic: str, key: bytes, value: bytes | None) -> None:
        """Have a record written some time; returns at once."""
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((topic, key, value))
        self._idle.clear()
        self._news.set()

    async def stop(self, seconds: float) -> None:
        """Write what waits if that is possible in so many seconds, and end."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        self._task.cancel()
        await asyncio.wait([self._task], timeout=seconds)
        producer, self._producer = self._producer, None
        if producer is not None and not await close(producer, seconds):
            await discard(producer)

    async def _write(self) -> None:
        while True:
            self._news.clear()
            while self._waiting:
                topic, key, value = self._waiting.popleft()
                try:
                    await self._write_one(topic, key, value)
                except asyncio.CancelledError:
                    raise
                except Exception as error:
                    self.dropped += 1
                    log.warning(
                        "a record could not be written and is dropped",
                        extra={"topic": topic, "error": repr(error)},
                    )
                    await self._give_up_producer()
                    await asyncio.sleep(_PAUSE)
            self._idle.set()
            await self._news.wait()

    async def _write_one(self, topic: str, key: bytes, value: bytes | None) -> None:
        if time.monotonic() < self._absent.get(topic, 0.0):
            self.dropped += 1
            return
        if self._producer is None:
            self._producer = await connect(lambda: make_producer(self._config), self._config)
        if topic not in self._known:
            if not await self._exists(self._producer, topic):
                self.dropped += 1
                return
            self._known.add(topic)
        async with asyncio.timeout(self._config.kafka.request_timeout):
            await self._producer.send_and_wait(topic, value, key=key)

    async def _exists(self, producer: AIOKafkaProducer, topic: str) -> bool:
        # Asking for all of them: asking for one by name may create it.
        if topic in (await producer.client.fetch_all_metadata()).topics():
            return True
        log.warning("a topic does not exist; nothing is written to it", extra={"topic": topic})
        self._absent[topic] = time.monotonic() + _ABSENT
        return False

    async def _give_up_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError):
                await discard(producer)
