"""What a decision says of how it was made."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from routec.compiler.program import Program
from routec.runtime.engine.conditions import Conditions
from routec.runtime.engine.redaction import merged
from routec.runtime.engine.run import Run
from routec.runtime.events.decision import Failure, Span
from routec.runtime.signals.compute import Signals
from routec.runtime.signals.work import Work

log = logging.getLogger(__name__)

_REMEMBERED = 4096


class Tracer:
    """Names what was read and what was skipped.

    Args:
        program: the program.
        conditions: its conditions.
    """

    def __init__(self, program: Program, conditions: Conditions) -> None:
        self._program = program
        self._conditions = conditions
        self._names = tuple(signal.name for signal in program.signals)
        self._read: dict[tuple[int, ...], tuple[tuple[str, Callable[[Work], Any]], ...]] = {}

    def trace(self, run: Run, total_us: int) -> dict[str, Any]:
        """The members of a decision that tell how it was made.

        Args:
            run: the request, decided.
            total_us: microseconds since its batch began.
        """
        path = tuple(run.path)
        reading = self._read.get(path)
        if reading is None:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            reading = self._read[path] = self._reading(path)
        work = run.work
        signals = {}
        for name, read in reading:
            value = read(work)
            if value is not None:
                signals[name] = value
        return {
            "redacting": tuple(run.redact),
            "redacted": run.spans,
            "tags": tuple(run.tags),
            "headers": run.headers,
            "signals": signals,
            "skipped": tuple(
                [
                    name
                    for name, value in zip(self._names, work.values, strict=True)
                    if value is None
                ]
            ),
            "failures": tuple(work.failures),
            "path": path,
            "timing_us": {"total": total_us, **work.timing_us},
        }

    def spans(self, signals: Signals, run: Run) -> tuple[tuple[Span, ...], bool]:
        """The spans to mask, and whether they could all be found."""
        found: list[Span] = []
        whole = True
        for name in run.redact:
            at = self._conditions.signals[name]
            if at in run.work.pins:
                # A fixed value says which kinds there are, not where.
                whole = False
                continue
            try:
                found.extend(signals.find_spans(run.work, at))
            except Exception as error:
                log.warning("redaction by %s failed: %s", name, type(error).__name__)
                failure = Failure(name, "error")
                if failure not in run.work.failures:
                    run.work.failures.append(failure)
                whole = False
        return merged(found), whole

    def _reading(self, path: tuple[int, ...]) -> tuple[tuple[str, Callable[[Work], Any]], ...]:
        """The signals behind a path: the name each has in a trace, and how to read it."""
        inside: set[int] = set()
        for node in path:
            inside |= self._conditions.variables_of[node]
        found: dict[str, Callable[[Work], Any]] = {}
        for at in sorted(inside):
            variable = self._program.variables[at]
            if variable.source == "signal":
                member = variable.member
                name = variable.name if member is None else f"{variable.name}.{member}"
                found[name] = self._conditions.readers[at]
        return tuple(found.items())
