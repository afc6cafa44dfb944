"""What travels between the stream and the decision maker.

The collector of cycles need not look at these: they hold bytes, numbers and strings only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

Headers = tuple[tuple[str, bytes], ...]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One consumed record, its bytes untouched.

    Attributes:
        topic: topic it came from.
        partition: partition it came from, from 0.
        offset: its offset there, from 0.
        timestamp_ms: the record's own time, milliseconds since the epoch.
        key: key bytes, or ``None``.
        value: value bytes, or ``None`` for a tombstone.
        headers: header names and bytes, in order.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Decided(msgspec.Struct, frozen=True, gc=False):
    """A decision event, encoded.

    Attributes:
        value: the JSON of the decision event.
        headers: headers of the decision record.
    """

    value: bytes
    headers: Headers


class Dead(msgspec.Struct, frozen=True, gc=False):
    """A record that cannot be decided, and why.

    Attributes:
        code: stable machine-readable reason, such as ``invalid-json``.
        message: one sentence for a person.
    """

    code: str
    message: str


Outcome = Decided | Dead


class Decider(Protocol):
    """Turns request records into outcomes, one each, in order."""

    @property
    def policy_hash(self) -> str:
        """Hash of the policy in force, ``sha256:…``."""
        ...

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """Decide a batch; the result has one outcome a record, in the same order.

        Never raises for what a record holds: that becomes a `Dead`.
        """
        ...

    def learn(self, responses: Sequence[Record]) -> None:
        """Take in records of the responses topic, which fill the cache.

        Bad ones are ignored and counted.
        """
        ...
