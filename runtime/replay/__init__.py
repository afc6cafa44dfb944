"""Replay: requests that were decided before, decided again."""

from routec.runtime.replay.cost import dollars
from routec.runtime.replay.event import Event, Lookup, Source, Stream, lookup_of
from routec.runtime.replay.recorded import Recorded, Target, milliseconds, read_recorded
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
    "Recorded",
    "Redecided",
    "Refused",
    "Replay",
    "Source",
    "Stream",
    "Target",
    "dollars",
    "lookup_of",
    "milliseconds",
    "read_recorded",
]
