"""The lock file of a policy: the vectors of its example texts, so that `check` needs no model.

`helpdesk.lock` stands beside `helpdesk.route` and is written by `routec lock`. It is one JSON
object::

    {"version": 1, "embedder": "sha256:…", "dimension": 384, "vectors": {"<key>": "<vector>"}}

`embedder` is the digest of the model that made the vectors. A key is the SHA-256 (hexadecimal) of
a text in its normal form; a vector is its components as IEEE binary32, little endian, in Base64:
exactly what the embedder returns, so nothing is rounded.
"""

from __future__ import annotations

import json
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from pathlib import Path
from sys import byteorder

from routec.compiler import policy as p
from routec.compiler.theory.text.normal import normalise

VERSION = 1
MAX_SIZE = 64 << 20
"""Most bytes of a lock file: some thirty thousand examples."""

MAX_DIMENSION = 8192
_UNIT_TOLERANCE = 1e-3
_COMMAND = "routec lock"


class LockError(Exception):
    """A lock file cannot be used.

    Attributes:
        message: one sentence; lower-case start, no final period.
        help: how to mend it.
    """

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True)
class Lock:
    """Vectors of example texts.

    Attributes:
        embedder: digest of the embedder that made them.
        dimension: how many components each has.
        vectors: by key of the text, as binary32, little endian. Of unit length, or all zero.
    """

    embedder: str
    dimension: int
    vectors: Mapping[str, bytes]

    def vector(self, text: str) -> tuple[float, ...] | None:
        """The vector of a text; ``None`` if the lock does not have it."""
        data = self.vectors.get(key_of(text))
        return None if data is None else tuple(_components(data))

    def lacks(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Those of some texts that have no vector here."""
        return tuple(t for t in dict.fromkeys(texts) if key_of(t) not in self.vectors)


@dataclass(frozen=True, slots=True)
class NoLock:
    """Why there are no vectors, and what helps."""

    reason: str
    help: str


def key_of(text: str) -> str:
    """The key of a text: equal for texts that a signal cannot tell apart."""
    import hashlib  # only policies with examples pay for it

    return hashlib.sha256(normalise(text).encode()).hexdigest()


def lock_path(policy: str | Path) -> Path:
    """Where the lock file of a policy file stands."""
    return Path(policy).with_suffix(".lock")


def examples_of(signal: p.Signal) -> tuple[str, ...]:
    """The example texts of a signal, in order; empty for a signal that has none."""
    match signal.definition:
        case p.Similarity(examples=examples):
            return examples
        case p.Contrast(high=high, low=low):
            return (*high, *low)
        case _:
            return ()


def wanted(policy: p.Policy) -> tuple[str, ...]:
    """Every example text of a policy, each once, in order."""
    texts = (text for signal in policy.signals.values() for text in examples_of(signal))
    return tuple(dict.fromkeys(texts))


def make(embedder: str, texts: Sequence[str], rows: Iterable[Iterable[float]]) -> Lock:
    """The lock of these texts.

    Args:
        embedder: digest of the embedder.
        texts: at least one.
        rows: the vector of each text, all of one length.

    Raises:
        ValueError: the vectors are none of an embedder.
    """
    vectors: dict[str, bytes] = {}
    dimension = 0
    for text, row in zip(texts, rows, strict=True):
        data = _bytes(array("f", row))
        dimension = dimension or len(data) // 4
        wrong = _wrong(data, dimension)
        if wrong:
            raise ValueError(f"the vector {wrong}")
        vectors[key_of(text)] = data
    return Lock(embedder, dimension, vectors)


def dump(lock: Lock) -> bytes:
    """The file's bytes: the same for the same vectors, one text a line."""
    document = {
        "version": VERSION,
        "embedder": lock.embedder,
        "dimension": lock.dimension,
        "vectors": {key: b64encode(lock.vectors[key]).decode() for key in sorted(lock.vectors)},
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def parse(data: bytes) -> Lock:
    """The lock that a file's bytes hold.

    Raises:
        LockError: they hold none.
    """
    if len(data) > MAX_SIZE:
        raise _damaged(f"it is larger than {MAX_SIZE >> 20} MiB")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise _damaged("it is not JSON") from None
    if not isinstance(document, dict):
        raise _damaged("it is no JSON object")
    version = document.get("version")
    if isinstance(version, bool) or not isinstance(version, int):
        raise _damaged("it has no `version`")
    if version != VERSION:
        raise LockError(
            f"the lock file has version {version}; this routec reads version {VERSION}",
            f"write it anew with `{_COMMAND}`",
        )
    embedder, dimension = document.get("embedder"), document.get("dimension")
    if not isinstance(embedder, str) or not embedder:
        raise _damaged("it has no `embedder`")
    if isinstance(dimension, bool) or not isinstance(dimension, int):
        raise _damaged("it has no `dimension`")
    if not 1 <= dimension <= MAX_DIMENSION:
        raise _damaged(f"its `dimension` is not between 1 and {MAX_DIMENSION}")
    vectors = document.get("vectors")
    if not isinstance(vectors, dict):
        raise _damaged("it has no `vectors`")
    return Lock(embedder, dimension, {k: _decoded(k, v, dimension) for k, v in vectors.items()})


def read_lock(
    policy_file: str, policy: p.Policy, embedder: str | None = None
) -> Lock | NoLock | None:
    """The lock beside a policy's file; ``None`` for a policy that needs none. Never raises.

    Vectors of other texts are left out. A lock made by another embedder than `embedder` (its
    digest) counts as none; ``None`` takes any.
    """
    texts = wanted(policy)
    if not texts:
        return None
    path = lock_path(policy_file)
    help = f"run `{_COMMAND} {policy_file}`"
    try:
        with path.open("rb") as file:
            lock = parse(file.read(MAX_SIZE + 1))
    except FileNotFoundError:
        return NoLock(f"there is no `{path.name}` with the vectors of the examples", help)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "it is no path of a file").lower()
        return NoLock(f"`{path.name}` cannot be read: {reason}", help)
    except LockError as error:
        return NoLock(f"`{path.name}` cannot be used: {error.message}", help)
    if embedder not in (None, lock.embedder):
        return NoLock(f"`{path.name}` was made by another embedder than the one in use", help)
    keys = {key_of(text) for text in texts}
    return Lock(lock.embedder, lock.dimension, {k: v for k, v in lock.vectors.items() if k in keys})


def _damaged(what: str) -> LockError:
    return LockError(f"the lock file is damaged: {what}", f"write it anew with `{_COMMAND}`")


def _decoded(key: str, text: object, dimension: int) -> bytes:
    try:
        if not isinstance(text, str):
            raise ValueError
        data = b64decode(text, validate=True)
    except ValueError:
        raise _damaged(f"the vector of `{key[:12]}` is not Base64") from None
    wrong = _wrong(data, dimension)
    if wrong:
        raise _damaged(f"the vector of `{key[:12]}` {wrong}")
    return data


def _wrong(data: bytes, dimension: int) -> str | None:
    """What keeps bytes from being a vector of an embedder."""
    if len(data) != 4 * dimension:
        return f"has not {dimension} components"
    length = sqrt(fsum(x * x for x in _components(data)))
    # Written so that NaN is wrong too.
    if not (length == 0 or abs(length - 1) <= _UNIT_TOLERANCE):
        return "has not unit length"
    return None


def _components(data: bytes) -> array[float]:
    values = array("f")
    values.frombytes(data)
    if byteorder == "big":
        values.byteswap()
    return values


def _bytes(values: array[float]) -> bytes:
    if byteorder == "big":
        values.byteswap()
    return values.tobytes()
