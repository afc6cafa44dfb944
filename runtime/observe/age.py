"""How old the oldest event is that waits for its decision."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from routec.runtime.records import Decider, Outcome, Record


class AgedDecider:
    """A decider that remembers when the oldest event of its batch was written.

    Args:
        decider: decides.
        clock: seconds since the epoch.
    """

    def __init__(self, decider: Decider, clock: Callable[[], float] = time.time) -> None:
        self._decider = decider
        self._clock = clock
        self._oldest_ms: int | None = None

    @property
    def policy_hash(self) -> str:
        """Hash of the policy in force."""
        return self._decider.policy_hash

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """Decide a batch."""
        # A producer may leave the time out, which is then negative.
        self._oldest_ms = min(
            (one.timestamp_ms for one in records if one.timestamp_ms > 0), default=None
        )
        return await self._decider.decide(records)

    def learn(self, responses: Sequence[Record]) -> None:
        """Take in responses."""
        self._decider.learn(responses)

    def age(self) -> float:
        """Seconds since the oldest event of the batch being decided, or decided last, was
        written; 0 before the first, and for times that lie ahead."""
        if self._oldest_ms is None:
            return 0.0
        return max(0.0, self._clock() - self._oldest_ms / 1000)
