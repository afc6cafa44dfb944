"""Reading one partition from an offset to another, in no group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from routec.runtime.config import Config
from routec.runtime.records import Dead
from routec.runtime.stream.clients import close, common_options, connect
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.salvage import salvage
from routec.runtime.stream.unreachable import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 500
"""Most records that are taken at once."""
_FETCH_BYTES = 1_048_576
_POLL = 0.2


@asynccontextmanager
async def reader_of(config: Config) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of committed records in no group, which is closed at the end.

    It commits nothing, and where what it is to read is gone it says so rather than go elsewhere.

    Raises:
        StreamError: the cluster cannot be reached, or refuses.
    """
    kafka = config.kafka

    def make() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **common_options(kafka),
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=max(1, round(kafka.fetch_max_wait * 1000)),
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=_FETCH_BYTES,
            isolation_level="read_committed",
        )

    consumer = await connect(make, config)
    try:
        yield consumer
    finally:
        await close(consumer)


@contextmanager
def told_plainly(config: Config, topic: str) -> Iterator[None]:
    """Have failures of the client raised as `StreamError`."""
    try:
        yield
    except TopicAuthorizationFailedError as error:
        raise StreamError(
            "read-forbidden",
            f"Kafka forbids reading `{topic}`",
            "grant READ on the topic to this client",
        ) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise StreamError(
            "read-failed",
            f"`{topic}` at `{config.kafka.bootstrap}` cannot be read: {in_words(error)}",
            "check that the brokers are up, then try again",
        ) from error


class PartitionReader:
    """Reads a partition, bounded by an end.

    Args:
        consumer: from `reader_of`; nobody else uses it meanwhile.
        config: the configuration.
        partition: the partition, which exists.
        begin: the first offset that is wanted.
        end: the first one that is not.

    Attributes:
        at: the offset to be read next.
        lost: offsets that retention took before they were read.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        config: Config,
        partition: TopicPartition,
        begin: int,
        end: int,
    ) -> None:
        self._consumer = consumer
        self._config = config
        self._partition = partition
        self._end = end
        self.at = begin
        self.lost = 0
        consumer.assign([partition])
        consumer.seek(partition, begin)

    def seek(self, offset: int) -> None:
        """Go on from there."""
        self.at = offset
        self._consumer.seek(self._partition, offset)

    async def more(self) -> list[tuple[Any, Dead | None]] | None:
        """The next records, each with the reason where it cannot be read; ``None`` at the end.

        Raises:
            StreamError: the partition cannot be read.
        """
        with told_plainly(self._config, self._partition.topic):
            moved = time.monotonic()
            while self.at < self._end:
                before = self.at
                found = await self._some()
                if wanted := [one for one in found if one[0].offset < self._end]:
                    return wanted
                if self.at > before:
                    moved = time.monotonic()
                elif time.monotonic() - moved > self._config.kafka.request_timeout:
                    raise TimeoutError
        return None

    async def _some(self) -> list[tuple[Any, Dead | None]]:
        consumer, partition = self._consumer, self._partition
        patience = self._config.kafka.request_timeout
        try:
            async with asyncio.timeout(patience):
                found = await consumer.getmany(
                    partition, timeout_ms=round(_POLL * 1000), max_records=CHUNK
                )
        except OffsetOutOfRangeError:
            async with asyncio.timeout(patience):
                first = (await consumer.beginning_offsets([partition]))[partition]
            if first <= self.at:
                raise
            self.lost += min(first, self._end) - self.at
            self.seek(first)
            return []
        except (CorruptRecordException, UnicodeDecodeError):
            salvaged = await salvage(consumer, self._config, partition, self.at)
            if salvaged is None:
                self.seek(self.at)
                return []
            self.seek(salvaged.end)
            return [(one, salvaged.unreadable.get(at)) for at, one in enumerate(salvaged.records)]
        # Markers of transactions move the position without a record to show for it.
        self.at = await consumer.position(partition)
        return [(one, None) for one in found.get(partition, [])]
