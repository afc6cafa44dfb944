"""How busy the embedder and the classifiers are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import exp
from time import monotonic

WINDOW = 10.0
"""Seconds that the load looks back: work so long ago counts 1/e of what it counts now."""


class Load:
    """The share of the time just past in which embedder or classifiers were at work.

    An exponentially weighted average of 1 (some call is under way) and 0 (none is). The number
    of calls waiting would say little: the engine serves one batch after another, so whenever it
    asks, its own calls are done.

    Args:
        clock: seconds; one that stands still keeps the load at 0, for decisions that must
            not depend on when they are made.
    """

    __slots__ = ("_calls", "_clock", "_share", "_since")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._share = 0.0
        self._calls = 0

    def __call__(self) -> float:
        """The load, 0 to 1."""
        now = self._clock()
        kept = exp(-max(0.0, now - self._since) / WINDOW)
        self._share = self._share * kept + (1.0 - kept if self._calls else 0.0)
        self._since = now
        return self._share

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count what is done meanwhile as work; may overlap, within one thread."""
        self()
        self._calls += 1
        try:
            yield
        finally:
            self()
            self._calls -= 1
