"""What a batch unpacks to is bounded, whoever reads it; what is within the bound is unchanged."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable

import cramjam
import pytest
from aiokafka import TopicPartition, codec
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from routec.runtime.stream import unpacking
from routec.runtime.stream.clients import make_consumer
from routec.runtime.stream.salvage import read_batches
from routec.runtime.stream.unpacking import (
    MOST_UNPACKED,
    unpack_gzip,
    unpack_lz4,
    unpack_snappy,
    unpack_zstd,
)

CODECS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gzip": (codec.gzip_encode, unpack_gzip),
    "snappy": (codec.snappy_encode, unpack_snappy),
    "raw snappy": (lambda data: bytes(cramjam.snappy.compress_raw(data)), unpack_snappy),
    "lz4": (codec.lz4_encode, unpack_lz4),
    "zstd": (codec.zstd_encode, unpack_zstd),
}
EACH = pytest.mark.parametrize("name", CODECS)


@EACH
@given(data=st.binary(min_size=1, max_size=2000), times=st.sampled_from((1, 3, 500)))
def test_what_was_packed_comes_back(name: str, data: bytes, times: int) -> None:
    pack, unpack = CODECS[name]
    assert unpack(pack(data * times)) == data * times


@EACH
def test_up_to_the_bound_and_no_further(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pack, unpack = CODECS[name]
    monkeypatch.setattr(unpacking, "MOST_UNPACKED", 1_000_000)
    assert unpack(pack(bytes(1_000_000))) == bytes(1_000_000)
    for size in (1_000_001, 3_000_000):
        with pytest.raises(CorruptRecordException, match="1,000,000 bytes"):
            unpack(pack(bytes(size)))


def test_frames_one_after_the_other_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_UNPACKED", 1_000_000)
    for pack, unpack in ((gzip.compress, unpack_gzip), (codec.zstd_encode, unpack_zstd)):
        assert unpack(pack(bytes(400_000)) * 2) == bytes(800_000)
        with pytest.raises(CorruptRecordException):
            unpack(pack(bytes(400_000)) * 3)


@EACH
@given(data=st.binary(max_size=200), at=st.integers(0, 400), byte=st.integers(0, 255))
def test_damage_has_one_kind_of_error(name: str, data: bytes, at: int, byte: int) -> None:
    pack, unpack = CODECS[name]
    packed = bytearray(pack(b"some text to begin with, some text to begin with" + data))
    packed[at % len(packed)] = byte
    for damaged in (bytes(packed), bytes(packed[:-3]), data):
        try:
            unpack(damaged)
        except CorruptRecordException:
            continue


def bomb(kind: int) -> bytes:
    """A batch whose one value has 100 MiB, packed by a codec of Kafka's number."""
    builder = _DefaultRecordBatchBuilderPy(2, kind, 0, -1, -1, 0, 2 * MOST_UNPACKED)
    builder.append(0, 1000, None, bytes(104_857_600), [])
    return bytes(builder.build())


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_every_reader_of_batches_refuses_one_that_is_too_large(kind: int) -> None:
    assert make_consumer  # whoever can make a client has bounded what it unpacks
    packed = bomb(kind)
    with pytest.raises(CorruptRecordException, match="67,108,864"):
        list(MemoryRecords(packed).next_batch())
    with pytest.raises(CorruptRecordException, match="67,108,864"):
        list(DefaultRecordBatch(packed))
    tracemalloc.start()
    found = read_batches(packed, TopicPartition("t", 0), 0, 100)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert "67,108,864" in found.unreadable[0].message
    assert (found.records[0].value, found.end) == (packed, 1)
    assert most < 1.5 * MOST_UNPACKED
