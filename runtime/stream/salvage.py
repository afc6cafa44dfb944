"""Reading records that the client cannot decode.

The client gives up on a whole batch when one header name in it is not UTF-8, or
when a batch is damaged, and would meet it again for ever. Here the batch is
fetched once more and read leniently: odd header names are shown with
backslashes, and a damaged batch becomes one dead letter with the batch's bytes.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.structs import ConsumerRecord

from routec.runtime.config import Config
from routec.runtime.records import Dead

log = logging.getLogger(__name__)

_OVERHEAD = struct.Struct(">qi")
"""Base offset and length, before every batch."""
_LEAST_BATCH = 61
_MAGIC_AT = 16
_READ_COMMITTED = 1
_MOST_RECORDS = 1_000_000
"""Records of a batch that are taken up, at once; the client takes up those that are asked for."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What could be read of a partition.

    Attributes:
        records: consumed records, in order; a damaged batch is one of them.
        end: the offset to go on from.
        unreadable: by index in ``records``, why a record is only the bytes of a batch.
    """

    records: list[Any]
    end: int
    unreadable: dict[int, Dead]


class _LenientBytes(bytearray):
    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(at)
        return _LenientBytes(part) if isinstance(at, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self).decode(encoding, "backslashreplace")


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _LenientBytes):
            self._buffer = _LenientBytes(self._buffer)


async def salvage(
    consumer: AIOKafkaConsumer, config: Config, partition: TopicPartition, offset: int
) -> Salvaged | None:
    """Fetch and leniently read one partition's next batches.

    Args:
        consumer: the consumer whose connections are used.
        config: the configuration.
        partition: the partition.
        offset: the offset to read from.

    Returns:
        What was read, or ``None`` when there is nothing there now.
    """
    client = consumer._client  # the public interface has no raw fetch
    leader = client.cluster.leader_for_partition(partition)
    if leader is None or leader < 0:
        return None
    size = min(1_048_576, config.runtime.max_in_flight_bytes)
    request = FetchRequest(
        10, 1, size, _READ_COMMITTED, [(partition.topic, [(partition.partition, offset, size)])]
    )
    try:
        async with asyncio.timeout(config.kafka.request_timeout):
            response = await client.send(leader, request)
    except (KafkaError, TimeoutError) as error:
        log.warning("salvage fetch failed; trying again", extra={"error": repr(error)})
        return None
    for _, partitions in response.topics:
        for _, code, _, *rest in partitions:
            if code == 0 and rest[-1]:
                aborted = rest[-3 if response.API_VERSION >= 11 else -2] or []
                return read_batches(
                    bytes(rest[-1]), partition, offset, config.runtime.batch_size, aborted
                )
    return None


def read_batches(
    data: bytes,
    partition: TopicPartition,
    offset: int,
    limit: int,
    aborted: list[tuple[int, int]] | None = None,
) -> Salvaged | None:
    """Read the record batches of a fetch response.

    Args:
        data: the bytes, the last batch possibly cut off.
        partition: where they come from.
        offset: the first offset wanted.
        limit: read no further batch once there are this many records.
        aborted: producer id and first offset of each aborted transaction.
    """
    records: list[Any] = []
    unreadable: dict[int, Dead] = {}
    end, at = offset, 0
    dropped = _Aborted(aborted or [])
    while at + _LEAST_BATCH <= len(data) and len(records) < limit:
        base, length = _OVERHEAD.unpack_from(data, at)
        after = at + _OVERHEAD.size + length
        if length < _LEAST_BATCH - _OVERHEAD.size or after > len(data):
            break
        raw = data[at:after]
        at = after
        batch = _LenientBatch(raw)
        sound = raw[_MAGIC_AT] >= 2 and batch.validate_crc()
        next_offset = batch.next_offset if sound else _next_offset(batch, base, data, after, offset)
        if next_offset <= offset:
            continue
        end = next_offset
        try:
            if not sound:
                raise CorruptRecordException("wrong checksum or an old record format")
            if dropped.holds(batch, base):
                continue
            if batch._num_records > _MOST_RECORDS:
                raise CorruptRecordException(f"it has {batch._num_records:,} records")
            some = [
                _consumed(partition, record.offset, record)
                for record in batch
                if record.offset >= offset
            ]
        except Exception as error:  # a damaged batch fails in any way it likes
            unreadable[len(records)] = Dead(
                "unreadable-batch",
                f"offsets {max(base, offset)} to {end - 1} cannot be read ({error}); "
                "the value is their record batch",
            )
            some = [_damaged(partition, max(base, offset), raw)]
        records.extend(some)
    return Salvaged(records, end, unreadable) if end > offset else None


def _next_offset(batch: Any, base: int, data: bytes, after: int, offset: int) -> int:
    """The offset after a damaged batch: what its neighbour or two agreeing fields say."""
    if after + _LEAST_BATCH <= len(data):
        return max(offset + 1, int(_OVERHEAD.unpack_from(data, after)[0]))
    claimed = int(batch.next_offset)
    if claimed == base + batch._num_records and claimed > offset:
        return claimed
    return offset + 1


class _Aborted:
    """Which producers are inside an aborted transaction, as the batches go by."""

    def __init__(self, transactions: list[tuple[int, int]]) -> None:
        self._waiting = sorted(transactions, key=lambda one: one[1], reverse=True)
        self._producers: set[int] = set()

    def holds(self, batch: Any, base: int) -> bool:
        """Whether a batch is a control batch or of an aborted transaction."""
        while self._waiting and self._waiting[-1][1] <= base:
            self._producers.add(self._waiting.pop()[0])
        if batch.is_control_batch:
            if ControlRecord.parse(next(iter(batch)).key) == ABORT_MARKER:
                self._producers.discard(batch.producer_id)
            return True
        return batch.is_transactional and batch.producer_id in self._producers


def _consumed(partition: TopicPartition, offset: int, record: Any) -> Any:
    return ConsumerRecord(
        partition.topic,
        partition.partition,
        offset,
        record.timestamp,
        record.timestamp_type,
        record.key,
        record.value,
        None,
        -1 if record.key is None else len(record.key),
        -1 if record.value is None else len(record.value),
        tuple((str(name), value) for name, value in record.headers),
    )


def _damaged(partition: TopicPartition, offset: int, raw: bytes) -> Any:
    return ConsumerRecord(
        partition.topic, partition.partition, offset, 0, 0, None, raw, None, -1, len(raw), ()
    )
