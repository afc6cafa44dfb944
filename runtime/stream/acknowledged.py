"""At least once: what is acknowledged is committed a little later, by the group's own rules."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
)

from routec.runtime.config import Config
from routec.runtime.stream.batches import letter_refused
from routec.runtime.stream.deadline import Deadline
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.faults import Faults
from routec.runtime.stream.lease import Lease
from routec.runtime.stream.letters import dead_letter_headers
from routec.runtime.stream.outbox import Outbox
from routec.runtime.stream.unit import Entry, Lost, Unit

log = logging.getLogger(__name__)


class Offsets:
    """Commits what the lanes have got acknowledged, all partitions in one request.

    Args:
        config: the configuration.
        consumer: the member of the group.
    """

    def __init__(self, config: Config, consumer: AIOKafkaConsumer) -> None:
        self._config = config
        self._consumer = consumer
        self._acknowledged: dict[TopicPartition, int] = {}
        self._patience = config.kafka.session_timeout / 3

    async def committed(self, partition: TopicPartition) -> int | None:
        """The group's offset of a partition.

        Raises:
            KafkaError, TimeoutError: it cannot be read now.
        """
        async with asyncio.timeout(self._config.kafka.request_timeout):
            offset: int | None = await self._consumer.committed(partition)
            return offset

    async def acknowledge(self, partition: TopicPartition, offset: int) -> None:
        """Note where a lane has got to; it is committed within the commit interval."""
        self._acknowledged[partition] = offset
        if self._config.runtime.commit_interval == 0.0:
            await self._commit()

    async def run(self) -> None:
        """Commit at every interval, for ever."""
        interval = self._config.runtime.commit_interval or self._config.kafka.retry_backoff
        while True:
            await asyncio.sleep(interval)
            await self._commit()

    async def flush(self, deadline: Deadline, floor: float) -> None:
        """Commit everything, as often as it takes.

        Raises:
            TimeoutError: it could not be done in time.
        """
        async with asyncio.timeout(deadline.remaining(floor=floor)):
            while not await self._commit():  # noqa: ASYNC110 - the broker tells no event
                await asyncio.sleep(self._config.kafka.retry_backoff)

    def forget(self) -> None:
        """The partitions were given up: whoever has them goes on from what is committed."""
        self._acknowledged.clear()

    async def _commit(self) -> bool:
        """Whether there is no use in trying again."""
        if not self._acknowledged:
            return True
        offsets = dict(self._acknowledged)
        try:
            async with asyncio.timeout(self._patience):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # The revocation that follows commits once more; past it, others redo the work.
            log.info("partitions moved on before the commit", extra={"error": repr(error)})
            gone = self._acknowledged.keys() - self._consumer.assignment()
            for partition in gone:
                del self._acknowledged[partition]
            return not gone
        except (KafkaError, TimeoutError) as error:
            log.warning("offsets not committed; trying again", extra={"error": repr(error)})
            return False
        for partition, offset in offsets.items():
            if self._acknowledged.get(partition) == offset:
                del self._acknowledged[partition]
        return True


class AcknowledgedWriter:
    """Writes one lane's units through a producer that all lanes share.

    Args:
        config: the configuration.
        partition: the lane's partition of the requests topic.
        letters: partition of the dead-letter topic that the lane writes to.
        lease: the assignment that the lane belongs to.
        outbox: writes batches.
        offsets: commits offsets.
        faults: is asked before and after a unit is written.
    """

    def __init__(
        self,
        config: Config,
        partition: TopicPartition,
        letters: int,
        lease: Lease,
        outbox: Outbox,
        offsets: Offsets,
        faults: Faults,
    ) -> None:
        self.linger = 0.0
        self._config = config
        self._partition = partition
        self._letters = letters
        self._lease = lease
        self._outbox = outbox
        self._offsets = offsets
        self._faults = faults

    async def open(self) -> int | None:
        """Read the committed offset."""
        kafka = self._config.kafka
        while True:
            await self._faults.reach("opening", self._partition)
            try:
                await self._outbox.require_partition(
                    self._config.topics.decisions, self._partition.partition
                )
                offset = await self._offsets.committed(self._partition)
            except GroupAuthorizationFailedError as error:
                raise StreamError(
                    "read-forbidden",
                    f"Kafka forbids reading `{self._partition.topic}` as the group `{kafka.group}`",
                    "grant READ on the topic and on the group to this client",
                ) from error
            except (KafkaError, TimeoutError) as error:
                log.warning("a lane cannot be opened; trying again", extra={"error": repr(error)})
                if await self._lease.ends_within(kafka.retry_backoff):
                    raise Lost from error
                continue
            await self._faults.reach("opened", self._partition)
            return offset

    async def write(self, unit: Unit) -> None:
        """Write a unit, wait for all acknowledgements, note its end for the next commit."""
        topics, partition = self._config.topics, self._partition.partition
        await self._faults.reach("before-begin", self._partition)
        if unit.decisions:
            refused = await self._outbox.write(topics.decisions, partition, unit.decisions)
            if refused:
                unit.bury(refused, self._lease.policy_hash())
        if unit.dead:
            letters: list[Entry] = [
                (consumed, consumed.value, dead_letter_headers(consumed, why, policy))
                for consumed, why, policy in unit.dead
            ]
            lost: list[tuple[Any, Any]] = await self._outbox.write(
                topics.dlq, self._letters, letters
            )
            if lost:
                raise letter_refused(topics.dlq, lost[0][0])
        await self._offsets.acknowledge(self._partition, unit.end)
        await self._faults.reach("committed", self._partition)

    async def close(self) -> None:
        """The shared producer goes on."""
