"""Where a request begins: nothing known but its fields and what the caller fixed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from routec.compiler.program import Program
from routec.runtime.engine.run import Run
from routec.runtime.events.request import Request
from routec.runtime.signals.values import Pin, exact_type, pinned
from routec.runtime.signals.work import UNKNOWN

Pins = Mapping[str, Pin]


class Start:
    """Makes the runs of a program's requests.

    Args:
        program: the program.
        signals: index of each signal by name.
        places: how many values a request has room for.
    """

    def __init__(self, program: Program, signals: Mapping[str, int], places: int) -> None:
        self._signals = program.signals
        self._places = signals
        self._blank: list[Any] = [UNKNOWN] * places
        self._computed = tuple(
            at for at, signal in enumerate(program.signals) if signal.stage != "derived"
        )
        names = [program.signals[at].name for at in self._computed]
        # All pins at once: `itemgetter` of one name would give no tuple.
        self._all: Callable[[Pins], tuple[Any, ...]] | None = (
            itemgetter(*names) if len(names) > 1 else None
        )
        types = [exact_type(program.signals[at]) for at in self._computed]
        self._types = [float if type_ is None else type_ for type_ in types]
        self._floats = tuple(place for place, type_ in enumerate(types) if type_ is None)
        self._every = frozenset(self._computed)
        self._leading = self._computed == tuple(range(len(self._computed)))

    def run(self, request: Request, pins: Pins | None) -> Run:
        """The run of a request.

        Args:
            request: the request.
            pins: values of signals that are fixed.

        Raises:
            ValueError: a pin names no signal, or is not a value of its signal's.
        """
        if not pins:
            return Run(request, self._blank.copy(), 0)
        if self._all is not None and len(pins) == len(self._computed):
            run = self._of_all(request, pins, self._all)
            if run is not None:
                return run
        values = self._blank.copy()
        places = []
        for name, pin in pins.items():
            at = self._places.get(name)
            if at is None:
                raise ValueError(f"there is no signal `{name}` to pin")
            places.append(at)
            values[at] = pinned(self._signals[at], pin)
        run = Run(request, values, 0)
        run.pins = frozenset(places)
        run.known = len(run.pins & self._every)
        return run

    def _of_all(
        self, request: Request, pins: Pins, get: Callable[[Pins], tuple[Any, ...]]
    ) -> Run | None:
        """The run of a request whose every signal is plainly fixed; ``None`` if it needs a look."""
        try:
            fixed = get(pins)
        except KeyError:
            return None
        if list(map(type, fixed)) != self._types:
            return None
        if not all(math.isfinite(fixed[at]) for at in self._floats):
            return None
        if self._leading:
            values = [*fixed, *self._blank[len(fixed) :]]
        else:
            values = self._blank.copy()
            for at, value in zip(self._computed, fixed, strict=True):
                values[at] = value
        run = Run(request, values, len(fixed))
        run.pins = self._every
        return run
