"""What a worker tells about itself."""

from __future__ import annotations

from typing import Protocol

from routec.runtime.observe import GROUP, Health, Metrics


class Observer(Protocol):
    """Is told what happens in a worker; must return at once."""

    def batch(self, events: int, seconds: float) -> None:
        """A batch was decided."""

    def committed(self, events: int, seconds: float) -> None:
        """The outcomes of so many events of a partition were committed (at least once:
        acknowledged), which took so long."""

    def dead_letter(self, code: str, count: int) -> None:
        """Dead letters were committed (at least once: acknowledged)."""

    def limit_reached(self, limit: str) -> None:
        """A partition stopped at a limit of dead letters; its key in `[runtime]`."""

    def fenced(self) -> None:
        """Another producer has taken a partition's name."""

    def rebuilt(self, reason: str) -> None:
        """A partition's producer is thrown away and built anew; the reason is ``fenced``,
        ``refused`` or ``error``."""

    def rebalanced(self, seconds: float) -> None:
        """Partitions were given up, which took so long."""

    def in_flight(self, events: int, bytes: int) -> None:
        """So much is between its fetch and its commit."""

    def paused(self, partitions: int) -> None:
        """So many partitions wait until there is room."""

    def lag(self, topic: str, partition: int, events: int) -> None:
        """So many events of a partition are not yet taken."""

    def released(self, topic: str, partition: int) -> None:
        """A partition was given up."""

    def ready(self, holds: bool) -> None:
        """The worker is, or is no longer, in its group with Kafka taking its records."""


class Silent:
    """An observer that tells nobody."""

    def batch(self, events: int, seconds: float) -> None:
        """Ignored."""

    def committed(self, events: int, seconds: float) -> None:
        """Ignored."""

    def dead_letter(self, code: str, count: int) -> None:
        """Ignored."""

    def limit_reached(self, limit: str) -> None:
        """Ignored."""

    def fenced(self) -> None:
        """Ignored."""

    def rebuilt(self, reason: str) -> None:
        """Ignored."""

    def rebalanced(self, seconds: float) -> None:
        """Ignored."""

    def in_flight(self, events: int, bytes: int) -> None:
        """Ignored."""

    def paused(self, partitions: int) -> None:
        """Ignored."""

    def lag(self, topic: str, partition: int, events: int) -> None:
        """Ignored."""

    def released(self, topic: str, partition: int) -> None:
        """Ignored."""

    def ready(self, holds: bool) -> None:
        """Ignored."""


class Observed(Silent):
    """An observer that keeps the worker's metrics and the health condition `GROUP`.

    Args:
        metrics: the metrics.
        health: has the condition `GROUP`.
    """

    def __init__(self, metrics: Metrics, health: Health) -> None:
        self._metrics = metrics
        self._health = health

    def batch(self, events: int, seconds: float) -> None:
        """Count it."""
        self._metrics.batch(events, seconds)

    def committed(self, events: int, seconds: float) -> None:
        """Count the events, and time the commit."""
        self._metrics.committed.inc(events)
        self._metrics.commit_seconds.observe(seconds)

    def fenced(self) -> None:
        """Count it."""
        self._metrics.fenced.inc()

    def rebuilt(self, reason: str) -> None:
        """Count it."""
        self._metrics.rebuilds.labels(reason).inc()

    def rebalanced(self, seconds: float) -> None:
        """Time it."""
        self._metrics.rebalance_seconds.observe(seconds)

    def in_flight(self, events: int, bytes: int) -> None:
        """Show it, until the next news; a deployment shows what holds when it is looked at."""
        self._metrics.in_flight_events.set(events)
        self._metrics.in_flight_bytes.set(bytes)

    def paused(self, partitions: int) -> None:
        """Show it."""
        self._metrics.paused_partitions.set(partitions)

    def dead_letter(self, code: str, count: int) -> None:
        """Count them."""
        self._metrics.dead_letter(code, count)

    def limit_reached(self, limit: str) -> None:
        """Count it."""
        self._metrics.dead_letter_limits.labels(limit).inc()

    def lag(self, topic: str, partition: int, events: int) -> None:
        """Show it."""
        self._metrics.lag(topic, partition, events)

    def released(self, topic: str, partition: int) -> None:
        """Show it no longer."""
        self._metrics.released(topic, partition)

    def ready(self, holds: bool) -> None:
        """Set the health condition."""
        self._health.set(GROUP, holds)
