"""Metrics, health and logs of a worker."""

from routec.runtime.observe.age import AgedDecider
from routec.runtime.observe.engine import EngineMetrics
from routec.runtime.observe.fleet import FleetHealth, FleetMetrics, WorkerState
from routec.runtime.observe.health import BROKERS, GROUP, MODELS, POLICY, Health
from routec.runtime.observe.logs import configure_logs
from routec.runtime.observe.metrics import Metrics
from routec.runtime.observe.policies import PolicyMetrics
from routec.runtime.observe.reach import Reach
from routec.runtime.observe.server import ObservabilityServer

__all__ = [
    "AgedDecider",
    "BROKERS",
    "EngineMetrics",
    "FleetHealth",
    "FleetMetrics",
    "GROUP",
    "Health",
    "MODELS",
    "Metrics",
    "ObservabilityServer",
    "POLICY",
    "PolicyMetrics",
    "Reach",
    "WorkerState",
    "configure_logs",
]
