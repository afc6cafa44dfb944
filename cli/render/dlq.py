"""Dead letters and what a replay of them came to, for a person and as JSON."""

from __future__ import annotations

import base64
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from routec.cli.render.styled import Line, line
from routec.cli.text import expanded, visible
from routec.runtime.config import Config
from routec.runtime.dlq import Letter, Place, Replayed

_REASON_CHARS = 80
_ROW = 16
_REFUSALS = 20


@dataclass(frozen=True, slots=True)
class Named:
    """What is said of a letter in a list.

    Attributes:
        place: its partition and offset.
        timestamp_ms: when it was written.
        code: its reason.
        message: its reason in words.
        source: where the record came from.
        replayed: whether it was brought back.
    """

    place: str
    timestamp_ms: int
    code: str
    message: str
    source: str
    replayed: bool


@dataclass(slots=True)
class Group:
    """Letters of one topic with one reason.

    Attributes:
        count: how many.
        replayed: how many of them were brought back.
        first_ms: when the first was written.
        last_ms: when the last was written.
    """

    count: int = 0
    replayed: int = 0
    first_ms: int = 0
    last_ms: int = 0


@dataclass(slots=True)
class Counted:
    """Letters counted.

    Attributes:
        most: how many of the newest are named.
        groups: by the topic the records came from, and the reason.
        foreign: records that are no dead letters of routec.
    """

    most: int
    groups: dict[tuple[str, str], Group] = field(default_factory=dict)
    foreign: int = 0
    _newest: dict[int, deque[Named]] = field(default_factory=dict)

    def add(self, letter: Letter, *, replayed: bool) -> None:
        """Count one."""
        at = letter.timestamp_ms
        group = self.groups.setdefault((letter.source.topic, letter.code), Group(0, 0, at, at))
        group.count += 1
        group.replayed += replayed
        group.first_ms, group.last_ms = min(group.first_ms, at), max(group.last_ms, at)
        source = letter.source
        # In each partition the newest come last.
        self._newest.setdefault(letter.partition, deque(maxlen=self.most)).append(
            Named(
                _place((letter.partition, letter.offset)),
                at,
                letter.code,
                letter.message,
                f"{source.topic}/{source.partition}/{source.offset}",
                replayed,
            )
        )

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(group.count for group in self.groups.values())

    def sorted(self) -> list[tuple[tuple[str, str], Group]]:
        """The groups, largest first, equal ones by name."""
        return sorted(self.groups.items(), key=lambda item: (-item[1].count, item[0]))

    def newest(self) -> list[Named]:
        """The newest, newest first."""
        named = [one for part in self._newest.values() for one in part]
        return sorted(named, key=lambda one: -one.timestamp_ms)[: self.most]


def list_document(topic: str, counted: Counted) -> dict[str, Any]:
    """The object of `dlq list --format json`."""
    return {
        "topic": topic,
        "letters": counted.total,
        "foreign": counted.foreign,
        "counts": [
            {
                "topic": source,
                "code": code,
                "count": group.count,
                "replayed": group.replayed,
                "first": _time(group.first_ms),
                "last": _time(group.last_ms),
            }
            for (source, code), group in counted.sorted()
        ],
        "newest": [
            {
                "letter": one.place,
                "time": _time(one.timestamp_ms),
                "code": one.code,
                "message": one.message,
                "source": one.source,
                "replayed": one.replayed,
            }
            for one in counted.newest()
        ],
    }


def list_lines(counted: Counted, config: Config) -> list[Line]:
    """The list for a person."""
    replayed = sum(group.replayed for group in counted.groups.values())
    told = f", {replayed:,} of them brought back" if replayed else ""
    lines: list[Line] = [
        (
            (f"{_several(counted.total, 'letter')}", "strong"),
            (f" in {visible(config.topics.dlq)}{told}", ""),
        )
    ]
    width = max((len(visible(code)) for _, code in counted.groups), default=0)
    for (source, code), group in counted.sorted():
        back = f", {group.replayed:,} brought back" if group.replayed else ""
        lines.append(
            line(
                f"  {group.count:>8,}  {visible(code):<{width}}  {visible(source)}  "
                f"{_time(group.first_ms)} to {_time(group.last_ms)}{back}"
            )
        )
    if counted.foreign:
        lines.append(
            line(f"  {counted.foreign:>8,}  not of routec: no reason with them", "warning")
        )
    if named := counted.newest():
        lines += [line(), line("newest", "strong")]
        for one in named:
            message = visible(" ".join(one.message.split()))
            if len(message) > _REASON_CHARS:
                message = message[: _REASON_CHARS - 1] + "…"
            lines.append(
                (
                    (f"  {one.place}", "note"),
                    (f"  {_time(one.timestamp_ms)}  {visible(one.code)}: {message}", ""),
                    ("  brought back" if one.replayed else "", "good"),
                )
            )
    return lines


def letter_document(letter: Letter, replayed: bool) -> dict[str, Any]:
    """The object of `dlq show --format json`; bytes are base64, with their text beside them."""
    source = letter.source
    return {
        "letter": _place((letter.partition, letter.offset)),
        "written": _time(letter.timestamp_ms),
        "code": letter.code,
        "message": letter.message,
        "time": letter.time,
        "policy_hash": letter.policy_hash,
        "source": {
            "topic": source.topic,
            "partition": source.partition,
            "offset": source.offset,
        },
        "replayed": replayed,
        "key": _bytes(letter.key),
        "value": _bytes(letter.value),
        "headers": [{"name": name, **(_bytes(value) or _NULL)} for name, value in letter.headers],
    }


_NULL = {"base64": None, "text": None}


def _bytes(data: bytes | None) -> dict[str, str | None] | None:
    if data is None:
        return None
    return {"base64": base64.b64encode(data).decode("ascii"), "text": _text(data)}


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def letter_lines(letter: Letter, replayed: bool) -> list[Line]:
    """A letter for a person; what is no text is shown as bytes."""
    source = letter.source
    lines: list[Line] = [
        ((visible(letter.code), "error"), (f": {visible(letter.message)}", "")),
        line(
            f"  letter   {_place((letter.partition, letter.offset))}, {_time(letter.timestamp_ms)}"
        ),
        line(
            f"  from     {visible(source.topic)}, partition {source.partition}, "
            f"offset {source.offset}"
        ),
        line(f"  decided  {visible(letter.time)} by {visible(letter.policy_hash)}"),
    ]
    if replayed:
        lines.append(line("  brought back", "good"))
    lines += [line(), *_block("key", letter.key)]
    for name, value in letter.headers:
        lines += _block(f"header {visible(name)}", value)
    return [*lines, *_block("value", letter.value)]


def _block(name: str, data: bytes | None) -> list[Line]:
    if data is None:
        return [((name, "strong"), ("  null", "secondary"))]
    size = _several(len(data), "byte")
    text = _text(data)
    head: Line = ((name, "strong"), (f"  {size}", "secondary"))
    if text is None or any(_binary(character) for character in text):
        return [head, *(line(f"  {row}") for row in _dump(data))]
    return [head, *(line(f"  {expanded(row)}") for row in text.splitlines())]


def _binary(character: str) -> bool:
    return character < " " and character not in "\t\n\r"


def _dump(data: bytes) -> list[str]:
    """Sixteen bytes a row, in hexadecimal and as ASCII."""
    rows = []
    for at in range(0, len(data), _ROW):
        part = data[at : at + _ROW]
        shown = "".join(chr(one) if 32 <= one < 127 else "." for one in part)
        rows.append(f"{at:08x}  {part.hex(' '):<{_ROW * 3 - 1}}  {shown}")
    return rows


def replay_document(result: Replayed, *, dry_run: bool) -> dict[str, Any]:
    """The object of `dlq replay --format json`."""
    return {
        "dry_run": dry_run,
        "replayed": result.done.total(),
        "counts": [
            {"topic": topic, "code": code, "count": count}
            for (topic, code), count in _largest(result.done)
        ],
        "before": result.before,
        "refused": [
            {
                "letter": _place(one.place),
                "code": one.code,
                "reason": one.reason,
            }
            for one in result.refused
        ],
        "stopped": result.stopped,
    }


def replay_lines(result: Replayed, topic: str, *, dry_run: bool) -> list[Line]:
    """What a replay came to, for a person."""
    would = "would be brought back" if dry_run else "brought back"
    lines: list[Line] = [
        (
            (_several(result.done.total(), "letter"), "strong"),
            (f" of {visible(topic)} {would}", ""),
        )
    ]
    lines += [
        line(f"  {count:>8,}  {visible(code)} -> {visible(where)}")
        for (where, code), count in _largest(result.done)
    ]
    if result.before:
        lines.append(line(f"{result.before:,} brought back before; `--again` repeats them"))
    if result.refused:
        lines.append(line(f"{len(result.refused):,} cannot be brought back", "warning"))
        lines += [
            line(f"  {_place(one.place)}  {visible(one.reason)}", "warning")
            for one in result.refused[:_REFUSALS]
        ]
        if len(result.refused) > _REFUSALS:
            lines.append(line(f"  and {len(result.refused) - _REFUSALS:,} more", "warning"))
    if result.stopped:
        lines.append(line("stopped; run it again for the rest", "warning"))
    return lines


def _place(place: Place) -> str:
    return f"{place[0]}/{place[1]}"


def _largest(counts: Counter[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _time(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # a record's time is what its writer says
        return str(milliseconds)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
