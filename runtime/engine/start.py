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

    Attributes:
        every: indices of the signals that are computed.
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
        floats = [place for place, type_ in enumerate(types) if type_ is None]
        # Twice the same place makes a tuple of one.
        self._floats = itemgetter(*floats, floats[0]) if floats else None
        self.every = frozenset(self._computed)
        # Where derived signals come last, nothing has to be put in its place.
        leading = self._computed == tuple(range(len(self._computed)))
        self._tail = self._blank[len(self._computed) :] if leading else None

    def run(self, request: Request, pins: Pins | None, values: list[Any] | None = None) -> Run:
        """The run of a request.

        Args:
            request: the request.
            pins: values of signals that are fixed.
            values: what `everything` made of them, if it did.

        Raises:
            ValueError: a pin names no signal, or is not a value of its signal's.
        """
        if not pins:
            return Run(request, self._blank.copy())
        if values is not None:
            return Run(request, values, self.every)
        values = self._blank.copy()
        places = []
        for name, pin in pins.items():
            at = self._places.get(name)
            if at is None:
                raise ValueError(f"there is no signal `{name}` to pin")
            places.append(at)
            values[at] = pinned(self._signals[at], pin)
        return Run(request, values, frozenset(places))

    def everything(self, pins: Pins) -> list[Any] | None:
        """The values of a request whose every signal is plainly fixed; ``None`` of any other."""
        if self._all is None or len(pins) != len(self._computed):
            return None
        try:
            fixed = self._all(pins)
        except KeyError:
            return None
        if [*map(type, fixed)] != self._types:
            return None
        # A sum of numbers is finite only if each of them is.
        if self._floats is not None and not math.isfinite(sum(self._floats(fixed))):
            return None
        if self._tail is not None:
            return [*fixed, *self._tail]
        values = self._blank.copy()
        for at, value in zip(self._computed, fixed, strict=True):
            values[at] = value
        return values
