"""Between which numbers a value must lie while some of what it reads is unknown.

A sum of rounded products is monotone in each value, and so is rounding: the score at the
least values, worked out in the same order, is a bound that no rounding error crosses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from routec.compiler.program import Node, Program, Signal
from routec.runtime.signals.derived import band, score
from routec.runtime.signals.work import UNKNOWN, AtMost, Work

if TYPE_CHECKING:
    from routec.runtime.engine.conditions import Conditions

Range = tuple[float, float]

_SLACK = 1e-3
"""By how much a cosine of single-precision vectors may pass 1."""

_RANGES: dict[str, Range] = {
    "similarity": (-1.0 - _SLACK, 1.0 + _SLACK),
    "contrast": (-2.0 - _SLACK, 2.0 + _SLACK),
    "classifier": (0.0, 1.0),
    "language": (0.0, 1.0),
    "hour": (0.0, 23.0),
    "tokens": (0.0, math.inf),
    "turns": (0.0, math.inf),
}


class Bounds:
    """Bounds of a program's derived signals, and of numbers of tokens.

    Args:
        program: the program.
        signals: index of each signal by name.
        conditions: its conditions; their readers and nodes are used once they are all made.
    """

    def __init__(
        self, program: Program, signals: Mapping[str, int], conditions: Conditions
    ) -> None:
        self._program = program
        self._signals = signals
        self._conditions = conditions
        self._ranges = tuple(range_of(signal) for signal in program.signals)

    def settles(self, node: Node) -> Callable[[Work], bool | None]:
        """Whether a test of a variable holds whatever the unknown values are.

        Args:
            node: the test of a score, a band or a number of tokens.

        Returns:
            A function of a request: true, false, or ``None`` where that depends on them.
        """
        assert node.variable is not None
        at = self._signals[self._program.variables[node.variable].name]
        if self._program.signals[at].kind == "bands":
            return lambda work: self._in_band(at, str(node.value), work)
        constant = float(node.value or 0)

        def compares(work: Work) -> bool | None:
            low, high = self._of_signal(at, work)
            match node.op:
                case "lt":
                    return True if high < constant else False if low >= constant else None
                case "le":
                    return True if high <= constant else False if low > constant else None
                case "gt":
                    return True if low > constant else False if high <= constant else None
                case "ge":
                    return True if low >= constant else False if high < constant else None
                case _:
                    return None if low <= constant <= high else False

        return compares

    def of(self, variable: int, work: Work) -> Range:
        """Least and greatest value that a numeric variable can still have."""
        value = self._conditions.readers[variable](work)
        if value is not None:
            return (float(value), float(value))
        return self._of_signal(self._signals[self._program.variables[variable].name], work)

    def _of_signal(self, at: int, work: Work) -> Range:
        signal = self._program.signals[at]
        known = work.values[at]
        if signal.kind != "score":
            if isinstance(known, AtMost):
                return (0.0, known.most)
            return self._ranges[at]
        if known is not UNKNOWN:
            return (known, known)
        low, high = [], []
        for part in signal.summands:
            least, most = 0.0, 1.0
            if part.variable is not None:
                least, most = self.of(part.variable, work)
            else:
                assert part.node is not None
                holds = self._conditions.nodes[part.node](work)
                if holds is not None:
                    least = most = float(holds)
            if part.coefficient < 0:
                least, most = most, least
            # Nothing times infinity is nothing here.
            low.append((part.coefficient, least if part.coefficient else 0.0))
            high.append((part.coefficient, most if part.coefficient else 0.0))
        return (score(signal.constant, low), score(signal.constant, high))

    def bands(self, variable: int, work: Work) -> tuple[str, ...] | None:
        """The bands that a variable can still be in; ``None`` if it is none of bands."""
        at = self._signals[self._program.variables[variable].name]
        return self._bands(at, work) if self._program.signals[at].kind == "bands" else None

    def _bands(self, at: int, work: Work) -> tuple[str, ...]:
        signal = self._program.signals[at]
        assert signal.source is not None
        low, high = self.of(signal.source, work)
        names = [each.name for each in signal.bands]
        first, last = names.index(band(signal.bands, low)), names.index(band(signal.bands, high))
        return tuple(names[first : last + 1])

    def _in_band(self, at: int, name: str, work: Work) -> bool | None:
        names = self._bands(at, work)
        if name not in names:
            return False
        return True if len(names) == 1 else None


def range_of(signal: Signal) -> Range:
    """Values that a signal of its own can take, its failure value included."""
    low, high = _RANGES.get(signal.kind, (0.0, 1.0))
    stated = signal.on_error
    if isinstance(stated, int | float):
        low, high = min(low, float(stated)), max(high, float(stated))
    return (low, high)
