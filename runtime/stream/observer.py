"""What a worker tells about itself."""

from __future__ import annotations

from typing import Protocol

from routec.runtime.observe import GROUP, Health, Metrics


class Observer(Protocol):
    """Is told what happens in a worker; must return at once."""

    def batch(self, events: int, seconds: float) -> None:
        """A batch was decided."""

    def dead_letter(self, code: str, count: int) -> None:
        """Dead letters were written and acknowledged."""

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

    def dead_letter(self, code: str, count: int) -> None:
        """Ignored."""

    def lag(self, topic: str, partition: int, events: int) -> None:
        """Ignored."""

    def released(self, topic: str, partition: int) -> None:
        """Ignored."""

    def ready(self, holds: bool) -> None:
        """Ignored."""


class Observed:
    """An observer that keeps metrics and the health condition `GROUP`.

    Args:
        metrics: the metrics.
        health: has the condition `GROUP`.
    """

    def __init__(self, metrics: Metrics, health: Health) -> None:
        self._health = health
        self.batch = metrics.batch
        self.dead_letter = metrics.dead_letter
        self.lag = metrics.lag
        self.released = metrics.released

    def ready(self, holds: bool) -> None:
        """Set the health condition."""
        self._health.set(GROUP, holds)
