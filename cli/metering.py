"""The engine's news as Prometheus metrics."""

from __future__ import annotations

from routec.runtime.observe import Metrics
from routec.runtime.signals.observer import Observer


class Metered(Observer):
    """Counts what the engine of one policy does.

    Args:
        metrics: the metrics.
        policy: the policy's name.
    """

    __slots__ = ("_metrics", "_policy")

    def __init__(self, metrics: Metrics, policy: str) -> None:
        self._metrics = metrics
        self._policy = policy

    def signal(self, name: str, source: str, requests: int, seconds: float) -> None:
        """Count the requests that got a value, and time the call."""
        self._metrics.signal_calls.labels(name, source).inc(requests)
        self._metrics.signal_seconds.labels(name).observe(seconds)

    def failure(self, name: str, reason: str, requests: int) -> None:
        """Count failure values."""
        self._metrics.signal_failures.labels(name, reason).inc(requests)

    def classified(self, backend: str, texts: int) -> None:
        """Note the size of a classifier's batch."""
        self._metrics.classifier_batch_size.labels(backend).observe(texts)

    def looked_up(self, category: str, status: str) -> None:
        """Count a lookup."""
        self._metrics.cache_lookups.labels(category, status).inc()

    def decided(self, outcome: str, route: str | None) -> None:
        """Count a decision."""
        self._metrics.decisions.labels(self._policy, outcome, route or "").inc()
