"""Where a replay of a topic begins and ends, as an operator writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

_MOST = 2**63 - 1
_AGO = re.compile(r"([0-9]{1,9})(s|m|h|d)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_OFFSET = re.compile(r"[0-9]{1,19}\Z")
_PLACE = re.compile(r"([0-9]{1,9})/([0-9]{1,19})\Z")

FORMS = "`earliest`, `latest`, `2026-11-22T09:00:00Z`, `2h` ago, an offset, or `0/1200,1/990`"
"""What may be written."""


@dataclass(frozen=True, slots=True)
class Whence:
    """A place in every partition of a topic.

    Attributes:
        kind: ``earliest`` (the oldest record that is kept), ``latest`` (the end as of now),
            ``time`` (the first record of that time or later), ``offset`` (the same in every
            partition), or ``offsets`` (one for each partition).
        time_ms: milliseconds since the epoch.
        offset: the offset.
        offsets: offset by partition.
    """

    kind: Literal["earliest", "latest", "time", "offset", "offsets"]
    time_ms: int = 0
    offset: int = 0
    offsets: Mapping[int, int] = field(default_factory=dict)


EARLIEST = Whence("earliest")
LATEST = Whence("latest")


def parse_whence(text: str, now: float) -> Whence:
    """Read a place.

    Args:
        text: one of `FORMS`; a time without a zone is UTC.
        now: the present, seconds since the epoch.

    Raises:
        ValueError: it is none.
    """
    if text in ("earliest", "latest"):
        return EARLIEST if text == "earliest" else LATEST
    if _OFFSET.match(text) and int(text) <= _MOST:
        return Whence("offset", offset=int(text))
    if ago := _AGO.match(text):
        return Whence("time", round((now - int(ago[1]) * _SECONDS[ago[2]]) * 1000))
    if "/" in text:
        return _places(text)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return Whence("time", round(moment.timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"`{text}` is no place in a topic") from error


def ends_before(begin: Whence, end: Whence, now: float) -> bool:
    """Whether a range ends before it begins, as far as that can be told without the topic.

    A place in time and an offset can be compared only where the topic is.

    Args:
        begin: where it begins.
        end: where it ends.
        now: the present, seconds since the epoch: ``latest``.
    """
    if begin.kind in ("time", "latest"):
        if end.kind == "earliest":
            return True
        if end.kind in ("time", "latest"):
            return _time(begin, now) > _time(end, now)
    if begin.kind == end.kind == "offset":
        return begin.offset > end.offset
    if {begin.kind, end.kind} <= {"offset", "offsets"}:
        named = [set(one.offsets) for one in (begin, end) if one.kind == "offsets"]
        numbers = set.intersection(*named)
        return any(_offset(begin, n) > _offset(end, n) for n in numbers)
    return False


def _time(whence: Whence, now: float) -> int:
    return whence.time_ms if whence.kind == "time" else round(now * 1000)


def _offset(whence: Whence, partition: int) -> int:
    return whence.offset if whence.kind == "offset" else whence.offsets[partition]


def _places(text: str) -> Whence:
    offsets: dict[int, int] = {}
    for part in text.split(","):
        match = _PLACE.match(part.strip())
        if match is None or int(match[2]) > _MOST:
            raise ValueError(f"`{part}` is no PARTITION/OFFSET")
        if int(match[1]) in offsets:
            raise ValueError(f"`{text}` names partition {int(match[1])} twice")
        offsets[int(match[1])] = int(match[2])
    return Whence("offsets", offsets=offsets)
