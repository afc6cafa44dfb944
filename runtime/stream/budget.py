"""How much may be in flight, and how partitions share it."""

from __future__ import annotations

from collections.abc import Callable

from aiokafka import TopicPartition


class Budget:
    """Counts events and bytes from their fetch to their commit, over all partitions.

    What a partition may hold follows the room that is left: it may take more while it holds less
    than is free, in events and in bytes (dynamic thresholds; Choudhury and Hahne, *Dynamic Queue
    Length Thresholds for Shared-Memory Packet Switches*, 1998). One busy partition so gets half
    of the budget, n of them an (n+1)th each, and one that holds nothing always finds room.

    Args:
        events: most events in flight, from 1.
        bytes: bytes in flight above which nothing more is taken, from 1. What one fetch brings
            may exceed it, so that an event larger than the budget still passes.
        freed: called when there is room again where there was none.
    """

    __slots__ = ("_freed", "_held", "_most_bytes", "_most_events", "_short", "bytes", "events")

    def __init__(self, events: int, bytes: int, freed: Callable[[], None]) -> None:
        self._most_events = events
        self._most_bytes = bytes
        self._freed = freed
        self._held: dict[TopicPartition, tuple[int, int]] = {}
        self._short = False
        self.events = 0
        self.bytes = 0

    @property
    def room(self) -> int:
        """Events that may still be taken."""
        return max(0, self._most_events - self.events)

    def allows(self, partition: TopicPartition) -> bool:
        """Whether a partition may take more."""
        events, bytes = self._held.get(partition, (0, 0))
        allowed = events < self.room and bytes < self._most_bytes - self.bytes
        if not allowed:
            self._short = True
        return allowed

    def take(self, partition: TopicPartition, events: int, bytes: int) -> None:
        """Count what was taken."""
        held = self._held.get(partition, (0, 0))
        self._held[partition] = (held[0] + events, held[1] + bytes)
        self.events += events
        self.bytes += bytes

    def release(self, partition: TopicPartition, events: int, bytes: int) -> None:
        """Count what was committed or dropped; it must have been taken before."""
        held = self._held.get(partition, (0, 0))
        left = (held[0] - events, held[1] - bytes)
        if min(left) < 0:
            raise ValueError(f"{partition} gives back more than it holds")
        if left == (0, 0):
            self._held.pop(partition, None)
        else:
            self._held[partition] = left
        self.events -= events
        self.bytes -= bytes
        if self._short:
            self._short = False
            self._freed()
