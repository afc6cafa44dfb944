"""Taking batches from the requests topic, and knowing what belongs to us."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CommitFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from routec.runtime.config import Config
from routec.runtime.records import Dead
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.salvage import salvage

log = logging.getLogger(__name__)

_POLL = 0.2
_MOST_ERRORS = 5
_FORBIDDEN = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)


@dataclass(slots=True, eq=False)
class Lease:
    """One assignment of partitions by the group.

    Attributes:
        partitions: what was assigned.
        active: False once it is being revoked: no new batch of it may be written.
        taken: by partition, the offset after the last record taken.
        acked: by partition, the offset after the last record whose outcome is
            acknowledged and not yet committed.
    """

    partitions: frozenset[TopicPartition]
    active: bool = True
    taken: dict[TopicPartition, int] = field(default_factory=dict)
    acked: dict[TopicPartition, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records taken together, of one lease.

    Attributes:
        lease: the lease they were taken under.
        records: consumed records (`aiokafka.ConsumerRecord`), in order in each partition.
        ends: by partition, the offset after its last record.
        unreadable: by index in ``records``, why the record could not be read.
    """

    lease: Lease
    records: list[Any]
    ends: dict[TopicPartition, int]
    unreadable: dict[int, Dead]


class Intake(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads the requests topic as a member of the group.

    Args:
        config: the configuration.
        consumer: a started consumer without topics; the intake subscribes it.
        finish: waits until what is being written is acknowledged.
        joined: told True when partitions are assigned, False when they are revoked.
        released: told each partition that was given up.
    """

    def __init__(
        self,
        config: Config,
        consumer: AIOKafkaConsumer,
        finish: Callable[[], Awaitable[None]],
        joined: Callable[[bool], None],
        released: Callable[[TopicPartition], None],
    ) -> None:
        self._config = config
        self._consumer = consumer
        self._finish = finish
        self._joined = joined
        self._released = released
        self._lease: Lease | None = None
        self._positioned: Lease | None = None
        self._committed_at = 0.0
        self._errors_in_a_row = 0
        self._leased = asyncio.Event()
        # Positions may be ahead of what was handed on.
        self._astray = False
        # The next records cannot be read in the usual way.
        self._odd = False
        self._commit_wait = config.kafka.session_timeout / 3
        consumer.subscribe([config.topics.requests], listener=self)

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Finish and commit what is being written, in bounded time; others redo the rest."""
        lease = self._lease
        self._lease = None
        self._leased.clear()
        self._joined(False)
        if lease is None:
            return
        lease.active = False
        try:
            async with asyncio.timeout(self._commit_wait):
                await self._finish()
        except TimeoutError:
            log.warning("partitions revoked before all decisions were acknowledged")
        await self._commit(lease)
        for partition in lease.partitions:
            self._released(partition)

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Begin a new lease."""
        self._lease = Lease(frozenset(assigned))
        self._leased.set()
        self._joined(True)

    async def take(self) -> Batch | None:
        """The next batch, or ``None`` when nothing came for a while.

        Raises:
            StreamError: the broker forbids reading, or the group is lost for good.
        """
        size = self._config.runtime.batch_size
        batch = await self._get(_POLL, size)
        linger = self._config.runtime.linger
        if batch is None or linger == 0.0 or batch.unreadable:
            return batch
        deadline = time.monotonic() + linger
        while len(batch.records) < size and (left := deadline - time.monotonic()) > 0:
            more = await self._get(left, size - len(batch.records))
            if more is None:
                continue
            if more.lease is not batch.lease:
                return more  # what was taken before the rebalance is no longer ours
            start = len(batch.records)
            batch.records.extend(more.records)
            batch.ends.update(more.ends)
            batch.unreadable.update((start + at, why) for at, why in more.unreadable.items())
        return batch

    async def _get(self, seconds: float, limit: int) -> Batch | None:
        kafka = self._config.kafka
        if self._lease is None:
            await self._wait_for_lease(seconds)
            return None
        try:
            # While the group is forming, getmany waits without looking at its timeout.
            async with asyncio.timeout(seconds + 1.0):
                await self._position()
                if self._astray:
                    self._rewind()
                if self._odd:
                    return await self._salvage()
                taken = await self._consumer.getmany(
                    timeout_ms=int(seconds * 1000), max_records=limit
                )
        except TimeoutError:
            return None
        except IllegalStateError:  # revoked meanwhile
            return None
        except _FORBIDDEN as error:
            raise StreamError(
                "read-forbidden",
                f"Kafka forbids reading `{self._config.topics.requests}` "
                f"as the group `{kafka.group}`",
                "grant READ on the topic and on the group to this client",
            ) from error
        except (CorruptRecordException, UnicodeDecodeError) as error:
            log.warning("records cannot be read in the usual way", extra={"error": repr(error)})
            self._astray = self._odd = True
            return None
        except KafkaError as error:
            self._errors_in_a_row += 1
            if not error.retriable and self._errors_in_a_row >= _MOST_ERRORS:
                raise StreamError(
                    "group-failed",
                    f"Kafka does not let this worker read as a member of `{kafka.group}`: {error}",
                    "check `kafka.group`, `kafka.instance_id` and `kafka.session_timeout`",
                ) from error
            log.warning("kafka gives no records; trying again", extra={"error": repr(error)})
            self._astray = True
            await asyncio.sleep(kafka.retry_backoff)
            return None
        self._errors_in_a_row = 0
        lease = self._lease
        if lease is None or not taken:
            return None
        records: list[Any] = []
        ends: dict[TopicPartition, int] = {}
        for partition, some in taken.items():
            records.extend(some)
            ends[partition] = some[-1].offset + 1
        lease.taken.update(ends)
        return Batch(lease, records, ends, {})

    async def _wait_for_lease(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leased.wait()

    async def _position(self) -> None:
        """Note where each partition begins, once a lease, so that `_rewind` can go back there."""
        lease = self._lease
        if lease is None or lease is self._positioned:
            return
        for partition in lease.partitions:
            if self._astray:
                # Assigned during the call that failed: its records may be read and dropped.
                await self._go_to_start(partition)
            lease.taken[partition] = await self._consumer.position(partition)
        self._positioned = lease

    async def _go_to_start(self, partition: TopicPartition) -> None:
        """Where the group left off or, for a new group, where it is configured to begin."""
        offset = await self._consumer.committed(partition)
        if offset is not None:
            self._consumer.seek(partition, offset)
        elif self._config.kafka.start == "earliest":
            await self._consumer.seek_to_beginning(partition)
        else:
            await self._consumer.seek_to_end(partition)

    def _rewind(self) -> None:
        """Go back to what was really handed on.

        The client drops the records of every partition that it had unpacked
        in a call that ends with an error, but remembers them as read.
        """
        lease = self._lease
        if lease is not None:
            for partition, offset in lease.taken.items():
                self._consumer.seek(partition, offset)
        self._astray = False

    async def _salvage(self) -> Batch | None:
        """Read the partitions' next records leniently."""
        lease = self._lease
        if lease is None:
            return None
        found = {
            partition: salvaged
            for partition, offset in list(lease.taken.items())
            if self.lag(partition) != 0
            and (salvaged := await salvage(self._consumer, self._config, partition, offset))
        }
        if not lease.active:
            return None
        # From here on nothing waits: what is taken is also handed on.
        records: list[Any] = []
        unreadable: dict[int, Dead] = {}
        for partition, salvaged in found.items():
            self._consumer.seek(partition, salvaged.end)
            lease.taken[partition] = salvaged.end
            start = len(records)
            unreadable.update((start + at, why) for at, why in salvaged.unreadable.items())
            records.extend(salvaged.records)
        self._odd = False
        ends = {partition: salvaged.end for partition, salvaged in found.items()}
        return Batch(lease, records, ends, unreadable) if ends else None

    def lag(self, partition: TopicPartition) -> int | None:
        """Records of a partition after the last one taken; ``None`` when unknown."""
        lease = self._lease
        if lease is None or partition not in lease.taken:
            return None
        try:
            end = self._consumer.highwater(partition)
        except IllegalStateError:
            return None
        return None if end is None else max(0, end - lease.taken[partition])

    async def commit_due(self) -> None:
        """Commit what is acknowledged, when the commit interval has passed."""
        lease = self._lease
        now = time.monotonic()
        if (
            lease is not None
            and lease.acked
            and now - self._committed_at >= self._config.runtime.commit_interval
        ):
            self._committed_at = now
            await self._commit(lease)

    async def commit_all(self) -> None:
        """Commit what is acknowledged, as often as it takes; the caller limits the time."""
        backoff = self._config.kafka.retry_backoff
        while True:
            lease = self._lease
            if lease is None or await self._commit(lease):
                return
            await asyncio.sleep(backoff)

    async def _commit(self, lease: Lease) -> bool:
        """Whether there is no use in trying again."""
        if not lease.acked:
            return True
        offsets = dict(lease.acked)
        try:
            async with asyncio.timeout(self._commit_wait):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # The revocation that follows commits once more; past it, others redo the work.
            log.info("partitions moved on before the commit", extra={"error": repr(error)})
            return True
        except (KafkaError, TimeoutError) as error:
            log.warning("offsets not committed; trying again", extra={"error": repr(error)})
            return False
        for partition, offset in offsets.items():
            if lease.acked.get(partition) == offset:
                del lease.acked[partition]
        return True
