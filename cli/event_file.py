"""Recorded requests in files, beside the decisions that were made of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from routec.cli.corpus import named, read_events
from routec.cli.errors import CommandError
from routec.runtime.records import Record
from routec.runtime.replay import Event, Lookup, milliseconds, read_recorded


class EventFile:
    """The request events of a file, beside the decisions of another one.

    An event's own member ``signals``, and that of the decision with its request id, tell what its
    signals were. Of several decisions about one request id the first belongs to the first event.

    Args:
        events: request events, one a line; ``-`` is standard input, which is read once.
        decisions: decision events, one a line; all of them are held in memory.

    Raises:
        CommandError: `decisions` cannot be read, or a line of it is no decision event.
    """

    def __init__(self, events: str, decisions: str | None = None) -> None:
        self._file = events
        self._decisions: dict[str, deque[bytes]] = {}
        if decisions is not None:
            for number, line in read_events(decisions):
                self._remember(decisions, number, line)

    def __iter__(self) -> Iterator[Event]:
        """The events in the order of the file.

        Raises:
            CommandError: it cannot be read.
        """
        for number, line in read_events(self._file):
            event = _object(line) or {}
            name = event.get("request_id")
            waiting = self._decisions.get(name) if isinstance(name, str) else None
            written = waiting.popleft() if waiting else b"{}"
            decision = _object(written) or {}
            time = milliseconds(decision.get("time"))
            yield Event(
                number,
                Record("recorded", 0, number, time, None, line),
                _signals(event.get("signals"), decision.get("signals")),
                _text(decision.get("decision_id")),
                _failures(decision.get("failures")),
                _lookup(decision),
                read_recorded(written),
            )

    def _remember(self, file: str, number: int, line: bytes) -> None:
        decision = _object(line)
        if decision is not None and "error" in decision:
            return  # an earlier replay did not decide it
        name = None if decision is None else decision.get("request_id")
        if decision is None or not isinstance(name, str):
            raise CommandError(
                f"line {number} of `{named(file)}` is no decision event",
                "name a file of decision events, one a line",
            )
        self._decisions.setdefault(name, deque()).append(line.strip())


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _signals(*recorded: object) -> Mapping[str, Any] | None:
    """All of them, the later first; ``None`` where one is no object."""
    found: dict[str, Any] = {}
    for one in recorded:
        if one is not None and not isinstance(one, dict):
            return None
        found |= one or {}
    return found


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _failures(recorded: object) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for one in recorded if isinstance(recorded, list) else ():
        name, reason = (one.get("signal"), one.get("reason")) if isinstance(one, dict) else (0, 0)
        if isinstance(name, str) and isinstance(reason, str):
            found[name] = reason
    return found


def _lookup(decision: Mapping[str, Any]) -> Lookup | None:
    category, cache = decision.get("category"), decision.get("cache")
    if not isinstance(category, str) or not isinstance(cache, dict):
        return None
    match cache.get("status"), cache.get("tier"):
        case "hit", "exact":
            return Lookup(category, "exact")
        case "hit", _:
            return Lookup(category, "similar")
        case "miss", _:
            return Lookup(category, "none")
    return None
