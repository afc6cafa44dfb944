"""Named points of a worker at which a test may hurt it.

A worker is given its faults by whoever makes it; no file and no variable of the environment
can switch them on.
"""

from __future__ import annotations

from typing import Literal, Protocol

from aiokafka import TopicPartition

Point = Literal[
    "opening",
    "opened",
    "fetched",
    "decided",
    "before-begin",
    "begun",
    "sent",
    "acknowledged",
    "offsets-sent",
    "committed",
    "revoking",
]
"""Where a worker can be hurt, in the order in which an event meets them.

- ``opening``, ``opened``: before a lane's producer is built; when its committed offset is read.
- ``fetched``: records were taken from the client. ``decided``: a batch has its outcomes.
- ``before-begin`` and ``committed``: around a transaction. In between one is open: ``begun``
  (nothing sent), ``sent`` (outcomes handed to the client), ``acknowledged`` (by the broker),
  ``offsets-sent`` (source offsets are in the transaction, which is about to be committed).
- ``revoking``: partitions are about to be given up.

At least once, ``before-begin`` and ``committed`` are around the writing of a lane's outcomes,
and the points in between are not met.
"""

OPEN_TRANSACTION: frozenset[Point] = frozenset({"begun", "sent", "acknowledged", "offsets-sent"})
"""Points at which the lane's transaction is open on the broker or about to be."""


class Faults(Protocol):
    """Is asked at every point; may wait, raise, or end the process."""

    async def reach(self, point: Point, partition: TopicPartition | None) -> None:
        """The worker is at a point.

        Args:
            point: which.
            partition: the lane's partition; ``None`` where the point concerns several.
        """


class NoFaults:
    """What production has: nothing happens."""

    async def reach(self, point: Point, partition: TopicPartition | None) -> None:
        """Return at once."""
