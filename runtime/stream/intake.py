"""Taking records from the requests topic, as much as there is room for."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from routec.runtime.config import Config
from routec.runtime.stream.budget import Budget
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.faults import Faults
from routec.runtime.stream.group import Membership
from routec.runtime.stream.lane import Lane
from routec.runtime.stream.observer import Observer
from routec.runtime.stream.salvage import salvage

log = logging.getLogger(__name__)

_POLL = 0.2
_MOST_ERRORS = 5
_MOST_STRAYS = 3
"""Times in a row that the broker gives a lane records before those it asked for."""
_FORBIDDEN = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)

_Taken = dict[TopicPartition, list[Any]]
_Asked = dict[TopicPartition, tuple[Lane, int]]
"""Lanes that may take more, and their generation when they were asked for it."""


class Intake:
    """Fills the lanes while the budget allows, and pauses the partitions that it does not.

    Args:
        config: the configuration.
        consumer: the member of the group.
        membership: knows the lanes.
        budget: what is in flight.
        observer: is told of lag and paused partitions.
        faults: is asked when records were taken.
        taken: called when lanes have got records.
    """

    def __init__(
        self,
        config: Config,
        consumer: AIOKafkaConsumer,
        membership: Membership,
        budget: Budget,
        observer: Observer,
        faults: Faults,
        taken: asyncio.Event,
    ) -> None:
        self._config = config
        self._consumer = consumer
        self._membership = membership
        self._budget = budget
        self._observer = observer
        self._faults = faults
        self._taken = taken
        self._news = asyncio.Event()
        self._errors_in_a_row = 0
        self._paused: set[TopicPartition] = set()
        # Partitions whose position in the client may not be that of their lane.
        self._astray: set[TopicPartition] = set()
        self._strays: dict[TopicPartition, int] = {}
        # The next records cannot be read in the usual way.
        self._odd = False

    def wake(self) -> None:
        """There is room again, or lanes have come or gone."""
        self._news.set()

    async def run(self) -> None:
        """Take records for ever.

        Raises:
            StreamError: the broker forbids reading, or the group is lost for good.
        """
        while True:
            self._news.clear()
            lanes = self._admitted()
            if not lanes:
                # That the group forms, or fails, is only told to who asks for records.
                if self._membership.lease is None or not await self._news_within(_POLL):
                    await self._poll(lanes)
            elif self._odd:
                await self._salvage(lanes)
            else:
                await self._poll(lanes)

    def _admitted(self) -> _Asked:
        """The lanes that may take more; the others are paused."""
        running = {at: one for at, one in self._membership.lanes.items() if one.state == "running"}
        admitted = {at: one for at, one in running.items() if self._budget.allows(at)}
        paused = running.keys() - admitted.keys()
        try:
            if stopped := paused - self._consumer.paused():
                self._consumer.pause(*stopped)
            if resumed := self._consumer.paused() & admitted.keys():
                self._consumer.resume(*resumed)
        except IllegalStateError:  # revoked meanwhile
            return {}
        if paused != self._paused:
            self._paused = paused
            self._observer.paused(len(paused))
        return {at: (one, one.generation) for at, one in admitted.items()}

    async def _news_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _poll(self, lanes: _Asked) -> None:
        try:
            if self._astray:
                self._rewind()
            taken = await self._get(lanes)
        except IllegalStateError:  # revoked meanwhile
            return
        except _FORBIDDEN as error:
            raise StreamError(
                "read-forbidden",
                f"Kafka forbids reading `{self._config.topics.requests}` "
                f"as the group `{self._config.kafka.group}`",
                "grant READ on the topic and on the group to this client",
            ) from error
        except (CorruptRecordException, UnicodeDecodeError) as error:
            log.warning(
                "records cannot be read in the usual way", extra={"error": type(error).__name__}
            )
            self._all_astray()
            self._odd = True
            return
        except KafkaError as error:
            await self._failed(error)
            return
        if taken is None:
            return
        self._errors_in_a_row = 0
        self._hand_on(lanes, taken)
        if taken:
            await self._faults.reach("fetched", None)

    async def _failed(self, error: KafkaError) -> None:
        kafka = self._config.kafka
        self._errors_in_a_row += 1
        if not error.retriable and self._errors_in_a_row >= _MOST_ERRORS:
            raise StreamError(
                "group-failed",
                f"Kafka does not let this worker read as a member of `{kafka.group}`: {error}",
                "check `kafka.group`, `kafka.instance_id` and `kafka.session_timeout`",
            ) from error
        log.warning("kafka gives no records; trying again", extra={"error": repr(error)})
        self._all_astray()
        await asyncio.sleep(kafka.retry_backoff)

    async def _get(self, lanes: _Asked) -> _Taken | None:
        """What the client has for the lanes; ``None`` if something else came up first.

        The wait ends early when a lane is admitted that is not waited for yet. It can be broken
        off at any moment: the client hands records over only at its very end.
        """
        limit = max(1, min(self._config.runtime.batch_size, self._budget.room))
        getting: asyncio.Future[_Taken] = asyncio.ensure_future(
            self._consumer.getmany(*lanes, timeout_ms=int(_POLL * 1000), max_records=limit)
        )
        waking = asyncio.ensure_future(self._news.wait())
        try:
            # What is there already is there after a turn of the loop.
            await asyncio.sleep(0)
            if getting.done():
                return getting.result()
            # While the group is forming, the client waits without looking at its timeout.
            await asyncio.wait(
                (getting, waking), timeout=_POLL + 1.0, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waking.cancel()
            if not getting.done():
                getting.cancel()
                await asyncio.wait((getting,))
        return None if getting.cancelled() else getting.result()

    def _hand_on(self, lanes: _Asked, taken: _Taken) -> None:
        for partition, records in taken.items():
            lane, generation = lanes.get(partition, (None, 0))
            if lane is None or lane.state != "running" or lane.generation != generation:
                # Given up, and whoever has it takes them again; or it went elsewhere meanwhile.
                self._astray.add(partition)
                continue
            if lane.position is not None and records[0].offset < lane.position:
                self._stray(partition, lane.position, records[0].offset)
                continue
            self._strays.pop(partition, None)
            lane.offer(records, records[-1].offset + 1, {})
            if (events := self.lag(lane)) is not None:
                self._observer.lag(partition.topic, partition.partition, events)
        if taken:
            self._observer.in_flight(self._budget.events, self._budget.bytes)
            self._taken.set()

    def _stray(self, partition: TopicPartition, position: int, offset: int) -> None:
        """Records came from before a lane's position: the client is sent back to that.

        Raises:
            StreamError: time and again, because there is nothing at that position.
        """
        self._astray.add(partition)
        times = self._strays[partition] = self._strays.get(partition, 0) + 1
        if times < _MOST_STRAYS:
            return
        number, topic = partition.partition, partition.topic
        raise StreamError(
            "offset-out-of-range",
            f"partition {number} of `{topic}` ends before offset {position}, where the group "
            f"`{self._config.kafka.group}` is to go on; the broker begins again at {offset}",
            "records of the topic were lost or it was made anew: set the group's offset with "
            "`kafka-consumer-groups --reset-offsets`, or use another `kafka.group`",
        )

    def _all_astray(self) -> None:
        # The client drops the records of every partition that it had unpacked in a call that ends
        # with an error, but remembers them as read.
        self._astray.update(self._membership.lanes)

    def _rewind(self) -> None:
        """Send the client back to what was really handed on."""
        lanes = self._membership.lanes
        for partition in list(self._astray):
            lane = lanes.get(partition)
            if lane is not None and lane.state == "opening":
                continue  # once it knows where it begins
            self._astray.discard(partition)
            if lane is not None and lane.state == "running" and lane.position is not None:
                self._consumer.seek(partition, lane.position)

    async def _salvage(self, lanes: _Asked) -> None:
        """Read the partitions' next records leniently."""
        try:
            if self._astray:
                self._rewind()
            found = 0
            for partition, (lane, generation) in lanes.items():
                offset = lane.position
                if offset is None or self.lag(lane) == 0:
                    continue
                salvaged = await salvage(self._consumer, self._config, partition, offset)
                if salvaged is None or lane.state != "running" or lane.generation != generation:
                    continue
                if lane.position != offset:
                    continue
                # From here on nothing waits: what is taken is also handed on.
                self._consumer.seek(partition, salvaged.end)
                lane.offer(salvaged.records, salvaged.end, salvaged.unreadable)
                found += 1
        except IllegalStateError:  # revoked meanwhile
            return
        self._odd = False
        if found:
            self._taken.set()
        else:
            await self._news_within(self._config.kafka.retry_backoff)

    def lag(self, lane: Lane) -> int | None:
        """Records of a partition after the last one taken; ``None`` when unknown."""
        if lane.position is None:
            return None
        try:
            end = self._consumer.highwater(lane.partition)
        except IllegalStateError:
            return None
        return None if end is None else max(0, end - lane.position)
