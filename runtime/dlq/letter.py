"""One dead letter, read back from its record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from routec.runtime.stream.letters import RawHeaders, without_reason


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where the record that could not be decided came from.

    Attributes:
        topic: its topic.
        partition: its partition, from 0.
        offset: its offset, from 0.
    """

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that could not be decided, and why.

    Attributes:
        partition: of the dead-letter topic, from 0.
        offset: there, from 0.
        timestamp_ms: when it was written, milliseconds since the epoch.
        code: why, such as ``invalid-json``.
        message: why, in words; they may quote the event.
        source: where it came from.
        time: when it could not be decided, as text.
        policy_hash: the policy in force then.
        key: the original key.
        value: the original value.
        headers: the original headers.
    """

    partition: int
    offset: int
    timestamp_ms: int
    code: str
    message: str
    source: Source
    time: str
    policy_hash: str
    key: bytes | None
    value: bytes | None
    headers: RawHeaders

    @property
    def size(self) -> int:
        """Bytes of the original record, without what Kafka adds."""
        named = sum(len(name.encode()) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + named

    def digest(self) -> str:
        """A hash of the original record: key, value and headers, their lengths and order."""
        found = hashlib.blake2b(digest_size=16)
        for part in self._parts():
            found.update(b"-" if part is None else b"%d:" % len(part))
            found.update(part or b"")
        return found.hexdigest()

    def _parts(self) -> Iterable[bytes | None]:
        yield self.key
        yield self.value
        for name, value in self.headers:
            yield name.encode()
            yield value


def read_letter(record: Any) -> Letter | None:
    """Read a dead letter.

    Args:
        record: a record of the dead-letter topic (`aiokafka.ConsumerRecord`).

    Returns:
        ``None`` where it is not one that a worker wrote.
    """
    headers = without_reason(record.headers)
    if headers is None:
        return None
    why = {
        name: (value or b"").decode("utf-8", "replace")
        for name, value in record.headers[len(headers) :]
    }
    partition, offset = why["routec.error.partition"], why["routec.error.offset"]
    if not (_is_number(partition) and _is_number(offset) and why["routec.error.topic"]):
        return None
    return Letter(
        record.partition,
        record.offset,
        record.timestamp,
        why["routec.error.code"],
        why["routec.error.message"],
        Source(why["routec.error.topic"], int(partition), int(offset)),
        why["routec.error.time"],
        why["routec.policy.hash"],
        record.key,
        record.value,
        headers,
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
