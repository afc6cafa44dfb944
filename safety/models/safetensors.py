"""Reading a safetensors file, without trusting it.

The format: eight bytes of header length (little endian), a JSON header that maps each tensor's
name to its type, shape and byte range, then the bytes themselves.
Source: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
from math import prod
from typing import Any, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from routec.safety.models.errors import ModelError

_HEADER_LIMIT: Final = 16 * 1024 * 1024
_DTYPES: Final[dict[str, Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}


def read_safetensors(data: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file, as read-only views of ``data``.

    Raises:
        ModelError: code ``bad-safetensors``, when a length, type, shape or byte range in the
            header does not fit the data.
    """
    if len(data) < 8:
        raise _bad("it is shorter than its own length field")
    size = int.from_bytes(data[:8], "little")
    if size > _HEADER_LIMIT or 8 + size > len(data):
        raise _bad(f"its header claims {size} bytes")
    try:
        header = json.loads(data[8 : 8 + size])
    except (ValueError, RecursionError):
        raise _bad("its header is not JSON") from None
    if not isinstance(header, dict):
        raise _bad("its header is not an object")
    body = memoryview(data)[8 + size :]
    return {
        name: _tensor(name, entry, body) for name, entry in header.items() if name != "__metadata__"
    }


def _tensor(name: str, entry: object, body: memoryview) -> NDArray[Any]:
    if not isinstance(entry, dict):
        raise _bad(f"the entry of `{name}` is not an object")
    dtype = _DTYPES.get(str(entry.get("dtype")))
    if dtype is None:
        raise _bad(f"`{name}` has the type `{entry.get('dtype')}`, which is not supported")
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise _bad(f"the shape or the byte range of `{name}` is malformed")
    start, end = offsets
    if not start <= end <= len(body) or end - start != prod(shape) * dtype.itemsize:
        raise _bad(f"the byte range of `{name}` does not fit its shape or the file")
    return np.frombuffer(body[start:end], dtype=dtype).reshape(shape)


def _naturals(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _bad(reason: str) -> ModelError:
    return ModelError(
        "bad-safetensors",
        f"this is not a readable safetensors file: {reason}",
        "fetch the file again from its publisher",
    )
