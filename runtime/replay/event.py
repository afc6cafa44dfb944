"""What is replayed, and where it comes from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from routec.runtime.records import Dead, Record
from routec.runtime.replay.recorded import Recorded


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
        recorded: what was decided then; ``None`` where that is not known.
        unreadable: why there is no event in the record, known from reading it.
        stored: whether the record's topic, partition and offset are where it is kept; they are
            made up for the lines of a file.
    """

    number: int
    record: Record
    signals: Mapping[str, Any] | None = field(default_factory=dict)
    decision_id: str | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    lookup: Lookup | None = None
    recorded: Recorded | None = None
    unreadable: Dead | None = None
    stored: bool = False


def lookup_of(recorded: Recorded) -> Lookup | None:
    """What a recorded decision says of the cache; ``None`` where it was not asked."""
    decision = recorded.decision
    if decision.category is None or decision.cache.status == "skipped":
        return None
    if decision.cache.status == "miss":
        return Lookup(decision.category, "none")
    return Lookup(decision.category, "exact" if decision.cache.tier == "exact" else "similar")


class Source(Protocol):
    """Where recorded requests come from, such as a file."""

    def __iter__(self) -> Iterator[Event]:
        """The requests, in the order in which they came."""
        ...


class Stream(Protocol):
    """Where recorded requests come from that are waited for, such as a topic."""

    def __aiter__(self) -> AsyncIterator[Event]:
        """The requests, in a settled order."""
        ...
