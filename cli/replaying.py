"""Replaying recorded requests: from files to decisions, and what differs between two policies."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import orjson
from msgspec.structs import replace

from routec.cli.corpus import LINE_BYTES, read_events, recorded_value
from routec.cli.errors import CommandError
from routec.cli.flips import outcome
from routec.cli.offline import COSTLY, light_services
from routec.cli.programs import Compiled
from routec.compiler.program import Program, ProgramError, Signal
from routec.runtime.engine import ServiceError, open_services
from routec.runtime.events.decision import Decision
from routec.runtime.events.decode import Limits
from routec.runtime.records import Record
from routec.runtime.replay import Event, Lookup, Read, Redecided, Refused, Replay, Source, dollars
from routec.runtime.signals.services import Services
from routec.runtime.signals.values import Pin

_KEPT = ("decision_id", "time", "signals", "failures", "category", "cache")

BATCH = 256
"""Events that are decided together."""

Answer = Redecided | Refused


class EventFile:
    """The request events of a file, beside the decisions of another one.

    An event's own member ``signals``, and that of the decision with its request id, tell what its
    signals were. Of several decisions about one request id the first belongs to the first event.

    Args:
        events: request events, one a line.
        decisions: decision events, one a line; all of them are held in memory.

    Raises:
        CommandError: `decisions` cannot be read, or a line of it is no decision event.
    """

    def __init__(self, events: str, decisions: str | None = None) -> None:
        self._file = events
        self._decisions: dict[str, deque[dict[str, Any]]] = {}
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
            decision = waiting.popleft() if waiting else {}
            time = _milliseconds(decision.get("time"))
            yield Event(
                number,
                Record("recorded", 0, number, time, None, line),
                _signals(event.get("signals"), decision.get("signals")),
                _text(decision.get("decision_id")),
                _failures(decision.get("failures")),
                _lookup(decision),
            )

    def _remember(self, file: str, number: int, line: bytes) -> None:
        decision = _object(line)
        if decision is not None and "error" in decision:
            return  # an earlier replay did not decide it
        name = None if decision is None else decision.get("request_id")
        if decision is None or not isinstance(name, str):
            raise CommandError(
                f"line {number} of `{file}` is no decision event",
                "name a file of decision events, one a line",
            )
        kept = {key: decision.get(key) for key in _KEPT}
        self._decisions.setdefault(name, deque()).append(kept)


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


def _milliseconds(stamp: object) -> int:
    try:
        return round(datetime.fromisoformat(str(stamp)).timestamp() * 1000) if stamp else 0
    except (ValueError, OverflowError):
        return 0


def replay_of(compiled: Compiled, *, live: bool = False, recorded: Program | None = None) -> Replay:
    """What decides recorded requests by a policy.

    Args:
        compiled: the policy.
        live: whether to open the models that its signals need, for what was not recorded.
        recorded: the program whose signals were recorded, if it is another one: a signal that
            is defined otherwise there has no recorded value.

    Raises:
        CommandError: something that it needs cannot be opened.
    """
    # Failures come back in the decision; the engine's log of them is for operators.
    logging.getLogger("routec").addHandler(logging.NullHandler())
    program = compiled.program
    costly = [signal.name for signal in program.signals if signal.stage in COSTLY]
    try:
        return Replay(
            program,
            live_services(compiled) if live else light_services(),
            reader(program, recorded),
            () if live else costly,
            compiled.hash,
            Limits(bytes=LINE_BYTES),
        )
    except ProgramError as error:
        raise CommandError(error.message) from error


def live_services(compiled: Compiled) -> Services:
    """What a policy's signals need, opened.

    Raises:
        CommandError: something cannot be opened.
    """
    try:
        return open_services(compiled.program, compiled.config, lambda: 0.0)
    except ServiceError as error:
        raise CommandError(error.message, error.help) from error


def reader(program: Program, recorded: Program | None = None) -> Read:
    """What reads recorded values of a program's signals.

    Args:
        program: the program.
        recorded: the program whose signals were recorded, if it is another one.
    """
    signals = recorded_as(program, program if recorded is None else recorded)

    def read(recorded: Mapping[str, Any]) -> Mapping[str, Pin]:
        pins: dict[str, Pin] = {}
        for name, signal in signals.items():
            value = recorded_value(signal, recorded)
            if value is not None:
                pins[name] = value
        return pins

    return read


def recorded_as(program: Program, recorded: Program) -> dict[str, Signal]:
    """The costly signals that may be recorded, by name, as the recorded policy names them."""
    names: dict[str, str] = {}
    for signal in recorded.signals:
        names.setdefault(_definition(signal), signal.name)
    own = {signal.name: _definition(signal) for signal in recorded.signals}
    found: dict[str, Signal] = {}
    for signal in program.signals:
        if signal.stage not in COSTLY:
            continue
        meant = _definition(signal)
        written = signal.name if own.get(signal.name) == meant else names.get(meant)
        if written is not None:
            found[signal.name] = replace(signal, name=written)
    return found


def _definition(signal: Signal) -> str:
    """What a signal measures, whatever it is called and does on failure."""
    return repr(replace(signal, name="", guarded=False, timeout=None, on_error=None))


async def replayed(events: Source, replays: Sequence[Replay]) -> AsyncIterator[tuple[Answer, ...]]:
    """What each policy decides of each event, in the order of the events."""
    waiting = iter(events)
    while batch := list(islice(waiting, BATCH)):
        answers = [await replay.decide(batch) for replay in replays]
        for together in zip(*answers, strict=True):
            yield together


@dataclass(slots=True)
class Compared:
    """How the decisions of two policies differ.

    Attributes:
        both: events that both decided.
        only_old: events that only the old one decides.
        only_new: events that only the new one decides.
        moves: how often the outcome changed, by the old and the new one.
        models: events with the same outcome and another model.
        old_cost: dollars under the old policy, of events whose cost is known under both.
        new_cost: the same under the new one.
        priced: how many these are.
        rejected: events that the old, and the new policy rejects.
        now_rejected: events that only the new one rejects.
        now_passed: events that only the old one rejects.
        unmasked: events of which the new policy masks less than the old one.
        masked: events of which it masks more.
    """

    both: int = 0
    only_old: int = 0
    only_new: int = 0
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    models: int = 0
    old_cost: float = 0.0
    new_cost: float = 0.0
    priced: int = 0
    rejected: tuple[int, int] = (0, 0)
    now_rejected: int = 0
    now_passed: int = 0
    unmasked: int = 0
    masked: int = 0

    @property
    def changed(self) -> int:
        """Events whose outcome changed."""
        return self.moves.total()


class Comparing:
    """Compares what two policies decide of the same events.

    Args:
        old: the program that is replaced.
        new: the one that replaces it.
    """

    def __init__(self, old: Program, new: Program) -> None:
        self.found = Compared()
        self._models = [{m.name: m for m in program.models} for program in (old, new)]

    def add(self, old: Answer, new: Answer) -> None:
        """Take in one event."""
        found = self.found
        if isinstance(old, Refused) or isinstance(new, Refused):
            found.only_old += isinstance(new, Refused) and not isinstance(old, Refused)
            found.only_new += isinstance(old, Refused) and not isinstance(new, Refused)
            return
        before, after = old.decision, new.decision
        found.both += 1
        ends = outcome(before), outcome(after)
        if ends[0] != ends[1]:
            found.moves[ends] += 1
        elif before.model != after.model:
            found.models += 1
        costs = [
            dollars(models, one.request, one.decision)
            for models, one in zip(self._models, (old, new), strict=True)
        ]
        if costs[0] is not None and costs[1] is not None:
            found.priced += 1
            found.old_cost += costs[0]
            found.new_cost += costs[1]
        was, is_ = before.reject is not None, after.reject is not None
        found.rejected = (found.rejected[0] + was, found.rejected[1] + is_)
        found.now_rejected += is_ and not was
        found.now_passed += was and not is_
        if not was and not is_:
            spans = [_masks(decision) for decision in (before, after)]
            found.unmasked += bool(spans[0] - spans[1])
            found.masked += bool(spans[1] - spans[0])


def _masks(decision: Decision) -> set[tuple[int, int]]:
    """Every code point that is masked, by message."""
    return {(s.message, at) for s in decision.redacted for at in range(s.start, s.end)}
