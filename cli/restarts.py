"""When a worker that ended is started again, and when no more."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often a worker is started again.

    Attributes:
        first: seconds before the first restart; each next one within `window` waits twice as long.
        most: seconds that it waits at most.
        budget: restarts of one worker within `window`; with one more it is given up.
        window: seconds after which a restart is forgotten.
    """

    first: float = 0.5
    most: float = 10.0
    budget: int = 8
    window: float = 300.0


DEFAULT = Backoff()


@dataclass(slots=True)
class Restarts:
    """The restarts of one worker.

    Attributes:
        backoff: how often.
    """

    backoff: Backoff
    _times: deque[float] = field(default_factory=deque)

    def next(self, now: float) -> float | None:
        """Note that the worker ended.

        Args:
            now: seconds of a clock that never goes back.

        Returns:
            Seconds until it is to be started again; ``None`` where the budget is spent.
        """
        backoff, times = self.backoff, self._times
        while times and times[0] <= now - backoff.window:
            times.popleft()
        if len(times) >= backoff.budget:
            return None
        # A power of two that is capped before it can overflow.
        delay = min(backoff.most, backoff.first * 2.0 ** min(len(times), 60))
        times.append(now)
        return delay
