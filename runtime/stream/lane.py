"""One partition of the requests topic, from its records to their committed outcomes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import TopicPartition

from routec.runtime.records import Dead, Outcome
from routec.runtime.stream.budget import Budget
from routec.runtime.stream.lease import Lease
from routec.runtime.stream.limits import Limits
from routec.runtime.stream.observer import Observer
from routec.runtime.stream.unit import Displaced, Lost, Slice, Unit, Writer, measure

log = logging.getLogger(__name__)

State = Literal["opening", "running", "halted", "closed"]
"""Of a lane.

- ``opening``: its writer gets ready and its position is being found.
- ``running``: it takes records, and its outcomes are written.
- ``halted``: it takes no more; what is decided is still written.
- ``closed``: its partition may belong to another worker; outcomes that come are dropped.
"""


_CLOSE = 5.0
"""Seconds that a writer gets to notice that it is given up."""


@dataclass(slots=True)
class Counts:
    """What a worker has done, in events.

    Attributes:
        taken: requests handed to the decider.
        decided: decisions committed (at least once: acknowledged).
        dead: dead letters committed (at least once: acknowledged).
        stale: outcomes dropped because their partition moved to another worker, or because they
            pass a limit of dead letters.
    """

    taken: int = 0
    decided: int = 0
    dead: int = 0
    stale: int = 0


class Lane:
    """Takes one partition's records in, has their outcomes written in order.

    While one unit is being written, what is decided meanwhile collects for the next one: the
    busier the partition, the larger its units. Where a unit costs much, whatever its size, it is
    also waited a moment for as long as more is about to be decided.

    Args:
        partition: the partition.
        lease: the assignment it belongs to.
        writer: writes its units.
        seek: goes to an offset, or where a group without one begins; returns the position.
        budget: what is in flight.
        counts: what was done.
        observer: is told of what was committed.
        changed: called when it begins to run, or cannot go on.
        limits: of its dead letters.

    Attributes:
        partition: as given.
        state: see `State`.
        position: the offset after the last record taken in; ``None`` until it runs.
        generation: counts how often it had to go elsewhere; what was taken before is void.
        error: why it cannot go on.
    """

    def __init__(
        self,
        partition: TopicPartition,
        lease: Lease,
        writer: Writer,
        seek: Callable[[TopicPartition, int | None], Awaitable[int]],
        budget: Budget,
        counts: Counts,
        observer: Observer,
        changed: Callable[[], None],
        limits: Limits,
    ) -> None:
        self.partition = partition
        self.state: State = "opening"
        self.position: int | None = None
        self.error: BaseException | None = None
        self._lease = lease
        self._writer = writer
        self._seek = seek
        self._budget = budget
        self._counts = counts
        self._observer = observer
        self._changed = changed
        self._limits = limits
        self.generation = 0
        self._queue: deque[Slice] = deque()
        self._offset: int | None = None
        self._unit: Unit | None = None
        self._next = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to open it, in the background."""
        self._task = asyncio.create_task(
            self._run(), name=f"routec-lane-{self.partition.partition}"
        )

    @property
    def waiting(self) -> bool:
        """Whether it has records that wait for a decision."""
        return bool(self._queue)

    @property
    def queued(self) -> int:
        """Records that wait for a decision."""
        return sum(len(one.records) for one in self._queue)

    def offer(self, records: list[Any], end: int, unreadable: dict[int, Dead]) -> None:
        """Take records in.

        Args:
            records: consumed records, in order, following those before.
            end: the offset to go on from.
            unreadable: by index, why a record could not be read.
        """
        size = measure(records)
        self._budget.take(self.partition, len(records), size)
        self._queue.append(Slice(self.generation, records, unreadable, size, end))
        self.position = end

    def take(self, most: int) -> Slice:
        """The next records to be decided, at most that many; there must be some waiting."""
        first = self._queue[0]
        if len(first.records) <= most:
            return self._queue.popleft()
        head, self._queue[0] = first.cut(most)
        return head

    def finish(self, taken: Slice, outcomes: Sequence[Outcome], policy_hash: str) -> None:
        """Hand in the outcomes of what was taken; late ones are dropped.

        Args:
            taken: what `take` gave.
            outcomes: one a record, in order.
            policy_hash: hash of the policy that decided.
        """
        if self.state == "closed" or taken.generation != self.generation:
            self._counts.stale += len(taken.records)
            self.give_back(taken)
            return
        if self._unit is None:
            self._unit = Unit(None, taken.end)
        self._unit.add(taken, outcomes, policy_hash)
        self._settled.clear()
        self._next.set()

    def give_back(self, taken: Slice) -> None:
        """What was taken will not be decided here."""
        self._budget.release(self.partition, len(taken.records), taken.bytes)

    def halt(self) -> None:
        """Take no more, and forget what waits: whoever has the partition next takes it again."""
        if self.state != "closed":
            self.state = "halted"
        self._forget()
        self._next.set()  # nothing is worth waiting for any longer

    async def settled(self) -> None:
        """Wait until all that is decided is written, or cannot be."""
        await self._settled.wait()

    async def close(self) -> None:
        """Stop writing, in bounded time; what is not committed is dropped."""
        self.state = "closed"
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CLOSE)
        self._forget()
        self._drop_unit()
        await self._writer.close()

    def _forget(self) -> None:
        while self._queue:
            self.give_back(self._queue.popleft())

    def _drop_unit(self) -> None:
        unit, self._unit = self._unit, None
        if unit is not None:
            self._counts.stale += unit.events
            self._budget.release(self.partition, unit.events, unit.bytes)
        self._settled.set()

    async def _run(self) -> None:
        try:
            await self._begin()
            while True:
                await self._next.wait()
                self._next.clear()
                while self._unit is not None:
                    await self._linger()
                    await self._write_next()
                self._settled.set()
        except Lost:
            log.info("a partition moved", extra={"partition": self.partition.partition})
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.error = error
        finally:
            self.state = "closed"
            self._forget()
            self._drop_unit()
            self._changed()

    async def _begin(self) -> None:
        await self._go_to(await self._writer.open())
        if self._offset is None and self.position is not None:
            # From now on every start of this lane begins here, whatever is written meanwhile.
            try:
                await self._writer.write(Unit(None, self.position))
                self._offset = self.position
            except Displaced as moved:
                await self._go_to(moved.offset)
        if self.state == "opening":
            self.state = "running"
        self._changed()

    async def _go_to(self, offset: int | None) -> None:
        self._offset = offset
        self.position = await self._seek(self.partition, offset)

    async def _move_to(self, offset: int | None) -> None:
        """Go on from an offset that somebody else has committed."""
        if self.state == "running":
            # It takes nothing in until it is there.
            self.state = "opening"
        self._start_over()
        await self._go_to(offset)
        # What was being fetched or decided meanwhile belongs to the old place.
        self._start_over()
        if self.state == "opening":
            self.state = "running"
        self._changed()

    def _start_over(self) -> None:
        self.generation += 1
        self._forget()
        self._drop_unit()

    async def _linger(self) -> None:
        """Wait a moment for more outcomes, as long as records wait for theirs."""
        if not self._writer.linger:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._writer.linger):
                while self._queue:
                    await self._next.wait()
                    self._next.clear()

    async def _write_next(self) -> None:
        whole, self._unit = self._unit, None
        if whole is None:
            return
        whole.start = self._offset
        unit, stop = self._limits.admit(whole)
        begun = time.monotonic()
        try:
            if stop is None or unit.events:
                await self._writer.write(unit)
        except Displaced as moved:
            log.warning(
                "the committed offset was moved by somebody else; going there",
                extra={"partition": self.partition.partition, "offset": moved.offset},
            )
            self._counts.stale += whole.events
            await self._move_to(moved.offset)
            return
        except BaseException:
            self._counts.stale += whole.events
            raise
        finally:
            self._budget.release(self.partition, whole.events, whole.bytes)
        self._offset = unit.end
        self._counts.stale += whole.events - unit.events
        stop = self._limits.count(unit) or stop
        codes = unit.codes()
        self._counts.decided += len(unit.decisions)
        self._counts.dead += len(unit.dead)
        if unit.events or stop is None:
            self._observer.committed(unit.events, time.monotonic() - begun)
        for code in sorted(codes):
            self._observer.dead_letter(code, codes[code])
        if stop is not None:
            self._observer.limit_reached(stop.limit)
            raise stop
