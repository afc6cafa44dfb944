"""What is replayed, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from routec.runtime.records import Record


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a recorded decision says of the cache: the category, and which tier answered."""

    category: str
    answer: Literal["exact", "similar", "none"]


@dataclass(frozen=True, slots=True)
class Event:
    """One recorded request.

    Attributes:
        number: its place in the input, from 1.
        record: the request event; its time is that of the recorded decision where the event
            states none.
        signals: values that were recorded of its signals, named as decisions name them:
            ``{"topic": "legal", "topic.legal": 0.81, "refund": 0.3}``; ``None`` where what was
            recorded is no such object.
        decision_id: id of its recorded decision; ``None`` where there is none.
        failures: why a recorded value is that of a failure, by signal.
        lookup: whether the cache was asked then; ``None`` where it was not, or is not known.
    """

    number: int
    record: Record
    signals: Mapping[str, Any] | None = field(default_factory=dict)
    decision_id: str | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    lookup: Lookup | None = None


class Source(Protocol):
    """Where recorded requests come from: a file, or the topics of a cluster."""

    def __iter__(self) -> Iterator[Event]:
        """The requests, in the order in which they came."""
        ...
