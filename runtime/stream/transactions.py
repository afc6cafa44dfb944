"""Exactly once: one transactional producer for each partition of the requests topic.

A producer's name is its partition's, so that whoever builds it next, in whatever process, ends
the transaction of the one before and shuts it out. That is why it is built *before* the committed
offset is read: from then on nobody else can move that offset.

The client cannot be trusted after an error inside a transaction: it may go on with sequence
numbers that the broker refuses, or in a state from which it cannot abort. So any error throws the
producer away; a new one is built, and the committed offset then tells whether the transaction
had been committed after all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IllegalOperation,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownError,
)
from aiokafka.structs import OffsetAndMetadata

from routec.runtime.config import Config
from routec.runtime.records import Dead
from routec.runtime.stream.batches import (
    FORBIDDEN,
    REFUSED,
    fill,
    letter_refused,
    refusal,
    write_forbidden,
)
from routec.runtime.stream.clients import (
    connect,
    discard,
    make_producer,
    transaction_forbidden,
    transactional_id,
)
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.faults import Faults
from routec.runtime.stream.lease import Lease
from routec.runtime.stream.letters import dead_letter_headers
from routec.runtime.stream.observer import Observer
from routec.runtime.stream.offsets import stable_offset
from routec.runtime.stream.topics import require_partition
from routec.runtime.stream.unit import Displaced, Entry, Lost, Unit

log = logging.getLogger(__name__)

_REFUSES_US = (*FORBIDDEN, GroupAuthorizationFailedError, TransactionalIdAuthorizationFailed)
_SHARE = 0.8
"""Share of the broker's transaction timeout that we wait ourselves: we give up first."""
_LINGER = 0.02
"""Seconds that a transaction waits for more of what is about to be decided; as long as the client
waits between two."""
_MAX_BACKOFF = 5.0
_MOST_FENCES = 5
"""Times in a row that another producer of the same name shuts us out before the worker stops."""
_UNEXPLAINED_TRIES = 3
"""Refusals under a code the client has no name for that are taken for trouble of the broker."""


class _NotNow(Exception):
    """A lane cannot be opened yet."""


_Batch = tuple[str, int, Sequence[Entry], int, int]
"""Topic, partition, entries, and the first and the end of those in the batch."""


class TransactionalWriter:
    """Writes one lane's units, each in a transaction of its own.

    Args:
        config: the configuration.
        partition: the lane's partition of the requests topic.
        letters: partition of the dead-letter topic that the lane writes to.
        lease: the assignment that the lane belongs to.
        opening: held while a producer is built: some hundred at once would only time out.
        working: told False when the broker does not take units and True when it does again.
        observer: is told of rebuilt producers and of being fenced.
        faults: is asked at the points of a transaction.
    """

    def __init__(
        self,
        config: Config,
        partition: TopicPartition,
        letters: int,
        lease: Lease,
        opening: asyncio.Semaphore,
        working: Callable[[bool], None],
        observer: Observer,
        faults: Faults,
    ) -> None:
        self._config = config
        self._partition = partition
        self._letters = letters
        self._lease = lease
        self._opening = opening
        self._working = working
        self._observer = observer
        self._faults = faults
        self._patience = config.kafka.transaction_timeout * _SHARE
        self.linger = _LINGER
        self._producer: AIOKafkaProducer | None = None
        self._offset: int | None = None
        self._most = self._events = config.runtime.max_in_flight_events
        self._fences = 0
        self._unexplained = 0

    async def open(self) -> int | None:
        """Build the producer, which shuts others out, then read the committed offset."""
        backoff = self._config.kafka.retry_backoff
        while True:
            await self._faults.reach("opening", self._partition)
            try:
                async with self._opening:
                    self._producer = await self._build()
                    async with asyncio.timeout(self._patience):
                        self._offset = await self._prepare(self._producer)
            except _REFUSES_US as error:
                raise _forbidden(self._config, error) from error
            except (KafkaError, OSError, TimeoutError, _NotNow) as error:
                self._working(False)
                log.warning("a lane cannot be opened; trying again", extra=self._about(error))
                await self._throw_away()
                if await self._lease.ends_within(backoff):
                    raise Lost from error
                backoff = min(backoff * 2, _MAX_BACKOFF)
                continue
            self._working(True)
            await self._faults.reach("opened", self._partition)
            return self._offset

    async def _build(self) -> AIOKafkaProducer:
        config = self._config
        name = transactional_id(config, self._partition)
        # One that has to wait for its coordinator must not keep all others from opening.
        deadline = time.monotonic() + config.kafka.request_timeout
        try:
            return await connect(
                lambda: make_producer(config, transactional=name), config, deadline
            )
        except StreamError as error:
            if error.code != "kafka-unreachable":
                raise
            raise _NotNow(error.message) from error

    async def _prepare(self, producer: AIOKafkaProducer) -> int | None:
        config = self._config
        # What a producer learns of its topics at its first batch would hold a transaction open.
        await require_partition(producer, config.topics.decisions, self._partition.partition)
        await producer.partitions_for(config.topics.dlq)
        kafka = config.kafka
        return await stable_offset(
            producer.client, kafka.group, self._partition, kafka.retry_backoff
        )

    async def write(self, unit: Unit) -> None:
        """Commit a unit in one transaction, or in several where one takes too long."""
        assert unit.start == self._offset, "units follow each other"
        written: list[Unit] = []
        left = [unit]
        while left:
            part, rest = left.pop().cut(self._events)
            if rest is not None:
                left.append(rest)
            if await self._commit(part):
                written.append(part)
                self._events = min(2 * self._events, self._config.runtime.max_in_flight_events)
            else:
                left.append(part)
                self._events = max(1, part.events // 2)
        if len(written) > 1:
            unit.join(written)

    async def _commit(self, unit: Unit) -> bool:
        """Commit a unit in one transaction, with as many tries as it takes.

        Returns:
            False if the broker does not take so much in the time that a transaction has.
        """
        late = False
        backoff = self._config.kafka.retry_backoff
        while True:
            try:
                if await self._attempt(unit):
                    self._offset = unit.end
                    self._fences = self._unexplained = 0
                    self._most = self._config.runtime.max_in_flight_events
                    return True
                reason = "refused"
            except _REFUSES_US as error:
                raise _forbidden(self._config, error) from error
            except ProducerFenced as error:
                reason = "fenced"
                await self._fenced(error)
            # The client asserts where it is in a state that it cannot leave.
            except (KafkaError, IllegalOperation, OSError, TimeoutError, AssertionError) as error:
                reason = "error"
                late = isinstance(error, TimeoutError)
                self._working(False)
                log.warning("a transaction failed", extra=self._about(error))
                if await self._lease.ends_within(backoff):
                    raise Lost from error
                backoff = min(backoff * 2, _MAX_BACKOFF)
            if not self._lease.active:
                raise Lost
            if reason == "refused" and self._unexplained:
                # It may be trouble of the broker after all.
                if await self._lease.ends_within(backoff):
                    raise Lost
                backoff = min(backoff * 2, _MAX_BACKOFF)
            await self._throw_away()
            self._observer.rebuilt(reason)
            offset = await self.open()
            if offset == unit.end:
                # The broker had committed it, its answer was lost.
                self._fences = self._unexplained = 0
                return True
            if offset != unit.start:
                raise Displaced(offset)
            if late and unit.events > 1:
                return False

    async def _attempt(self, unit: Unit) -> bool:
        """Whether the unit was committed; if not, it was changed and is to be tried again."""
        producer, reach = self._producer, self._faults.reach
        if producer is None:
            raise ConnectionError("there is no producer")
        batches = self._batches(producer, unit)
        await reach("before-begin", self._partition)
        async with asyncio.timeout(self._patience):
            await producer.begin_transaction()
            await reach("begun", self._partition)
            acknowledged = []
            for builder, (topic, partition, *_) in batches:
                sent = await producer.send_batch(builder, topic, partition=partition)
                # One that nobody waits for any more must not be reported as forgotten.
                sent.add_done_callback(_retrieve)
                acknowledged.append(sent)
            await reach("sent", self._partition)
            # One after the other: a broker that adds the group to the transaction while it verifies
            # the batches refuses them for a moment, and the client then waits for long.
            # Time that is up must not cancel them: nobody would hear what they fail with.
            if acknowledged:
                await asyncio.wait(acknowledged)
            done = [one.exception() or one.result() for one in acknowledged]
            if not self._accepted(unit, [what for _, what in batches], done):
                return False
            await reach("acknowledged", self._partition)
            offsets = asyncio.ensure_future(
                producer.send_offsets_to_transaction(
                    {self._partition: OffsetAndMetadata(unit.end, "")}, self._config.kafka.group
                )
            )
            offsets.add_done_callback(_retrieve)
            await asyncio.shield(offsets)
            await reach("offsets-sent", self._partition)
            await producer.commit_transaction()
        await reach("committed", self._partition)
        return True

    def _batches(self, producer: AIOKafkaProducer, unit: Unit) -> list[tuple[Any, _Batch]]:
        topics = self._config.topics
        letters: list[Entry] = [
            (consumed, consumed.value, dead_letter_headers(consumed, why, policy))
            for consumed, why, policy in unit.dead
        ]
        filled: list[tuple[Any, _Batch]] = []
        for topic, partition, entries in (
            (topics.decisions, self._partition.partition, unit.decisions),
            (topics.dlq, self._letters, letters),
        ):
            start = 0
            while start < len(entries):
                builder, end = fill(producer, entries, start, start + self._most)
                filled.append((builder, (topic, partition, entries, start, end)))
                start = end
        return filled

    def _accepted(self, unit: Unit, batches: list[_Batch], done: list[Any]) -> bool:
        """Whether the broker took everything; else who is to blame is sought or buried.

        Raises:
            StreamError: it refuses a dead letter.
            KafkaError: it failed for another reason.
        """
        failed = [
            (batch, result)
            for batch, result in zip(batches, done, strict=True)
            if isinstance(result, BaseException)
        ]
        self._unexplained += any(isinstance(result, UnknownError) for _, result in failed)
        blamed = [(batch, result) for batch, result in failed if self._blames(result)]
        if failed and not blamed:
            # Where one is to blame the others only failed because of it.
            raise next((one for _, one in failed if isinstance(one, _REFUSES_US)), failed[0][1])
        refused: list[tuple[Any, Dead]] = []
        largest = 0
        for (topic, _, entries, start, end), result in blamed:
            if end - start > 1:
                largest = max(largest, end - start)
            elif topic == self._config.topics.dlq:
                raise letter_refused(topic, entries[start][0])
            else:
                refused.append((entries[start][0], refusal(topic, result)))
        if largest:
            # One of them is to blame: halve until it is alone.
            self._most = max(1, largest // 2)
        if refused:
            unit.bury(refused, self._lease.policy_hash())
            self._most = self._config.runtime.max_in_flight_events
        return not largest and not refused

    def _blames(self, error: BaseException) -> bool:
        """Whether a failure is due to what a batch holds."""
        if isinstance(error, UnknownError):
            return self._unexplained >= _UNEXPLAINED_TRIES
        return isinstance(error, REFUSED)

    async def _fenced(self, error: ProducerFenced) -> None:
        """Find out whether the partition is still ours before taking its name back.

        Whoever shut us out is its owner, if the group gave it away and we have not heard of it:
        one heartbeat then tells. Shutting them out in turn would cost them their transaction.
        """
        self._fences += 1
        self._observer.fenced()
        log.warning("another producer has taken a lane's name", extra=self._about(error))
        if self._fences >= _MOST_FENCES:
            name = transactional_id(self._config, self._partition)
            raise StreamError(
                "fenced",
                f"another program keeps producing as `{name}`",
                "give each deployment its own `kafka.group`",
            ) from error
        if await self._lease.ends_within(1.5 * self._config.kafka.heartbeat_interval):
            raise Lost from error

    async def _throw_away(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await discard(producer)

    async def close(self) -> None:
        """End the producer; a transaction that is open is ended by the next one of its name."""
        await self._throw_away()

    def _about(self, error: BaseException) -> dict[str, object]:
        return {"partition": self._partition.partition, "error": repr(error)}


def _retrieve(sent: asyncio.Future[Any]) -> None:
    if not sent.cancelled():
        sent.exception()


def _forbidden(config: Config, error: KafkaError) -> StreamError:
    topics, group = config.topics, config.kafka.group
    if isinstance(error, TransactionalIdAuthorizationFailed):
        return transaction_forbidden(group)
    if isinstance(error, GroupAuthorizationFailedError):
        return StreamError(
            "commit-forbidden",
            f"Kafka forbids committing offsets of the group `{group}`",
            "grant READ on the group to this client",
        )
    if isinstance(error, TopicAuthorizationFailedError) and topics.requests in str(error):
        return StreamError(
            "read-forbidden",
            f"Kafka forbids reading `{topics.requests}` as the group `{group}`",
            "grant READ on the topic and on the group to this client",
        )
    return write_forbidden(f"`{topics.decisions}` or `{topics.dlq}`")
