"""The engine's news as metrics."""

from __future__ import annotations

from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from routec.runtime.observe.metrics import Metrics
from routec.runtime.signals.observer import Observer


class EngineMetrics(Observer):
    """Keeps the metrics of one policy's engine, cache and classifiers.

    Args:
        metrics: the metrics.
        policy: the policy's name.
    """

    __slots__ = ("_children", "_metrics", "_policy")

    def __init__(self, metrics: Metrics, policy: str) -> None:
        self._metrics = metrics
        self._policy = policy
        # Looking a child up by its labels costs more than counting in it. Labels come from the
        # policy, so this stays small.
        self._children: dict[tuple[object, ...], Any] = {}

    def _of(self, metric: MetricWrapperBase, *labels: str) -> Any:
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def signal(self, name: str, source: str, requests: int, seconds: float) -> None:
        """Count the requests that got a value, and time the call."""
        self._of(self._metrics.signal_calls, name, source).inc(requests)
        self._of(self._metrics.signal_seconds, name).observe(seconds)

    def failure(self, name: str, reason: str, requests: int) -> None:
        """Count the requests that got the failure value."""
        self._of(self._metrics.signal_failures, name, reason).inc(requests)

    def classified(self, backend: str, texts: int) -> None:
        """Note the size of a classifier's batch."""
        self._of(self._metrics.classifier_batch_size, backend).observe(texts)

    def looked_up(self, category: str, status: str, requests: int) -> None:
        """Count lookups."""
        self._of(self._metrics.cache_lookups, category, status).inc(requests)

    def decided(self, outcome: str, route: str | None, requests: int) -> None:
        """Count decisions; rejections and answers from the cache have no route."""
        self._of(self._metrics.decisions, self._policy, outcome, route or "").inc(requests)

    def held(self, category: str, entries: int) -> None:
        """Set the number of entries."""
        self._of(self._metrics.cache_entries, category).set(entries)

    def learnt(self, status: str) -> None:
        """Count a response record."""
        self._of(self._metrics.responses, status).inc()
