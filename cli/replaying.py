"""Replaying recorded requests by policies."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from msgspec.structs import replace

from routec.cli.corpus import LINE_BYTES, recorded_value
from routec.cli.errors import CommandError
from routec.cli.offline import COSTLY, light_services
from routec.cli.programs import Compiled
from routec.compiler.program import Program, ProgramError, Signal
from routec.runtime.engine import ServiceError, open_services
from routec.runtime.events.decode import Limits
from routec.runtime.replay import Event, Read, Redecided, Refused, Replay, Source, Stream
from routec.runtime.signals.services import Services
from routec.runtime.signals.values import Pin

BATCH = 256
"""Most events that are decided together."""
BATCH_BYTES = 8 << 20
"""Bytes of events above which no more are decided together."""

Answer = Redecided | Refused


def replay_of(
    compiled: Compiled,
    *,
    live: bool = False,
    recorded: Program | None = None,
    limits: Limits | None = None,
) -> Replay:
    """What decides recorded requests by a policy.

    Args:
        compiled: the policy.
        live: whether to open the models that its signals need, for what was not recorded.
        recorded: the program whose signals were recorded, if it is another one: a signal that
            is defined otherwise there has no recorded value.
        limits: how much of an event is read; that of a line of a file unless given.

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
            limits or Limits(bytes=LINE_BYTES),
            reader(program),
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


async def replayed(
    events: Source | Stream, replays: Sequence[Replay]
) -> AsyncGenerator[tuple[Answer, ...], None]:
    """What each policy decides of each event, in the order of the events."""
    async with aclosing(_batches(events)) as batches:
        async for batch in batches:
            answers = [await replay.decide(batch) for replay in replays]
            for together in zip(*answers, strict=True):
                yield together


async def _batches(events: Source | Stream) -> AsyncGenerator[list[Event], None]:
    batch: list[Event] = []
    size = 0
    async with aclosing(_each(events)) as each:
        async for event in each:
            batch.append(event)
            size += len(event.record.value or b"")
            if len(batch) >= BATCH or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


async def _each(events: Source | Stream) -> AsyncGenerator[Event, None]:
    if isinstance(events, Iterable):
        for event in events:
            yield event
        return
    async for event in events:
        yield event
