"""Metrics, health and logs of a worker."""

from routec.runtime.observe.engine import EngineMetrics
from routec.runtime.observe.health import GROUP, POLICY, Health
from routec.runtime.observe.logs import configure_logs
from routec.runtime.observe.metrics import Metrics
from routec.runtime.observe.server import ObservabilityServer

__all__ = [
    "EngineMetrics",
    "GROUP",
    "Health",
    "Metrics",
    "ObservabilityServer",
    "POLICY",
    "configure_logs",
]
