"""The Kafka worker: requests in, decisions and dead letters out.

Every partition that the group gives to a worker is a lane. The intake fills the lanes with records
for as long as there is room; batches are made of what waits in them, taking turns, and decided
one after the other; each lane commits its outcomes and its offset together, while the next batch
is being decided. No transaction is open while something is decided.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from routec.runtime.config import Config
from routec.runtime.records import Decider
from routec.runtime.stream.acknowledged import AcknowledgedWriter, Offsets
from routec.runtime.stream.budget import Budget
from routec.runtime.stream.clients import close, connect, leave, make_consumer, make_producer
from routec.runtime.stream.deadline import Deadline
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.faults import Faults, NoFaults
from routec.runtime.stream.group import Membership
from routec.runtime.stream.intake import Intake
from routec.runtime.stream.judge import Judge
from routec.runtime.stream.lane import Counts, Lane
from routec.runtime.stream.lease import Lease
from routec.runtime.stream.limits import Limits, TooManyDeadLetters
from routec.runtime.stream.observer import Observer, Silent
from routec.runtime.stream.outbox import Outbox
from routec.runtime.stream.responses import ResponseTail
from routec.runtime.stream.topics import Partitions, count_partitions
from routec.runtime.stream.transactions import TransactionalWriter
from routec.runtime.stream.turns import Turns
from routec.runtime.stream.unit import Writer

log = logging.getLogger(__name__)

_CLOSE_FLOOR = 2.0
"""Seconds that closing a client gets even when the drain has used up its time."""

_OPENING = 16
"""Lanes that open at once."""


class Control(Protocol):
    """Replaces the policy of a decider while a worker runs, between two batches."""

    async def start(self) -> None:
        """Put the newest policy in force, and begin to follow what is newer.

        Raises:
            StreamError: it cannot be known which one that is.
        """

    async def caught_up(self) -> None:
        """Wait, in bounded time, until what is newest now is in force."""

    def begin_batch(self) -> None:
        """A batch begins: nothing is replaced until it ends."""

    def end_batch(self) -> None:
        """The batch has its outcomes."""

    async def stop(self, seconds: float) -> None:
        """Stop following, in bounded time."""


class Worker:
    """One member of the group; to be run once.

    With ``exactly_once`` delivery each request's decision or dead letter is committed together
    with its offset: subscribers that read committed records see it once, whatever dies. With
    ``at_least_once`` some decisions are written again after a failure, with the same
    `decision_id`.

    Args:
        config: the configuration.
        decider: decides batches and learns from responses.
        observer: is told what happens.
        faults: is asked at named points; for tests that hurt the worker there.
        control: replaces the decider's policy meanwhile.

    Attributes:
        counts: what was done so far.
    """

    def __init__(
        self,
        config: Config,
        decider: Decider,
        observer: Observer | None = None,
        faults: Faults | None = None,
        control: Control | None = None,
    ) -> None:
        limits = config.runtime
        self._config = config
        self._decider = decider
        self._observer = observer or Silent()
        self._faults = faults or NoFaults()
        self._control = control
        self._judge = Judge(decider, limits)
        self._budget = Budget(limits.max_in_flight_events, limits.max_in_flight_bytes, self._wake)
        self._stop = asyncio.Event()
        self._news = asyncio.Event()
        self._work = asyncio.Event()
        self._between_batches = asyncio.Event()
        self._between_batches.set()
        self._task: asyncio.Task[None] | None = None
        self._membership: Membership | None = None
        self._intake: Intake | None = None
        self._outbox: Outbox | None = None
        self._offsets: Offsets | None = None
        self._opening = asyncio.Semaphore(_OPENING)
        self._partitions = Partitions(0, 0, 0, 0)
        self._troubled: set[TopicPartition | None] = set()
        self._ready = False
        self._aborted = False
        self._starting = self._gave_up = False
        self.counts = Counts()

    @property
    def ready(self) -> bool:
        """The worker is in its group, its lanes are open, and Kafka takes its records."""
        return self._ready

    @property
    def in_flight(self) -> tuple[int, int]:
        """Events, and bytes of them, between their fetch and their commit."""
        return self._budget.events, self._budget.bytes

    def stop(self) -> None:
        """Finish what is in flight, commit, leave the group; `run` then returns.

        A worker that is still starting gives that up: the brokers may not answer for long.
        """
        self._stop.set()
        if self._starting and self._task is not None:
            self._starting = False
            self._gave_up = True
            self._task.cancel()

    def abort(self) -> None:
        """Leave at once; what is not committed will be done again elsewhere."""
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
        self._starting = True
        try:
            await self._run()
        except asyncio.CancelledError:
            if not self._gave_up or self._aborted or self._task is None:
                raise
            self._task.uncancel()
        finally:
            self._starting = False

    async def _run(self) -> None:
        config = self._config
        consumer = tail = None
        grace = _CLOSE_FLOOR
        producer = await connect(lambda: make_producer(config), config)
        try:
            self._partitions = partitions = await count_partitions(producer, config)
            if partitions.responses:
                tail = ResponseTail(config, self._decider, partitions.responses)
                await tail.start()
            if self._control is not None:
                await self._control.start()
            consumer = await connect(
                lambda: make_consumer(config, group=True, partitions=partitions.requests), config
            )
            if config.runtime.delivery == "at_least_once":
                self._offsets = Offsets(config, consumer)
                self._outbox = Outbox(
                    config, producer, lambda works: self._set_working(None, works)
                )
            else:
                await close(producer, _CLOSE_FLOOR)
            self._starting = False
            grace = await self._member(consumer)
        finally:
            if self._membership is not None:
                await self._membership.leave()
            self._tell_ready()
            if consumer is not None:
                await leave(consumer, grace)
            if self._control is not None:
                await self._control.stop(_CLOSE_FLOOR)
            if tail is not None:
                await tail.stop(_CLOSE_FLOOR)
            if self._outbox is not None:
                await self._outbox.stop(_CLOSE_FLOOR)
            else:
                await close(producer, _CLOSE_FLOOR)

    async def _member(self, consumer: AIOKafkaConsumer) -> float:
        """Be a member of the group until stopped; the seconds left to leave it."""
        membership = Membership(
            self._config,
            consumer,
            make_lane=self._make_lane,
            policy_hash=lambda: self._decider.policy_hash,
            settle=self._settle,
            flush=self._flush,
            changed=self._wake,
            observer=self._observer,
            faults=self._faults,
        )
        intake = Intake(
            self._config,
            consumer,
            membership,
            self._budget,
            self._observer,
            self._faults,
            self._work,
        )
        self._membership, self._intake = membership, intake
        taking = asyncio.create_task(intake.run(), name="routec-intake")
        deciding = asyncio.create_task(self._decide(), name="routec-decide")
        tasks = [taking, deciding]
        if self._offsets is not None:
            tasks.append(asyncio.create_task(self._offsets.run(), name="routec-offsets"))
        try:
            membership.join()
            stopped = None
            try:
                await self._watch(tasks)
            except TooManyDeadLetters as error:
                # The other lanes did nothing wrong: what they have done is not to be done again.
                stopped = error
                self._stop.set()
            deadline = Deadline.after(self._config.runtime.drain_timeout)
            self._tell_ready()
            await _end([taking])
            if not await membership.finish(deadline):
                raise StreamError(
                    "drain-timeout",
                    f"what was in flight was not committed within "
                    f"{self._config.runtime.drain_timeout:g} s",
                    "the events are not lost: they are decided again after a restart",
                ) from stopped
            if stopped is not None:
                raise stopped
            return deadline.remaining(floor=_CLOSE_FLOOR)
        finally:
            await _end(tasks)

    async def _watch(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait until the worker is to stop, or something cannot go on."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            while not stopping.done():
                self._news.clear()
                self._tell_ready()
                self._look_after_lanes()
                news = asyncio.create_task(self._news.wait())
                await asyncio.wait((stopping, news, *tasks), return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                for task in tasks:
                    if task.done():
                        task.result()
        finally:
            stopping.cancel()

    def _look_after_lanes(self) -> None:
        if self._membership is not None:
            for lane in self._membership.lanes.values():
                if lane.error is not None:
                    raise lane.error

    def _make_lane(self, partition: TopicPartition, lease: Lease) -> Lane:
        letters = partition.partition % self._partitions.dlq
        writer: Writer
        if self._outbox is not None and self._offsets is not None:
            writer = AcknowledgedWriter(
                self._config, partition, letters, lease, self._outbox, self._offsets, self._faults
            )
        else:
            writer = TransactionalWriter(
                self._config,
                partition,
                letters,
                lease,
                self._opening,
                lambda works: self._set_working(partition, works),
                self._observer,
                self._faults,
            )
        assert self._membership is not None
        return Lane(
            partition,
            lease,
            writer,
            self._seek,
            self._budget,
            self.counts,
            self._observer,
            self._wake,
            Limits(partition, self._config.runtime),
        )

    async def _seek(self, partition: TopicPartition, offset: int | None) -> int:
        """Go to where a lane begins, whose worker before has been shut out by now."""
        if self._control is not None:
            # That worker may have decided by a policy that has not come here yet.
            await self._control.caught_up()
        assert self._membership is not None
        return await self._membership.seek(partition, offset)

    async def _decide(self) -> None:
        """Make batches of what waits in the lanes, for ever."""
        turns = Turns(self._config.runtime.batch_size)
        assert self._membership is not None
        while True:
            self._work.clear()
            if not turns.any(self._membership.lanes.values()):
                await self._work.wait()
                await self._linger(turns)
                continue
            taken = turns.take(list(self._membership.lanes.values()))
            records = [record for _, part in taken for record in part.records]
            self._between_batches.clear()
            if self._control is not None:
                self._control.begin_batch()
            try:
                await self._decide_batch(taken, records)
            finally:
                if self._control is not None:
                    self._control.end_batch()
                self._between_batches.set()

    async def _linger(self, turns: Turns) -> None:
        seconds = self._config.runtime.linger
        if seconds == 0.0 or self._membership is None:
            return
        deadline = Deadline.after(seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline.remaining()):
                while not turns.full(self._membership.lanes.values()):
                    self._work.clear()
                    await self._work.wait()

    async def _decide_batch(self, taken: list[Any], records: list[Any]) -> None:
        known, start = {}, 0
        for _, part in taken:
            known.update({start + at: why for at, why in part.unreadable.items()})
            start += len(part.records)
        try:
            policy_hash = self._decider.policy_hash
            begun = time.perf_counter()
            outcomes = await self._judge.outcomes(records, known) if records else []
            if records:
                self.counts.taken += len(records)
                self._observer.batch(len(records), time.perf_counter() - begun)
            await self._faults.reach("decided", None)
        except BaseException:
            for lane, part in taken:
                lane.give_back(part)
            raise
        at = 0
        for lane, part in taken:
            lane.finish(part, outcomes[at : at + len(part.records)], policy_hash)
            at += len(part.records)

    async def _settle(self, deadline: Deadline, leave: float) -> None:
        """Wait for the batch that is being decided, and leave others that much of the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline.remaining() - leave)):
                await self._between_batches.wait()

    async def _flush(self, deadline: Deadline, floor: float) -> None:
        if self._offsets is not None:
            try:
                await self._offsets.flush(deadline, floor)
            finally:
                self._offsets.forget()

    def _wake(self) -> None:
        self._news.set()
        if self._intake is not None:
            self._intake.wake()

    def _set_working(self, partition: TopicPartition | None, holds: bool) -> None:
        if holds:
            self._troubled.discard(partition)
        else:
            self._troubled.add(partition)
        self._tell_ready()

    def _tell_ready(self) -> None:
        member = self._membership
        lanes = {} if member is None else member.lanes
        # What moved to another worker in the middle of trouble is no trouble of ours any more.
        self._troubled &= {*lanes, None} if lanes else set()
        ready = (
            member is not None
            and member.lease is not None
            and all(lane.state == "running" for lane in lanes.values())
            and not self._troubled
            and not self._stop.is_set()
        )
        if ready is not self._ready:
            self._ready = ready
            self._observer.ready(ready)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for them; what they failed with is known already or of no use."""
    for task in tasks:
        task.cancel()
    running = [task for task in tasks if not task.done()]
    if running:
        await asyncio.wait(running, timeout=_CLOSE_FLOOR)
