"""What becomes of policies that are put in force while a worker runs, as metrics."""

from __future__ import annotations

from typing import Protocol

from routec.runtime.observe.metrics import Metrics


class Trials(Protocol):
    """Knows what canaries and shadows have done since the worker started."""

    @property
    def tried(self) -> tuple[int, int]:
        """Requests that canaries decided, and those left to the policy in force."""

    @property
    def shadowed(self) -> tuple[int, int, int]:
        """Events compared with shadows, those of them that differed, and those skipped."""


class PolicyMetrics:
    """Counts what becomes of records of the control topic, and of what candidates are asked.

    Args:
        metrics: the metrics.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def activated(self, name: str, hash: str) -> None:
        """Name it, and count it as ``activated``."""
        self._metrics.policy(name, hash)
        self._metrics.policy_records.labels("activated").inc()

    def refused(self, role: str, code: str) -> None:
        """Count it by its code."""
        self._metrics.policy_records.labels(code).inc()

    def follow(self, trials: Trials) -> None:
        """Show what candidates do from now on."""

        def canary() -> dict[str, int]:
            decided, left = trials.tried
            return {"decided": decided, "fallen_back": left}

        def shadow() -> dict[str, int]:
            compared, differing, skipped = trials.shadowed
            return {"same": compared - differing, "differing": differing, "skipped": skipped}

        self._metrics.canary_requests.read_from(canary)
        self._metrics.shadow_events.read_from(shadow)
