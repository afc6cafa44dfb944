"""Replaying recorded requests by policies, and what differs between two of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from msgspec.structs import replace

from routec.cli.corpus import LINE_BYTES, recorded_value
from routec.cli.errors import CommandError
from routec.cli.flips import outcome
from routec.cli.offline import COSTLY, light_services
from routec.cli.programs import Compiled
from routec.compiler.program import Program, ProgramError, Signal
from routec.runtime.engine import ServiceError, open_services
from routec.runtime.events.decision import Decision
from routec.runtime.events.decode import Limits
from routec.runtime.replay import Read, Redecided, Refused, Replay, Source, dollars
from routec.runtime.signals.services import Services
from routec.runtime.signals.values import Pin

BATCH = 256
"""Events that are decided together."""

Answer = Redecided | Refused


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
