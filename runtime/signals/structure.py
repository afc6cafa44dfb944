"""Signals read off the request itself: its structure and its time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from routec.compiler.program import Signal
from routec.runtime.events.request import Request

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Values of a weekday signal, Monday first."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def reader(signal: Signal) -> Callable[[Request], bool | int | str] | None:
    """How to read a structural signal; ``None`` for signals of other kinds.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: the signal's time zone is not known.
    """
    match signal.kind:
        case "turns":
            return lambda request: request.turns
        case "has_tools":
            return lambda request: request.has_tools
        case "has_image":
            return lambda request: request.has_image
    told = clock(signal)
    return None if told is None else lambda request: told(request.time_ms)


def clock(signal: Signal) -> Callable[[int], int | str] | None:
    """How to tell a signal from a moment; ``None`` for signals of other kinds.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: the signal's time zone is not known.
    """
    zone = _zone(signal.zone)
    if signal.kind == "hour":
        return lambda time_ms: local(time_ms, zone).hour
    if signal.kind == "weekday":
        return lambda time_ms: WEEKDAYS[local(time_ms, zone).weekday()]
    return None


def local(time_ms: int, zone: ZoneInfo) -> datetime:
    """A moment on the clocks of a time zone."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).astimezone(zone)


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name or "UTC")
