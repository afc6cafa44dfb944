"""Reading a whole topic and what comes after, whatever somebody wrote to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException

from routec.runtime.config import Config
from routec.runtime.records import Record
from routec.runtime.stream.salvage import salvage
from routec.runtime.stream.take import as_record

log = logging.getLogger(__name__)


class TopicReader:
    """Reads the partitions of a topic from their start, each in order.

    Records that the client gives up on, as a header's name is not UTF-8 or a batch is damaged, are
    read leniently: they keep nobody from what comes after them.

    Args:
        consumer: a connected consumer without a group, for this alone.
        config: the configuration.
        partitions: the partitions.

    Attributes:
        positions: by partition, the offset of what comes next.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, config: Config, partitions: Sequence[TopicPartition]
    ) -> None:
        self._consumer = consumer
        self._config = config
        self._partitions = list(partitions)
        self.positions: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        """Go to the start of every partition."""
        self._consumer.assign(self._partitions)
        await self._consumer.seek_to_beginning(*self._partitions)
        await self._note()

    async def take(self, seconds: float) -> list[Record]:
        """What comes next; nothing if nothing comes for so long."""
        try:
            taken = await self._consumer.getmany(timeout_ms=int(seconds * 1000))
        except (CorruptRecordException, UnicodeDecodeError) as error:
            log.warning(
                "records cannot be read in the usual way", extra={"error": type(error).__name__}
            )
            return await self._salvage()
        records = [as_record(one) for some in taken.values() for one in some]
        await self._note()
        return records

    async def _note(self) -> None:
        self.positions = {one: await self._consumer.position(one) for one in self._partitions}

    async def _salvage(self) -> list[Record]:
        """Read the next records of each partition leniently."""
        # What else the client had unpacked in the call that failed, it has dropped.
        for partition, offset in self.positions.items():
            self._consumer.seek(partition, offset)
        records: list[Record] = []
        for partition, offset in self.positions.items():
            salvaged = await salvage(self._consumer, self._config, partition, offset)
            if salvaged is not None:
                records += [as_record(one) for one in salvaged.records]
                self._consumer.seek(partition, salvaged.end)
                self.positions[partition] = salvaged.end
        if not records:
            await asyncio.sleep(self._config.kafka.retry_backoff)
        return records
