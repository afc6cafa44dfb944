"""What a fleet of workers tells about itself: who works, who does not, and who was restarted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

State = Literal["starting", "joining", "ready", "restarting", "ended"]
"""Opens its policy; waits for its partitions; decides; ended and is to be started; ended."""
STATES: tuple[State, ...] = ("starting", "joining", "ready", "restarting", "ended")


class WorkerState(msgspec.Struct, frozen=True):
    """A worker of a fleet.

    Attributes:
        worker: its number, from 0.
        state: what it is at.
        pid: its process id; ``None`` while there is none.
        url: address of its metrics; ``None`` where it serves none, or not yet.
        restarts: how often it was started again.
        last: how it ended last, such as ``signal 9 (SIGKILL)``; ``None`` if it never did.
    """

    worker: int
    state: State = "starting"
    pid: int | None = None
    url: str | None = None
    restarts: int = 0
    last: str | None = None


class FleetMetrics:
    """The metrics of the process that keeps the workers alive, in a registry of its own.

    Attributes:
        registry: what `/metrics` of the fleet shows.
        workers: workers, by state.
        restarts: workers started again, by number and how they ended (signal, status, unstarted).
    """

    def __init__(self) -> None:
        registry = CollectorRegistry(auto_describe=True)
        self.registry = registry
        self.workers = Gauge(
            "routec_fleet_workers", "Workers of the fleet", ("state",), registry=registry
        )
        self.restarts = Counter(
            "routec_fleet_restarts_total",
            "Workers started again",
            ("worker", "reason"),
            registry=registry,
        )


class FleetHealth:
    """How the workers of a fleet are; set by the fleet, read by the HTTP thread.

    Args:
        count: how many workers there are.
        metrics: shows how many are in which state.
        brokers: tells whether a broker answers; called in the HTTP thread, must return soon.
    """

    def __init__(self, count: int, metrics: FleetMetrics, brokers: Callable[[], bool]) -> None:
        self._lock = threading.Lock()
        self._workers = [WorkerState(number) for number in range(count)]
        self._metrics = metrics
        self._brokers = brokers
        self._count()

    def set(self, state: WorkerState) -> None:
        """Say how a worker is."""
        with self._lock:
            self._workers[state.worker] = state
            self._count()

    def restarted(self, worker: int, reason: str) -> None:
        """A worker that ended is started again; the reason is ``signal``, ``status`` or
        ``unstarted``."""
        self._metrics.restarts.labels(str(worker), reason).inc()

    def workers(self) -> list[WorkerState]:
        """All of them, by number."""
        with self._lock:
            return list(self._workers)

    def report(self) -> tuple[bool, bytes]:
        """Whether all workers are ready and a broker answers, as JSON.

        The JSON has the members of a worker's own, with a condition a worker (``worker-0``), and
        `WorkerState` for each in ``workers``.
        """
        workers = self.workers()
        conditions = {f"worker-{one.worker}": one.state == "ready" for one in workers}
        conditions["brokers"] = self._brokers()
        ready = all(conditions.values())
        status = "ready" if ready else "waiting"
        found = {"status": status, "conditions": conditions, "workers": workers}
        return ready, msgspec.json.encode(found)

    def _count(self) -> None:
        for state in STATES:
            number = sum(one.state == state for one in self._workers)
            self._metrics.workers.labels(state).set(number)
