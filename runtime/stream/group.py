"""Membership of the consumer group: partitions come, their lanes open; they go, they are closed.

The client calls back in the middle of joining. While partitions are being given up it goes on
sending heartbeats, so that may take a bounded while; when they have just been given it sends none,
so lanes open in the background.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from routec.runtime.config import Config
from routec.runtime.stream.deadline import Deadline
from routec.runtime.stream.faults import Faults
from routec.runtime.stream.lane import Lane
from routec.runtime.stream.lease import Lease
from routec.runtime.stream.observer import Observer

log = logging.getLogger(__name__)

Settle = Callable[[Deadline, float], Awaitable[None]]
"""Waits until what is being decided is decided; the second is the time to leave to others."""
Flush = Callable[[Deadline, float], Awaitable[None]]
"""Commits offsets; the second is the time it has at least."""


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """What the group has given to this worker.

    Args:
        config: the configuration.
        consumer: a started consumer without topics; `join` subscribes it.
        make_lane: makes the lane of a partition.
        policy_hash: tells the hash of the policy in force.
        settle: waits for the batch that is being decided.
        flush: commits what is acknowledged and not yet committed.
        changed: called when partitions came or went.
        observer: is told of partitions given up.
        faults: is asked before they are.

    Attributes:
        lanes: the lanes of the partitions that are ours; empty while there are none.
        lease: the present assignment; ``None`` between two of them.
    """

    def __init__(
        self,
        config: Config,
        consumer: AIOKafkaConsumer,
        *,
        make_lane: Callable[[TopicPartition, Lease], Lane],
        policy_hash: Callable[[], str],
        settle: Settle,
        flush: Flush,
        changed: Callable[[], None],
        observer: Observer,
        faults: Faults,
    ) -> None:
        self._config = config
        self._consumer = consumer
        self._make_lane = make_lane
        self._policy_hash = policy_hash
        self._settle = settle
        self._flush = flush
        self._changed = changed
        self._observer = observer
        self._faults = faults
        self._number = 0
        self._left = False
        self._finishing = asyncio.Lock()
        self._grace = config.kafka.rebalance_timeout / 2
        # Three steps may each need it beyond the deadline, and all must fit into what is left.
        self._floor = min(2.0, config.kafka.rebalance_timeout / 8)
        self._since_ms = int(time.time() * 1000)
        self.lease: Lease | None = None
        self.lanes: Mapping[TopicPartition, Lane] = {}

    def join(self) -> None:
        """Ask the group for partitions of the requests topic."""
        self._consumer.subscribe([self._config.topics.requests], listener=self)

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Begin a new lease; its lanes open in the background."""
        if self._left:
            return  # the client was about to join when the worker stopped
        self._number += 1
        lease = Lease(self._number, self._policy_hash)
        lanes = {one: self._make_lane(one, lease) for one in sorted(assigned)}
        # Nothing is fetched before a lane has its position.
        self._consumer.pause(*lanes)
        self.lease, self.lanes = lease, lanes
        for lane in lanes.values():
            lane.start()
        self._changed()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Commit what is decided and drop the rest, before one deadline; others redo it."""
        if self.lease is None:
            # What the worker finishes while it stops is to be committed before others have it.
            async with self._finishing:
                return
        begun = time.monotonic()
        await self._faults.reach("revoking", None)
        if not await self._finish(Deadline.after(self._grace), self._floor):
            log.warning("partitions given up before all that was decided was committed")
        self._observer.rebalanced(time.monotonic() - begun)

    async def leave(self) -> None:
        """End the lease at once, for good; what is not committed is dropped."""
        self._left = True
        await self._finish(Deadline.after(0.0), 0.0)

    async def finish(self, deadline: Deadline) -> bool:
        """End the lease in order, for good, before one deadline for all steps.

        1. Nothing new is taken; what waits for a decision is dropped.
        2. The batch that is being decided may finish, but leaves the next steps their floor.
        3. What is decided is written and committed, with the floor as the least time.
        4. The lanes are closed. What comes later is dropped.

        Returns:
            Whether there was time for it; what is not committed is decided again elsewhere.

        Raises:
            BaseException: what a lane failed with; the others are finished all the same.
        """
        self._left = True
        lanes = list(self.lanes.values())
        done = await self._finish(deadline, self._floor)
        for lane in lanes:
            if lane.error is not None:
                raise lane.error
        return done

    async def _finish(self, deadline: Deadline, floor: float) -> bool:
        # Partitions may be given up while the worker stops.
        async with self._finishing:
            lease, lanes = self.lease, list(self.lanes.values())
            if lease is None:
                return True
            self.lease = None
            lease.end()
            for lane in lanes:
                lane.halt()
            self._changed()
            try:
                await self._settle(deadline, floor)
                done = await _all_settled(lanes, deadline.remaining(floor=floor))
                await self._flush(deadline, floor)
            except TimeoutError:
                done = False
            finally:
                await asyncio.gather(*(lane.close() for lane in lanes))
                self.lanes = {}
                for lane in lanes:
                    self._observer.released(lane.partition.topic, lane.partition.partition)
                self._changed()
            return done

    async def seek(self, partition: TopicPartition, offset: int | None) -> int:
        """Go to an offset, or where the configuration says that a group without one begins.

        Returns:
            The position, once it is known; it is tried for as long as it takes.
        """
        kafka = self._config.kafka
        while True:
            try:
                async with asyncio.timeout(kafka.request_timeout):
                    if offset is not None:
                        self._consumer.seek(partition, offset)
                    elif kafka.start == "earliest":
                        await self._consumer.seek_to_beginning(partition)
                    else:
                        await self._seek_to_now(partition)
                    return int(await self._consumer.position(partition))
            except (KafkaError, TimeoutError) as error:
                log.warning(
                    "the position of a partition is not known yet; trying again",
                    extra={"partition": partition.partition, "error": repr(error)},
                )
                await asyncio.sleep(kafka.retry_backoff)

    async def _seek_to_now(self, partition: TopicPartition) -> None:
        """Go to what was written since this worker began.

        A partition that is new holds nothing else, however long it took until it was ours.
        """
        places = await self._consumer.offsets_for_times({partition: self._since_ms})
        place = places[partition]
        if place is None:
            await self._consumer.seek_to_end(partition)
        else:
            self._consumer.seek(partition, place.offset)


async def _all_settled(lanes: list[Lane], seconds: float) -> bool:
    waiting = [asyncio.ensure_future(lane.settled()) for lane in lanes]
    if not waiting:
        return True
    _, late = await asyncio.wait(waiting, timeout=seconds)
    for one in late:
        one.cancel()
    return not late
