"""A fleet keeps its workers alive, says which is down, and gives up loudly."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.cli.errors import CommandError
from routec.cli.fleet import own_config, run_fleet
from routec.cli.link import LASTING
from routec.cli.restarts import Backoff, Restarts
from routec.cli.supervisor import Supervisor
from routec.cli.worker import LASTING_CODES
from routec.runtime.config import Config, Kafka, Observability
from routec.runtime.observe import FleetHealth, FleetMetrics, WorkerState
from tests.cli.fleet_children import Children
from tests.runtime.doubles import program

AT_ONCE = Backoff(first=0.0, most=0.0, budget=3)
NEVER = Backoff(first=1000.0, most=1000.0)


class Watched(FleetHealth):
    """Notes every state, and sends this process signals when all is as it is waited for."""

    def __init__(self, count: int, until: Callable[[list[WorkerState]], bool], *, signals: int = 1):
        self.metrics = FleetMetrics()
        self.seen: list[WorkerState] = []
        self.reports: list[dict[str, Any]] = []
        self._until, self._signals = until, signals
        self._stopping = False
        super().__init__(count, self.metrics, lambda: True)

    def set(self, state: WorkerState) -> None:
        super().set(state)
        self.seen.append(state)
        self.reports.append(json.loads(self.report()[1]))
        if not self._stopping and self._until(self.workers()):
            self._stopping = True
            for number in range(self._signals):
                os.kill(os.getpid(), (signal.SIGTERM, signal.SIGINT)[number])

    def restarts(self, worker: int, reason: str) -> float:
        labels = {"worker": str(worker), "reason": reason}
        return self.metrics.registry.get_sample_value("routec_fleet_restarts_total", labels) or 0


def all_ready(workers: list[WorkerState]) -> bool:
    return all(one.state == "ready" for one in workers)


def all_ready_after(restarts: int) -> Callable[[list[WorkerState]], bool]:
    return lambda found: all_ready(found) and sum(one.restarts for one in found) == restarts


def run(
    children: Children, health: Watched, *, drain: float = 60.0, backoff: Backoff = AT_ONCE
) -> int:
    return Supervisor(children, len(children.started), health, drain, backoff).run()


@pytest.mark.parametrize(
    ("death", "reason", "said"),
    [
        ("ready killed", "signal", "signal 9 (SIGKILL)"),
        ("killed", "signal", "signal 9 (SIGKILL)"),
        ("ready 3", "status", "status 3"),
        ("ready 2", "status", "status 2"),
        ("ready 0", "status", "status 0"),
        ("unstartable", "unstarted", "it cannot be started: resource temporarily unavailable"),
    ],
)
def test_a_worker_that_ends_is_started_again_and_the_others_work_on(
    death: str, reason: str, said: str
) -> None:
    children = Children([death, "work"], ["work"])
    health = Watched(2, all_ready_after(1))
    assert run(children, health) == 0
    assert children.started == [2, 1]
    assert len(children.pids[1]) == 1
    assert health.restarts(0, reason) == 1
    assert health.restarts(1, reason) == 0
    down = [one for one in health.seen if one.state == "restarting"]
    assert [(one.worker, one.last, one.pid, one.restarts) for one in down] == [(0, said, None, 1)]
    assert [one.state for one in health.workers()] == ["ended", "ended"]


def test_while_a_worker_is_down_the_fleet_is_not_ready_and_says_which() -> None:
    children = Children(["work"], ["ready killed"])

    def down(found: list[WorkerState]) -> bool:
        return found[0].state == "ready" and found[1].state == "restarting"

    health = Watched(2, down)
    # The one that waits for its turn, longer than any test, is not waited for.
    assert run(children, health, backoff=NEVER) == 0
    report = next(
        one
        for one in health.reports
        if one["workers"][1]["state"] == "restarting" and one["workers"][0]["state"] == "ready"
    )
    assert report["status"] == "waiting"
    assert report["conditions"] == {"worker-0": True, "worker-1": False, "brokers": True}
    assert report["workers"][0] == {
        "worker": 0,
        "state": "ready",
        "pid": children.pids[0][0],
        "url": "http://127.0.0.1:1/metrics",
        "restarts": 0,
        "last": None,
    }
    assert report["workers"][1]["last"] == "signal 9 (SIGKILL)"
    assert report["workers"][1]["url"] is None


def test_a_fleet_whose_workers_all_decide_is_ready() -> None:
    health = Watched(2, all_ready)
    assert run(Children(["work"], ["work"]), health) == 0
    report = next(one for one in health.reports if one["status"] == "ready")
    assert report["conditions"] == {"worker-0": True, "worker-1": True, "brokers": True}


def test_a_worker_that_goes_on_ending_stops_the_fleet_loudly_and_the_others_in_order() -> None:
    children = Children(["ready killed"], ["work"])
    health = Watched(2, lambda _: False)
    with pytest.raises(CommandError) as raised:
        run(children, health)
    assert raised.value.message == (
        "worker 0 ended 4 times within 5 minutes, last with signal 9 (SIGKILL)"
    )
    assert children.started[0] == 4
    assert health.restarts(0, "signal") == 3
    # The other one has heard of it and ended by itself.
    assert health.workers()[1].last is None
    assert [one.state for one in health.workers()] == ["ended", "ended"]


def test_what_starting_again_does_not_mend_is_not_started_again() -> None:
    children = Children(["work"], [f"ready {LASTING}"])
    with pytest.raises(CommandError) as raised:
        run(children, Watched(2, lambda _: False))
    assert raised.value.message == "worker 1 cannot work"
    assert children.started == [1, 1]


def test_an_error_before_any_worker_has_worked_is_that_of_whoever_started_them() -> None:
    children = Children(["2"])
    with pytest.raises(CommandError):
        run(children, Watched(1, lambda _: False))
    assert children.started == [1]


def test_one_that_does_not_end_is_killed_when_the_deadline_of_all_is_over() -> None:
    children = Children(["stubborn"], ["work"], ["stubborn"])
    health = Watched(3, all_ready)
    assert run(children, health, drain=0.3) == 2
    assert [one.state for one in health.workers()] == ["ended"] * 3
    for (pid,) in children.pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_second_signal_has_all_leave_at_once() -> None:
    children = Children(["stubborn"], ["stubborn"])
    assert run(children, Watched(2, all_ready, signals=2)) == 130


def test_the_states_of_workers_are_counted() -> None:
    metrics = FleetMetrics()
    health = FleetHealth(3, metrics, lambda: False)
    health.set(WorkerState(1, "ready"))
    value = metrics.registry.get_sample_value
    assert value("routec_fleet_workers", {"state": "starting"}) == 2
    assert value("routec_fleet_workers", {"state": "ready"}) == 1
    health.set(WorkerState(1, "restarting"))
    assert value("routec_fleet_workers", {"state": "ready"}) == 0
    assert json.loads(health.report()[1])["conditions"]["brokers"] is False


def test_restarts_wait_twice_as_long_each_time_up_to_a_cap() -> None:
    restarts = Restarts(Backoff(first=0.5, most=10.0, budget=8, window=300.0))
    assert [restarts.next(0.0) for _ in range(9)] == [
        *(0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0),
        None,
    ]


def test_what_is_long_ago_is_forgotten() -> None:
    restarts = Restarts(Backoff(first=1.0, most=4.0, budget=2, window=10.0))
    assert [restarts.next(at) for at in (0.0, 5.0, 9.0)] == [1.0, 2.0, None]
    assert restarts.next(10.0) == 2.0
    assert restarts.next(100.0) == 1.0


@given(
    st.lists(st.floats(0, 100), max_size=60),
    st.integers(0, 8),
    st.floats(0.001, 100),
)
def test_a_worker_is_never_restarted_more_often_than_its_budget(
    gaps: list[float], budget: int, window: float
) -> None:
    backoff = Backoff(first=0.5, most=3.0, budget=budget, window=window)
    restarts, now, restarted = Restarts(backoff), 0.0, []
    for gap in gaps:
        now += gap
        delay = restarts.next(now)
        if delay is not None:
            assert 0.5 <= delay <= 3.0
            restarted.append(now)
    for at in restarted:
        assert sum(at - window < other <= at for other in restarted) <= budget


def test_a_worker_keeps_its_name_and_its_port_when_it_is_started_again() -> None:
    config = Config(kafka=Kafka(instance_id="a"), observability=Observability(port=9000))
    first, again = own_config(config, 3), own_config(config, 3)
    assert first == again
    assert (first.kafka.instance_id, first.observability.port) == ("a-3", 9003)
    plain = own_config(Config(observability=Observability(port=0)), 3)
    assert (plain.kafka.instance_id, plain.observability.port) == (None, 0)


@pytest.mark.parametrize("port", [65535, 65400])
def test_ports_that_there_are_not_are_said_before_any_worker_starts(port: int) -> None:
    config = Config(observability=Observability(port=port))
    with pytest.raises(CommandError, match="need ports up to"):
        run_fleet(program("model m {}\ndefault route rest { to m }"), config, 200)


@pytest.mark.parametrize("code", sorted(LASTING_CODES))
def test_the_page_names_what_starting_again_does_not_mend(code: str) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
    (said,) = re.findall(
        r"^- \*\*What starting again does not mend.*?(?=^- )",
        page.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert f"`{code}`" in said
