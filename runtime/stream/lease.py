"""How long partitions are ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Lease:
    """One assignment by the group: begins when it gives partitions, ends when it takes them back.

    Args:
        number: counts the assignments of this worker, from 1.
        policy_hash: tells the hash of the policy in force.

    Attributes:
        number: as given.
        policy_hash: as given.
    """

    __slots__ = ("_ended", "number", "policy_hash")

    def __init__(self, number: int, policy_hash: Callable[[], str]) -> None:
        self.number = number
        self.policy_hash = policy_hash
        self._ended = asyncio.Event()

    @property
    def active(self) -> bool:
        """Whether the partitions are still ours, as far as we have heard."""
        return not self._ended.is_set()

    def end(self) -> None:
        """The group takes them back: nothing new may be begun."""
        self._ended.set()

    async def ends_within(self, seconds: float) -> bool:
        """Wait that long, or until it ends; whether it has ended."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True
