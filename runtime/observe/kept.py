"""Counters whose values are kept elsewhere, and read when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class KeptCounter(Collector):
    """A counter with one label that shows what a function says; nothing before there is one.

    Args:
        name: its name, with `_total`.
        documentation: what it counts.
        label: the label's name.
        registry: where it is shown.
    """

    _type = "counter"

    def __init__(
        self, name: str, documentation: str, label: str, registry: CollectorRegistry
    ) -> None:
        # As `prometheus_client` names the parts of its own metrics.
        self._name = name.removesuffix("_total")
        self._documentation = documentation
        self._labelnames = (label,)
        self._read: Callable[[], Mapping[str, int]] = dict
        registry.register(self)

    def read_from(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Show what this says from now on.

        Args:
            read: gives the count of each value of the label; called in the HTTP thread.
        """
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """The counter, without values."""
        yield CounterMetricFamily(self._name, self._documentation, labels=self._labelnames)

    def collect(self) -> Iterable[Metric]:
        """The counter with its values."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labelnames)
        for value, count in self._read().items():
            family.add_metric((value,), count)
        yield family
