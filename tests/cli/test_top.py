"""`routec top`: what a worker's metrics say, once for machines or live for people."""

from __future__ import annotations

import math
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.runtime.observe import (
    GROUP,
    POLICY,
    EngineMetrics,
    Health,
    Metrics,
    ObservabilityServer,
)
from routec.runtime.observe.scrape import ScrapeError, base_of, read_samples
from routec.runtime.observe.view import quantile
from routec.runtime.stream import Observed

from .support import Run
from .terminals import watched


class Working:
    """A worker's endpoint, whose metrics a test writes."""

    def __init__(self) -> None:
        self.metrics, self.health = Metrics(), Health()
        self.engine = EngineMetrics(self.metrics, "helpdesk")
        self.stream = Observed(self.metrics, self.health)
        self.server = ObservabilityServer(self.metrics.registry, self.health)
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.metrics.policy("helpdesk", "sha256:abc")

    def work(self) -> None:
        self.health.set(POLICY, True)
        self.health.set(GROUP, True)
        self.engine.decided("route", "refunds", 60)
        self.engine.decided("route", "general", 20)
        self.engine.decided("cached", None, 15)
        self.engine.decided("reject", None, 5)
        self.engine.signal("topic", "computed", 80, 0.004)
        self.engine.failure("topic", "timeout", 3)
        self.engine.looked_up("money", "hit", 3)
        self.engine.looked_up("money", "miss", 1)
        self.engine.held("money", 7)
        self.stream.batch(100, 0.02)
        self.stream.committed(100, 0.01)
        self.stream.dead_letter("invalid-json", 2)
        self.stream.lag("requests", 0, 40)
        self.stream.lag("requests", 1, 2)
        self.stream.in_flight(30, 4096)
        self.stream.paused(1)
        self.stream.fenced()
        self.stream.rebuilt("fenced")
        self.stream.rebalanced(0.5)
        self.metrics.oldest_event_age.set(3.5)


@pytest.fixture
def worker() -> Iterator[Working]:
    working = Working()
    working.work()
    with working.server:
        yield working


@pytest.fixture
def other() -> Iterator[Working]:
    working = Working()
    working.work()
    working.metrics.oldest_event_age.set(9.0)
    working.health.set(GROUP, False)
    with working.server:
        yield working


def test_a_machine_reads_everything_once(routec: Run, worker: Working) -> None:
    result = routec("top", worker.url, "--once", "--format", "json", "--interval", "0")
    assert (result.status, result.err) == (0, "")
    seen = result.json
    assert seen["workers"] == [{"ready": True, "conditions": {"policy": True, "group": True}}]
    assert seen["policies"] == [{"name": "helpdesk", "hash": "sha256:abc"}]
    assert seen["decisions"] == {"total": 100, "per_second": None}
    assert {name: one["total"] for name, one in seen["outcomes"].items()} == {
        "route": 80,
        "cached": 15,
        "reject": 5,
    }
    assert [(name, one["total"]) for name, one in seen["routes"].items()] == [
        ("refunds", 60),
        ("general", 20),
    ]
    assert seen["commits"]["events"]["total"] == 100
    assert 5 < seen["commits"]["ms"]["p50"] <= 10
    assert seen["batch"]["events"] == 100
    assert 10 < seen["batch"]["ms"]["p99"] <= 25
    assert seen["lag"] == {"events": 42, "partitions": {"requests/0": 40, "requests/1": 2}}
    assert seen["oldest_event_seconds"] == 3.5
    assert seen["in_flight"] == {"events": 30, "bytes": 4096}
    assert seen["paused_partitions"] == 1
    money = seen["cache"]["money"]
    assert (money["hits"]["total"], money["misses"]["total"]) == (3, 1)
    assert (money["hit_rate"], money["entries"]) == (0.75, 7)
    topic = seen["signals"]["topic"]
    assert (topic["values"]["total"], topic["failures"]) == (80, {"timeout": 3})
    assert 2.5 < topic["ms"]["p50"] <= 5
    assert seen["dead_letters"]["invalid-json"]["total"] == 2
    assert (seen["fenced"], seen["rebuilds"], seen["rebalances"]) == (1, {"fenced": 1}, 1)


def test_rates_are_what_was_added_between_two_looks(routec: Run, worker: Working) -> None:
    result = routec("top", worker.url, "--once", "--format", "json", "--interval", "30")
    assert result.json["decisions"] == {"total": 100, "per_second": 0}
    assert result.json["seconds"] >= 0.03


def test_several_workers_are_one_picture(routec: Run, worker: Working, other: Working) -> None:
    seen = routec(
        "top", worker.url, other.url, "--once", "--format", "json", "--interval", "0"
    ).json
    assert seen["decisions"]["total"] == 200
    assert seen["lag"]["partitions"] == {"requests/0": 80, "requests/1": 4}
    assert seen["oldest_event_seconds"] == 9.0
    assert [one["ready"] for one in seen["workers"]] == [True, False]


def test_a_person_reads_it_too(routec: Run, worker: Working, other: Working) -> None:
    result = routec("top", worker.url, f"{other.url}/metrics", "--once", "--interval", "0")
    assert result.status == 0
    for words in (
        "helpdesk sha256:abc",
        f"{worker.url} is ready",
        f"{other.url} waits for group",
        "route refunds",
        "from the cache",
        "75.0%",
        "timeout 6",
        "invalid-json",
        "most: 80 in requests/0",
        "2 partitions paused",
        "rebuilt: fenced 2",
    ):
        assert words in result.out
    assert "\x1b" not in result.out


def test_a_worker_without_traffic_is_shown(routec: Run) -> None:
    idle = Working()
    with idle.server:
        result = routec("top", idle.url, "--once", "--interval", "1")
        assert (result.status, result.err) == (0, "")
        assert "waits for policy, group" in result.out


def test_names_cannot_steer_the_terminal(routec: Run, worker: Working) -> None:
    worker.engine.decided("route", "\x1b[2Jgone\u202e", 1)
    worker.engine.failure("\x1b]0;title\x07", "\x1b[31m", 1)
    worker.stream.lag("\x1b[5m", 0, 9999)
    result = routec("top", worker.url, "--once", "--interval", "0")
    assert "gone" in result.out
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", result.out)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ftp://x"], "`ftp://x` is no address of a worker"),
        (["file:///etc/passwd"], "is no address of a worker"),
        (["http://h:1/other"], "is no address of a worker"),
        (["http://u:p@h:1"], "is no address of a worker"),
        (["http://h:many"], "is no address of a worker"),
        (["http://127.0.0.1:1"], "`http://127.0.0.1:1` does not answer"),
        (["--interval", "-1"], "is no whole number"),
    ],
)
def test_what_cannot_be_looked_at_is_said(routec: Run, arguments: list[str], says: str) -> None:
    result = routec("top", "--once", *arguments)
    assert (result.status, result.out) == (2, "")
    assert says in result.err
    assert "Traceback" not in result.err


def test_without_a_terminal_it_is_shown_once_or_not_at_all(routec: Run) -> None:
    result = routec("top")
    assert result.status == 2
    assert "`--once`" in result.err
    assert "needs `--once`" in routec("top", "--format", "json").err


def test_what_is_no_worker_is_said(routec: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.01)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        script = (
            "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); c, _ = s.accept(); "
            "c.recv(9999); c.sendall(b'\\x00\\xff not http\\r\\n\\r\\n'); c.close()"
        )
        listener.setblocking(True)
        with subprocess.Popen(
            [sys.executable, "-c", script, str(listener.fileno())], pass_fds=[listener.fileno()]
        ):
            result = routec("top", address, "--once")
    assert result.status == 2
    assert "does not" in result.err


@given(st.text())
def test_no_answer_does_worse_than_an_error(text: str) -> None:
    try:
        found = read_samples(text, "http://h")
    except ScrapeError:
        return
    assert all(math.isfinite(value) for some in found.values() for value in some.values())


@given(st.text(max_size=40))
def test_no_address_does_worse_than_an_error(text: str) -> None:
    with suppress(ScrapeError):
        assert base_of(text).startswith(("http://", "https://"))


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=40),
    st.lists(st.floats(0.01, 100), min_size=1, max_size=8, unique=True),
    st.floats(0, 1),
)
def test_a_quantile_lies_in_the_bucket_of_the_value_at_its_rank(
    values: list[float], edges: list[float], share: float
) -> None:
    edges = sorted(edges)
    buckets = {edge: float(sum(v <= edge for v in values)) for edge in (*edges, math.inf)}
    found = quantile(share, buckets)
    assert found is not None
    rank = max(1, math.ceil(share * len(values) - 1e-9))
    exact = sorted(values)[rank - 1]
    above = next((edge for edge in edges if exact <= edge), edges[-1])
    below = max((edge for edge in edges if edge < exact), default=0.0)
    assert below <= found <= above


def test_no_values_have_no_quantile() -> None:
    assert quantile(0.5, {}) is None
    assert quantile(0.5, {1.0: 0.0, math.inf: 0.0}) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_live_view_gives_the_terminal_back(worker: Working, number: signal.Signals) -> None:
    status, text = watched(["top", worker.url, "--interval", "100"], b"refunds", number)
    assert status == 0
    assert "route refunds" in text
    # Into the other screen and out of it again, the cursor back.
    assert text.index("\x1b[?1049h") < text.rindex("\x1b[?1049l")
    assert text.rindex("\x1b[?25l") < text.rindex("\x1b[?25h")
    assert "Traceback" not in text
