"""A wall clock that can be set, for a process: whatever asks for the date gets the one it is set to.

To be put in before the code under test is imported: what keeps a reference to a clock, such as the
default of a parameter, then has this one. Monotonic clocks are left alone, as they are where
somebody sets a machine's clock.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

_real_time, _real_time_ns, _real_datetime = time.time, time.time_ns, datetime.datetime


class _Off:
    by: Callable[[], float] = staticmethod(lambda: 0.0)


class _Datetime(_real_datetime):
    """What it makes are plain ones."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return _real_datetime.fromtimestamp(_time(), tz)

    @classmethod
    def utcnow(cls) -> datetime.datetime:  # type: ignore[override]
        return _real_datetime.fromtimestamp(_time(), datetime.UTC).replace(tzinfo=None)


def _time() -> float:
    return _real_time() + _Off.by()


def _time_ns() -> int:
    return _real_time_ns() + int(_Off.by() * 1e9)


def put_in() -> None:
    """Have `time.time`, `time.time_ns` and `datetime.datetime.now` be of the clock that can be set,
    for this process and those it forks."""
    time.time, time.time_ns = _time, _time_ns
    datetime.datetime = _Datetime  # type: ignore[misc]


def set_by(seconds: Callable[[], float]) -> None:
    """Have it be off by so many seconds, asked for each time."""
    _Off.by = staticmethod(seconds)
