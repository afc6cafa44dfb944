"""Recorded requests: what is known of each, to ask whether a condition holds of it.

A file of request events, one JSON object a line. Signals that are cheap (scan and light) are
computed; of costlier ones the event's own member ``signals`` tells, in the form in which
decisions record them: ``{"topic": "legal", "topic.legal": 0.81, "refund": 0.3}``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from routec.cli.errors import CommandError, unreadable
from routec.cli.offline import COSTLY, light_services
from routec.cli.reading import STDIN, STDIN_NAME
from routec.compiler import policy as p
from routec.compiler.dependencies import inputs
from routec.compiler.interpreter import Request as Decided
from routec.compiler.interpreter import all_values
from routec.compiler.lower import Unavailable, lower
from routec.compiler.program import Program
from routec.compiler.program import Signal as Lowered
from routec.compiler.types import Scores, Value
from routec.runtime.events.decode import Decoder, Limits
from routec.runtime.records import Dead, Record
from routec.runtime.signals.compute import Signals
from routec.runtime.signals.values import pinned
from routec.runtime.signals.vectors import Vectors
from routec.runtime.signals.work import UNKNOWN, Work
from routec.safety.text import NORMALISER_VERSION

LINE_BYTES = 16 << 20
"""Most bytes of an event."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a recorded request.

    Attributes:
        values: values of fields and signals by name; signals that are not known are missing.
        tokens: its size.
    """

    values: Mapping[str, Value]
    tokens: int


class Corpus:
    """Reads recorded requests for one policy.

    Args:
        policy: a policy without errors.

    Raises:
        CommandError: the policy uses what cannot be computed here.
    """

    def __init__(self, policy: p.Policy) -> None:
        self._policy = policy
        try:
            self._program: Program = lower(policy, normaliser=NORMALISER_VERSION)
            self._signals = Signals(self._program, light_services())
        except (Unavailable, ValueError) as error:
            raise CommandError(f"recorded requests cannot be decided: {error}") from error
        self._decoder = Decoder(self._program.fields, Limits(bytes=LINE_BYTES))
        self._costly = {s.name: s for s in self._program.signals if s.stage in COSTLY}
        self._derived = [
            (signal.name, _alone(policy, signal))
            for signal in policy.signals.values()
            if signal.stage is p.Stage.DERIVED
        ]

    async def known(self, event: bytes, number: int) -> Known | str:
        """What is known of the event on line `number`, or why it cannot be used."""
        request = self._decoder.decode(Record("corpus", 0, number, 0, None, event))
        if isinstance(request, Dead):
            return request.message
        values = recorded_values(event, self._costly)
        if isinstance(values, str):
            return values
        work = Work(request, [UNKNOWN] * len(self._program.signals))
        for at, signal in enumerate(self._program.signals):
            if signal.stage in ("scan", "light"):
                await self._compute(work, at)
                values[signal.name] = _value(work.values[at])
        tokens = self._signals.count_tokens(work)
        return Known(self.derive({**request.attributes, **values}), tokens)

    async def _compute(self, work: Work, at: int) -> None:
        if work.values[at] is UNKNOWN:
            await self._signals.compute([(work, at)], Vectors(None))

    def derive(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """The values, with those of the derived signals that follow from them."""
        values = dict(given)
        for name, alone in self._derived:
            if all(other in values for other in (*alone.fields, *alone.signals) if other != name):
                known = {other: values[other] for other in alone.signals if other != name}
                fields = {n: v for n, v in values.items() if not isinstance(v, Scores)}
                values[name] = all_values(alone, Decided("corpus", fields), known)[name]
        return values


def _alone(policy: p.Policy, signal: p.Signal) -> p.Policy:
    """The policy with nothing but what a derived signal reads, and that signal."""
    read = {variable.name: variable for variable in inputs(signal)}
    return replace(
        policy,
        fields={n: policy.fields[n] for n, v in read.items() if v.source == "field"},
        signals={n: s for n, s in policy.signals.items() if n == signal.name or n in read},
    )


def recorded_values(event: bytes, signals: Mapping[str, Lowered]) -> dict[str, Value] | str:
    """Values that an event has recorded of these signals, or why they cannot be used.

    Args:
        event: JSON that a request was decoded from.
        signals: the signals as they are named in the event, by the name their values go by.
    """
    recorded = json.loads(event).get("signals")
    if recorded is None:
        return {}
    if not isinstance(recorded, dict):
        return "`signals` must be an object"
    values: dict[str, Value] = {}
    for name, signal in signals.items():
        try:
            value = recorded_value(signal, recorded)
        except (ValueError, TypeError, OverflowError) as error:
            return f"`signals`: {error}"
        if value is not None:
            values[name] = value
    return values


def recorded_value(signal: Lowered, recorded: Mapping[str, Any]) -> Value | None:
    """A signal's value among those recorded; ``None`` where there is none.

    Raises:
        ValueError: it is no value of the signal's.
    """
    value = recorded.get(signal.name)
    scores: dict[str, float] = {}
    for label in signal.labels:
        for written in (f"{signal.name}.{label}", f'{signal.name}["{label}"]'):
            if written in recorded:
                score = recorded[written]
                if isinstance(score, bool) or not isinstance(score, int | float):
                    raise ValueError(f"`{written}` is no score from 0 to 1")
                scores[label] = float(score)
    if scores:
        found = _value(pinned(signal, scores))
        if isinstance(value, str) and isinstance(found, Scores) and value in signal.labels:
            return Scores(value, found.scores)
        return found
    return None if value is None else _value(pinned(signal, value))


def _value(value: Any) -> Value:
    """A value of the engine as the interpreter has it."""
    label, scores = getattr(value, "label", None), getattr(value, "scores", None)
    if label is not None and scores is not None:
        return Scores(label, dict(scores))
    plain: Value = value
    return plain


def read_events(file: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a corpus that are not blank, with their numbers from 1.

    Args:
        file: its path, or ``-`` for standard input, which can be read once only.

    Raises:
        CommandError: it cannot be read, or a line is longer than `LINE_BYTES`.
    """
    name = named(file)
    try:
        with nullcontext(sys.stdin.buffer) if file == STDIN else open(file, "rb") as handle:
            number = 0
            while data := handle.readline(LINE_BYTES + 1):
                number += 1
                if len(data) > LINE_BYTES:
                    raise CommandError(
                        f"line {number} of `{name}` has more than {LINE_BYTES >> 20} MiB",
                        "write one request event a line",
                    )
                if data.strip():
                    yield number, data
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error


def named(file: str) -> str:
    """What messages call a corpus."""
    return STDIN_NAME if file == STDIN else file
