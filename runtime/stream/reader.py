"""Reading whole partitions and what comes after, whatever somebody wrote to them, in no group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, OffsetOutOfRangeError

from routec.runtime.config import Config
from routec.runtime.records import Record
from routec.runtime.stream.salvage import salvage
from routec.runtime.stream.take import as_record

log = logging.getLogger(__name__)


class TopicReader:
    """Reads partitions of a topic, each in order.

    Records that the client gives up on, as a header's name is not UTF-8 or a batch is damaged, are
    read leniently: they keep nobody from what comes after them. Where what comes next was deleted
    before it was read, or the topic made anew, it goes on with what there is.

    Args:
        consumer: a connected consumer without a group, for this alone.
        config: the configuration.

    Attributes:
        positions: by partition, the offset of what comes next.
        lost: offsets that were deleted before they were read, as far as they can be counted.
    """

    def __init__(self, consumer: AIOKafkaConsumer, config: Config) -> None:
        self._consumer = consumer
        self._config = config
        self.positions: dict[TopicPartition, int] = {}
        self.lost = 0

    async def add(self, partitions: Collection[TopicPartition], *, at_end: bool = False) -> None:
        """Read these partitions, too, from their start or their end.

        Raises:
            KafkaError: it cannot be told now where they begin or end; nothing is added.
        """
        new = sorted(set(partitions) - set(self.positions))
        if not new:
            return
        consumer = self._consumer
        # Before they are assigned: in between the client would look for a place of its own.
        found = await (consumer.end_offsets(new) if at_end else consumer.beginning_offsets(new))
        self.positions |= {one: found[one] for one in new}
        consumer.assign(list(self.positions))
        self._seek()

    async def take(self, seconds: float, limit: int | None = None) -> list[Record]:
        """What comes next; nothing if nothing comes for so long.

        Args:
            seconds: to wait for.
            limit: of so many; what has to be read leniently may be more.
        """
        try:
            taken = await self._consumer.getmany(timeout_ms=int(seconds * 1000), max_records=limit)
        except (CorruptRecordException, UnicodeDecodeError) as error:
            log.warning(
                "records cannot be read in the usual way", extra={"error": type(error).__name__}
            )
            return await self._salvage()
        except OffsetOutOfRangeError:
            await self._go_on()
            return []
        records = [as_record(one) for some in taken.values() for one in some]
        # Markers of transactions move the position without a record to show for it.
        self.positions = {one: await self._consumer.position(one) for one in self.positions}
        return records

    def _seek(self) -> None:
        for partition, offset in self.positions.items():
            self._consumer.seek(partition, offset)

    async def _salvage(self) -> list[Record]:
        """Read the next records of each partition leniently."""
        # What else the client had unpacked in the call that failed, it has dropped.
        self._seek()
        records: list[Record] = []
        for partition, offset in list(self.positions.items()):
            salvaged = await salvage(self._consumer, self._config, partition, offset)
            if salvaged is not None:
                records += [as_record(one) for one in salvaged.records]
                self._consumer.seek(partition, salvaged.end)
                self.positions[partition] = salvaged.end
        if not records:
            await asyncio.sleep(self._config.kafka.retry_backoff)
        return records

    async def _go_on(self) -> None:
        """Go on where what comes next is gone: with the first that is still there."""
        partitions: Sequence[TopicPartition] = list(self.positions)
        begins = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        for one in partitions:
            at = self.positions[one]
            if begins[one] <= at <= ends[one]:
                continue
            self.lost += max(0, begins[one] - at)
            log.warning(
                "what was to be read next is gone; reading goes on with the first that is there",
                extra={"topic": one.topic, "partition": one.partition, "offset": at},
            )
            self.positions[one] = begins[one]
        self._seek()
