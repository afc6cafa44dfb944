"""One limit of time that several steps share."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the monotonic clock, so that a jump of the wall clock moves nothing.

    Attributes:
        at: that moment, in seconds.
    """

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The moment that many seconds from now."""
        return cls(time.monotonic() + seconds)

    def remaining(self, *, floor: float = 0.0) -> float:
        """Seconds left, and never less than ``floor``.

        A step that must not be starved by those before it, such as a commit, has a floor.
        """
        return max(floor, self.at - time.monotonic())
