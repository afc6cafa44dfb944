"""The Kafka worker: requests in, decisions and dead letters out, at least once.

A batch is taken, decided, written, acknowledged and only then committed. While
one batch is being written the next is decided; no more than these two are in
flight. Decisions of a partition are written in the order of its requests.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from routec.runtime.config import Config
from routec.runtime.records import Dead, Decider, Outcome
from routec.runtime.stream.clients import close, connect, make_consumer, make_producer
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.intake import Batch, Intake
from routec.runtime.stream.judge import Judge
from routec.runtime.stream.letters import dead_letter_headers, decision_headers
from routec.runtime.stream.observer import Observer, Silent
from routec.runtime.stream.outbox import Entry, Outbox
from routec.runtime.stream.responses import ResponseTail
from routec.runtime.stream.topics import Partitions, count_partitions

log = logging.getLogger(__name__)

_CLOSE_FLOOR = 2.0
"""Seconds that closing a client gets even when the drain has used up its time."""


@dataclass(slots=True)
class Counts:
    """What a worker has done, in records.

    Attributes:
        taken: requests taken from Kafka.
        decided: decisions acknowledged.
        dead: dead letters acknowledged.
        stale: outcomes dropped because their partition moved to another worker.
    """

    taken: int = 0
    decided: int = 0
    dead: int = 0
    stale: int = 0


class Worker:
    """One member of the group.

    Delivery is at least once: after a crash or a rebalance some decisions are
    written again, with the same `decision_id`.

    Args:
        config: the configuration.
        decider: decides batches and learns from responses.
        observer: is told what happens.

    Attributes:
        counts: what was done so far.
    """

    def __init__(self, config: Config, decider: Decider, observer: Observer | None = None) -> None:
        self._config = config
        self._decider = decider
        self._observer = observer or Silent()
        self._judge = Judge(decider, config.runtime)
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._delivery: asyncio.Task[None] | None = None
        self._in_group = False
        self._writing = True
        self._ready = False
        self._aborted = False
        self.counts = Counts()

    @property
    def ready(self) -> bool:
        """The worker is in its group and Kafka takes its records."""
        return self._ready

    def stop(self) -> None:
        """Finish what is in flight, commit, leave the group; `run` then returns."""
        self._stop.set()

    def abort(self) -> None:
        """Leave at once; what is not acknowledged and committed will be done again elsewhere."""
        self._stop.set()
        if self._task is not None and not self._aborted:
            self._aborted = True
            self._task.cancel()

    async def run(self) -> None:
        """Work until stopped.

        Raises:
            StreamError: the worker cannot start or go on; see its code.
            asyncio.CancelledError: it was aborted.
        """
        self._task = asyncio.current_task()
        config = self._config
        producer = await connect(lambda: make_producer(config), config)
        outbox = Outbox(config, producer, self._set_writing)
        consumer = tail = None
        grace = _CLOSE_FLOOR
        try:
            partitions = await count_partitions(producer, config.topics)
            if partitions.responses:
                tail = ResponseTail(config, self._decider, partitions.responses)
                await tail.start()
            consumer = await connect(lambda: make_consumer(config, group=True), config)
            intake = Intake(
                config, consumer, self._delivered, self._set_in_group, self._partition_released
            )
            await self._work(intake, outbox, partitions)
            deadline = time.monotonic() + config.runtime.drain_timeout
            await self._drain(intake, deadline)
            grace = max(_CLOSE_FLOOR, deadline - time.monotonic())
        finally:
            self._in_group = False
            self._tell_ready()
            if self._delivery is not None and not self._delivery.done():
                self._delivery.cancel()
                await asyncio.wait([self._delivery], timeout=_CLOSE_FLOOR)
            if consumer is not None:
                await close(consumer, grace)
            if tail is not None:
                await tail.stop(_CLOSE_FLOOR)
            await outbox.stop(_CLOSE_FLOOR)

    async def _work(self, intake: Intake, outbox: Outbox, partitions: Partitions) -> None:
        while not self._stop.is_set():
            batch = await intake.take()
            if batch is None:
                if self._delivery is None or self._delivery.done():
                    await self._delivered()
                    await intake.commit_due()
                continue
            self.counts.taken += len(batch.records)
            begun = time.perf_counter()
            outcomes = await self._judge.outcomes(batch.records, batch.unreadable)
            self._observer.batch(len(batch.records), time.perf_counter() - begun)
            await self._delivered()
            self._delivery = asyncio.create_task(
                self._deliver(intake, outbox, partitions, batch, outcomes)
            )

    async def _delivered(self) -> None:
        """Wait for what is being written, and learn of its failure."""
        if self._delivery is not None:
            await asyncio.shield(self._delivery)

    async def _deliver(
        self,
        intake: Intake,
        outbox: Outbox,
        partitions: Partitions,
        batch: Batch,
        outcomes: list[Outcome],
    ) -> None:
        """Write a batch's outcomes, wait for the acknowledgements, then count it as done."""
        if not batch.lease.active:
            self.counts.stale += len(batch.records)
            return
        topics = self._config.topics
        decisions: dict[int, list[Entry]] = {}
        dead: list[tuple[Any, Dead]] = []
        for consumed, outcome in zip(batch.records, outcomes, strict=True):
            if isinstance(outcome, Dead):
                dead.append((consumed, outcome))
            else:
                entries = decisions.get(consumed.partition)
                if entries is None:
                    entries = decisions[consumed.partition] = []
                headers = decision_headers(consumed.headers, outcome)
                entries.append((consumed, outcome.value, headers))
        refused = await _together(
            [
                outbox.write(topics.decisions, partition, entries)
                for partition, entries in decisions.items()
            ]
        )
        dead.extend(refused)
        if dead:
            await self._bury(outbox, partitions, dead)
        self.counts.decided += len(batch.records) - len(dead)
        batch.lease.acked.update(batch.ends)
        for partition in batch.ends:
            if (events := intake.lag(partition)) is not None:
                self._observer.lag(partition.topic, partition.partition, events)
        if batch.lease.active:
            await intake.commit_due()

    async def _bury(
        self, outbox: Outbox, partitions: Partitions, dead: list[tuple[Any, Dead]]
    ) -> None:
        topic = self._config.topics.dlq
        policy_hash = self._decider.policy_hash
        letters: dict[int, list[Entry]] = {}
        for consumed, why in dead:
            headers = dead_letter_headers(consumed, why, policy_hash)
            letters.setdefault(consumed.partition % partitions.dlq, []).append(
                (consumed, consumed.value, headers)
            )
        refused = await _together(
            [outbox.write(topic, partition, entries) for partition, entries in letters.items()]
        )
        if refused:
            lost = refused[0][0]
            raise StreamError(
                "dead-letter-refused",
                f"`{topic}` refuses the record at offset {lost.offset} of partition "
                f"{lost.partition} of `{lost.topic}`, which has {len(lost.value or b'')} bytes",
                f"raise `max.message.bytes` of `{topic}`; the record is not lost, "
                "the worker goes on from it after a restart",
            )
        codes = [why.code for _, why in dead]
        for code in sorted(set(codes)):
            self._observer.dead_letter(code, codes.count(code))
        self.counts.dead += len(dead)

    async def _drain(self, intake: Intake, deadline: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await self._delivered()
                await intake.commit_all()
        except TimeoutError as error:
            raise StreamError(
                "drain-timeout",
                f"what was in flight was not acknowledged and committed within "
                f"{self._config.runtime.drain_timeout:g} s",
                "the events are not lost: they are decided again after a restart",
            ) from error

    def _set_in_group(self, holds: bool) -> None:
        self._in_group = holds
        self._tell_ready()

    def _set_writing(self, holds: bool) -> None:
        if holds is not self._writing:
            self._writing = holds
            self._tell_ready()

    def _tell_ready(self) -> None:
        ready = self._in_group and self._writing and not self._stop.is_set()
        if ready is not self._ready:
            self._ready = ready
            self._observer.ready(ready)

    def _partition_released(self, partition: TopicPartition) -> None:
        self._observer.released(partition.topic, partition.partition)


async def _together(
    writes: list[Coroutine[Any, Any, list[tuple[Any, Dead]]]],
) -> list[tuple[Any, Dead]]:
    """Run writes to different partitions at once; what they were refused, in one list."""
    if len(writes) == 1:
        return await writes[0]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(write) for write in writes]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [one for task in tasks for one in task.result()]
