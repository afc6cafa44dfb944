"""Replay: requests that were decided before, decided again."""

from routec.runtime.replay.cost import dollars
from routec.runtime.replay.event import Event, Lookup, Source
from routec.runtime.replay.replay import (
    INVALID,
    UNRECORDED,
    Read,
    Redecided,
    Refused,
    Replay,
)

__all__ = [
    "INVALID",
    "UNRECORDED",
    "Event",
    "Lookup",
    "Read",
    "Redecided",
    "Refused",
    "Replay",
    "Source",
    "dollars",
]
