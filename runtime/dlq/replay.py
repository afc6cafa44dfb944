"""Bringing letters back: the original records, to the partitions they came from.

Records and the register's entries of them are written in transactions under one name, so a replay
that begins shuts out one before it, wherever that stopped; only then is the register read. Whatever
dies in between, each letter is brought back once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import (
    IllegalOperation,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from routec.runtime.config import Config
from routec.runtime.dlq.letter import Letter, Source
from routec.runtime.dlq.reading import Place, partitions_of
from routec.runtime.dlq.register import (
    Register,
    create_register,
    entry_of,
    read_register,
    register_topic,
)
from routec.runtime.stream.batches import REFUSED, fill
from routec.runtime.stream.clients import (
    close,
    connect,
    discard,
    make_producer,
    transaction_forbidden,
)
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.unit import Entry
from routec.runtime.stream.unreachable import in_words

BATCH = 100
"""Most letters in one transaction."""
BATCH_BYTES = 1_048_576
"""Bytes of letters in one transaction above which no further one is taken."""
_PATIENCE = 0.8
"""Share of the broker's transaction timeout that we wait ourselves."""

_DAMAGED = "unreadable-batch"


@dataclass(frozen=True, slots=True)
class Refused:
    """A letter that cannot be brought back.

    Attributes:
        place: its place in the dead-letter topic.
        code: why it is a dead letter.
        reason: why it cannot be brought back, in words.
    """

    place: Place
    code: str
    reason: str


@dataclass(slots=True)
class Replayed:
    """What a replay did.

    Attributes:
        done: letters brought back, by the topic they went to and their reason.
        before: letters that had been brought back before and were left alone.
        refused: letters that cannot be brought back.
        stopped: whether it ended before all was done because it was told to.
    """

    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    before: int = 0
    refused: list[Refused] = field(default_factory=list)
    stopped: bool = False


def obstacle(letter: Letter, partitions: int) -> str | None:
    """Why a letter cannot be brought back, as far as it can be said beforehand.

    Args:
        letter: the letter.
        partitions: how many its topic has now; 0 where there is no such topic.
    """
    at = letter.source
    if letter.code == _DAMAGED:
        return "it holds a damaged batch, not a record"
    if not partitions:
        return f"the topic `{at.topic}` does not exist"
    if at.partition >= partitions:
        return f"`{at.topic}` has no partition {at.partition} any more"
    return None


class Replay:
    """One replay; a context manager, as which it holds its transactional producer.

    Args:
        config: the configuration.
        consumer: reads the register; another one than that which reads the letters.
        again: bring back also what was brought back before.
        limit: the most to bring back; all if ``None``.
        topics: topics to write to beside that of the requests: whoever can write letters could
            otherwise have records written anywhere.

    Attributes:
        result: what was done so far.
    """

    def __init__(
        self,
        config: Config,
        consumer: AIOKafkaConsumer,
        *,
        again: bool = False,
        limit: int | None = None,
        topics: Collection[str] = (),
    ) -> None:
        self._config = config
        self._consumer = consumer
        self._again = again
        self._limit = limit
        self._topics = frozenset((config.topics.requests, *topics))
        self._producer: AIOKafkaProducer | None = None
        self._register = Register()
        self._partitions: dict[str, int] = {}
        self._taken: set[tuple[Source, str]] = set()
        self.result = Replayed()

    async def __aenter__(self) -> Replay:
        """Shut out whoever replays the same topic, then read what was replayed.

        Raises:
            StreamError: the cluster cannot be reached, or forbids it.
        """
        await create_register(self._consumer, self._config)
        await self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if kind is None:
            await close(producer)
        else:
            # Closing would wait for a transaction that is open; the next replay ends it.
            await discard(producer)

    async def run(
        self,
        letters: AsyncIterable[Letter],
        stop: asyncio.Event,
    ) -> None:
        """Bring letters back, in their order.

        Args:
            letters: the letters wanted.
            stop: once set, the transaction under way is finished, and nothing more is done.

        Raises:
            StreamError: the cluster does not take them; what is in `result` is done.
        """
        batch: list[Letter] = []
        size = 0
        async for letter in self._chosen(letters, stop):
            batch.append(letter)
            size += letter.size
            if len(batch) >= BATCH or size > BATCH_BYTES:
                await self._write(batch)
                batch, size = [], 0
        if batch and not stop.is_set():
            await self._write(batch)
        self.result.stopped = stop.is_set()

    async def rehearse(self, letters: AsyncIterable[Letter], stop: asyncio.Event) -> None:
        """Find out what `run` would do, without doing it; needs no `__aenter__`.

        Args:
            letters: the letters wanted.
            stop: once set, nothing more is looked at.

        Raises:
            StreamError: the cluster cannot be read.
        """
        self._register = await read_register(self._consumer, self._config)
        async for letter in self._chosen(letters, stop):
            self._count([letter])
        self.result.stopped = stop.is_set()

    async def _chosen(
        self, letters: AsyncIterable[Letter], stop: asyncio.Event
    ) -> AsyncIterator[Letter]:
        chosen = 0
        async for letter in letters:
            if stop.is_set() or chosen == self._limit:
                return
            if await self._wanted(letter):
                chosen += 1
                yield letter

    def _count(self, letters: Sequence[Letter]) -> None:
        self.result.done.update((letter.source.topic, letter.code) for letter in letters)

    async def _wanted(self, letter: Letter) -> bool:
        # At least once, one record may have several letters.
        record = letter.source, letter.digest()
        if record in self._taken or (not self._again and self._register.holds(letter)):
            self.result.before += 1
            return False
        topic = letter.source.topic
        if topic not in self._topics:
            self._refuse(letter, f"it says it is from `{topic}`; `--topic {topic}` allows that")
            return False
        if topic not in self._partitions:
            numbers = await partitions_of(self._consumer, self._config, topic)
            self._partitions[topic] = len(numbers)
        why = obstacle(letter, self._partitions[topic])
        if why is not None:
            self._refuse(letter, why)
            return False
        self._taken.add(record)
        return True

    def _refuse(self, letter: Letter, reason: str) -> None:
        place = letter.partition, letter.offset
        self.result.refused.append(Refused(place, letter.code, reason))

    async def _open(self) -> None:
        config = self._config
        name = f"routec.{config.kafka.group}.{config.topics.dlq}.replay"
        try:
            self._producer = await connect(
                lambda: make_producer(config, transactional=name), config
            )
        except TransactionalIdAuthorizationFailed as error:
            raise transaction_forbidden(config.kafka.group) from error
        self._register = await read_register(self._consumer, config)

    async def _write(self, letters: Sequence[Letter]) -> None:
        try:
            await self._transact(letters)
        except REFUSED as error:
            await self._reopen()
            if len(letters) == 1:
                topic = letters[0].source.topic
                reason = f"`{topic}` refuses it: {type(error).__name__}"
                self._refuse(letters[0], reason)
                return
            for letter in letters:
                if not self._again and self._register.holds(letter):
                    self.result.before += 1
                else:
                    await self._write([letter])

    async def _reopen(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await discard(producer)
        await self._open()

    async def _transact(self, letters: Sequence[Letter]) -> None:
        config, producer = self._config, self._producer
        assert producer is not None
        now = int(time.time() * 1000)
        try:
            async with asyncio.timeout(config.kafka.transaction_timeout * _PATIENCE):
                await producer.begin_transaction()
                sent: list[Any] = []
                ended: list[BaseException] = []
                try:
                    await self._send(producer, letters, sent)
                    for letter in letters:
                        key, value = entry_of(letter, now)
                        sent.append(await producer.send(register_topic(config), value, key=key))
                except IllegalOperation as error:
                    # The transaction is over already; what was sent before knows why.
                    ended.append(error)
                done = [*await asyncio.gather(*sent, return_exceptions=True), *ended]
                errors = [one for one in done if isinstance(one, BaseException)]
                # Where one is to blame the others only failed because of it.
                for problem in sorted(errors, key=_blame):
                    raise problem
                await producer.commit_transaction()
        except REFUSED:
            raise
        except ProducerFenced as error:
            raise StreamError(
                "fenced",
                f"another replay of `{config.topics.dlq}` has begun",
                "let that one finish",
            ) from error
        except TopicAuthorizationFailedError as error:
            raise StreamError(
                "write-forbidden",
                f"Kafka forbids writing to {error.args[0] if error.args else 'a topic'}",
                f"grant WRITE on `{letters[0].source.topic}` and `{register_topic(config)}` to "
                "this client",
            ) from error
        except (KafkaError, IllegalOperation, OSError, TimeoutError, AssertionError) as error:
            raise StreamError(
                "replay-interrupted",
                f"Kafka does not take the records: {in_words(error)}",
                "run it again: what was brought back is not brought back twice",
            ) from error
        for letter in letters:
            self._register.add(letter)
        self._count(letters)

    async def _send(
        self, producer: AIOKafkaProducer, letters: Sequence[Letter], sent: list[Any]
    ) -> None:
        """Send the original records; what tells of each batch is added to `sent`."""
        lanes: dict[tuple[str, int], list[Entry]] = {}
        for letter in letters:
            lane = lanes.setdefault((letter.source.topic, letter.source.partition), [])
            lane.append((letter, letter.value, letter.headers))
        for (topic, partition), entries in lanes.items():
            start = 0
            while start < len(entries):
                # A batch, unlike `send`, takes a record without key and value.
                builder, start = fill(producer, entries, start, len(entries))
                sent.append(await producer.send_batch(builder, topic, partition=partition))


def _blame(error: BaseException) -> int:
    """Which of several failures of one transaction comes first: the cause before what it caused."""
    return 0 if isinstance(error, REFUSED) else 2 if isinstance(error, IllegalOperation) else 1
