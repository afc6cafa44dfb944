"""The traffic of a seed going in, and its committed decisions coming out, with their times."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from routec.runtime.config import Config
from tests.kafka.chaos.events import event
from tests.kafka.chaos.scenario import Scenario
from tests.kafka.chaos.victim import BY

_HASH = re.compile(rb'"hash":"(sha256:[0-9a-f]{64})"')
_TICK = 0.04
_SLOW = 0.2
_MOST = 8000
"""Requests of a seed at most; its load then stands still."""


class Loader:
    """Writes a seed's requests, at its rate, from when it is started until it is told to end.

    Attributes:
        clock: seconds by which the time of events is off.
        acknowledged: the place of each request that the broker has acknowledged, by number.
        unsure: requests without an acknowledgement; they may be in the topic or not.
        until: up to when it wrote all the time, on the monotonic clock.
        slow: when a request was written, and the seconds until it was acknowledged, of those that
            took longer than `_SLOW`.
    """

    def __init__(self, scenario: Scenario, config: Config) -> None:
        self._scenario, self._topic = scenario, config.topics.requests
        self._producer = AIOKafkaProducer(
            bootstrap_servers=config.kafka.bootstrap,
            enable_idempotence=True,
            max_request_size=4_000_000,
            request_timeout_ms=40_000,
            retry_backoff_ms=100,
        )
        self._rng = random.Random(f"load {scenario.seed}")
        self._number = 0
        self._ending = asyncio.Event()
        self._sent: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self.clock = 0.0
        self.acknowledged: dict[int, tuple[int, int]] = {}
        self.unsure = 0
        self.until = 0.0
        self.slow: list[tuple[float, float]] = []

    async def start(self) -> None:
        """Connect, and write the backlog."""
        await self._producer.start()
        self._send(self._scenario.backlog)
        await self._flush()

    async def run(self) -> None:
        """Write until told to end; then wait for what is under way."""
        due, last = 0.0, time.monotonic()
        while not self._ending.is_set():
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            due, last = due + (now - last) * self._scenario.rate, now
            if len(self._sent) < 1000 and self._number < _MOST:
                self._send(int(due))
                self.until = now
            due -= int(due)
        self._send(5 * self._scenario.partitions)
        await self._flush()

    def end(self) -> None:
        """Have `run` end."""
        self._ending.set()

    async def stop(self) -> None:
        """Disconnect."""
        await asyncio.wait_for(self._producer.stop(), 30)

    def _send(self, count: int) -> None:
        for _ in range(count):
            task = asyncio.create_task(self._send_one(self._number))
            self._number += 1
            self._sent.add(task)
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._sent.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error

    async def _send_one(self, number: int) -> None:
        scenario = self._scenario
        one = event(scenario.seed, number, scenario.bad, scenario.giant, scenario.policy)
        begun = time.monotonic()
        try:
            sent = await self._producer.send(
                self._topic,
                one.value,
                key=one.key,
                headers=list(one.headers),
                partition=self._rng.randrange(scenario.partitions),
                timestamp_ms=int((time.time() + self.clock) * 1000),
            )
            done = await sent
        except KafkaError:
            self.unsure += 1
        else:
            self.acknowledged[number] = (done.partition, done.offset)
        if (lag := time.monotonic() - begun) > _SLOW:
            self.slow.append((begun, lag))

    async def _flush(self) -> None:
        while self._sent:
            await asyncio.wait(set(self._sent))
        if self._failure is not None:
            raise self._failure


@dataclass(slots=True)
class Tail:
    """Follows the decisions as a subscriber of committed records does.

    Attributes:
        seen: by partition, when each came, and which worker had made it.
        policies: hashes of the policies that decided.
        heard: is given what comes.
    """

    config: Config
    partitions: int
    heard: Callable[[Sequence[Any]], None] = lambda records: None
    seen: dict[int, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    policies: set[str] = field(default_factory=set)
    _consumer: Any = None
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and follow in the background."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self.config.kafka.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )
        await self._consumer.start()
        topic = self.config.topics.decisions
        self._consumer.assign([TopicPartition(topic, at) for at in range(self.partitions)])
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._consumer is not None:
            await self._consumer.stop()

    def first_by_another(
        self, partition: int, worker: str, after: float, woken: float | None
    ) -> float | None:
        """When the first decision of a partition came after a time that is not of a worker.

        Args:
            partition: the partition.
            worker: its decisions do not count.
            after: the time, on the monotonic clock.
            woken: from when on they do.
        """
        times = (
            at
            for at, by in self.seen[partition]
            if at > after and (by != worker or (woken is not None and at > woken))
        )
        return next(times, None)

    def all_since(self, after: float) -> bool:
        """Whether a decision of each partition came after a time, on the monotonic clock."""
        return all(self.seen[at] and self.seen[at][-1][0] > after for at in range(self.partitions))

    def has_decided(self, worker: str, after: float) -> bool:
        """Whether a decision of a worker came after a time, on the monotonic clock."""
        return any(at > after and by == worker for seen in self.seen.values() for at, by in seen)

    async def _follow(self) -> None:
        while True:
            try:
                for partition, records in (await self._consumer.getmany(timeout_ms=500)).items():
                    now = time.monotonic()
                    self.policies.update(
                        found[1].decode() for one in records if (found := _HASH.search(one.value))
                    )
                    self.seen[partition.partition] += [(now, _by(one)) for one in records]
                    self.heard(records)
            except KafkaError:
                await asyncio.sleep(0.1)


def _by(record: Any) -> str:
    return next((value.decode() for name, value in record.headers if name == BY), "")
