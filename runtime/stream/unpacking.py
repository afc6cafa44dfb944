"""Unpacking compressed record batches, no further than a worker can hold.

The client unpacks a batch whole before any limit of ours is asked, and a few kilobytes can be
packed from gigabytes.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from importlib import import_module

import cramjam
import numpy as np
from aiokafka import codec
from aiokafka.errors import CorruptRecordException

MOST_UNPACKED = 67_108_864
"""Bytes that the records of one batch may have."""
_USUAL_GAIN = 32
_LEAST_ROOM = 65_536
_XERIAL_HEADER = 16
_DAMAGE = (cramjam.DecompressionError, zlib.error, struct.error, OSError, EOFError, ValueError)

Unpack = Callable[[bytes], bytes]


def unpack_gzip(payload: bytes) -> bytes:
    """Unpack gzip.

    Raises:
        CorruptRecordException: it is damaged, or larger than `MOST_UNPACKED`; so do the others.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(payload)) as file:
            unpacked = file.read(MOST_UNPACKED + 1)
    except _DAMAGE as error:
        raise _damaged(error) from error
    if len(unpacked) > MOST_UNPACKED:
        raise _too_large()
    return unpacked


def unpack_snappy(payload: bytes) -> bytes:
    """Unpack snappy, in xerial's blocks or raw; it tells its size."""
    try:
        if _snappy_size(payload) > MOST_UNPACKED:
            raise _too_large()
        return bytes(codec.snappy_decode(payload))
    except _DAMAGE as error:
        raise _damaged(error) from error


def _snappy_size(payload: bytes) -> int:
    if not codec._detect_xerial_stream(payload):
        return int(cramjam.snappy.decompress_raw_len(payload))
    at, size = _XERIAL_HEADER, 0
    while at < len(payload):
        (length,) = struct.unpack_from("!I", payload, at)
        at += 4
        size += cramjam.snappy.decompress_raw_len(payload[at : at + length])
        at += length
    return size


def unpack_lz4(payload: bytes) -> bytes:
    """Unpack LZ4 frames."""
    return _unpack_into(cramjam.lz4.decompress_into, payload)


def unpack_zstd(payload: bytes) -> bytes:
    """Unpack Zstandard frames."""
    return _unpack_into(cramjam.zstd.decompress_into, payload)


def _unpack_into(unpack: Callable[[bytes, memoryview], int], payload: bytes) -> bytes:
    """Unpack what does not tell its size, into room for what is usual, then for the most."""
    usual = min(MOST_UNPACKED, _LEAST_ROOM + _USUAL_GAIN * len(payload))
    for size in sorted({usual, MOST_UNPACKED}):
        room = np.empty(size, np.uint8)  # of memory that nothing is written to, none is taken
        try:
            return room[: unpack(payload, room.data)].tobytes()
        except cramjam.DecompressionError as error:
            failed = error
    raise _damaged(failed) from failed


def _too_large() -> CorruptRecordException:
    return CorruptRecordException(f"it unpacks to more than {MOST_UNPACKED:,} bytes")


def _damaged(error: Exception) -> CorruptRecordException:
    return CorruptRecordException(f"it does not unpack into {MOST_UNPACKED:,} bytes: {error}")


_BY_NAME: dict[str, Unpack] = {
    "gzip_decode": unpack_gzip,
    "snappy_decode": unpack_snappy,
    "lz4_decode": unpack_lz4,
    "zstd_decode": unpack_zstd,
}


def bound_unpacking() -> None:
    """Have every client of this process unpack so; once is enough."""
    for kind in ("default_records", "legacy_records"):
        for package in ("aiokafka.record", "aiokafka.record._crecords"):
            try:
                module = import_module(f"{package}.{kind}")
            except ImportError:  # the client may be installed without its compiled part
                continue
            for name in _BY_NAME.keys() & vars(module).keys():
                setattr(module, name, _BY_NAME[name])
