"""`routec top --bootstrap`: the workers of a cluster, found through Kafka, on the embedded broker."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from routec.cli.sights import ClusterSight
from routec.runtime.config import Config
from routec.runtime.embedded import embedded_broker
from routec.runtime.observe import (
    GROUP,
    POLICY,
    EngineMetrics,
    Health,
    Metrics,
    ObservabilityServer,
)
from routec.runtime.observe.cluster import ClusterLook, cluster_view, metrics_of
from routec.runtime.policies.status import (
    STALE,
    ProgramStatus,
    WorkerStatus,
    encode_status,
)

from .support import Result, Run
from .terminals import watched

REQUESTS, STATUS, DEAD = "routec.requests", "routec.status", "routec.dlq"
HOST = socket.gethostname()


def status(name: str, silent: float = 1.0, group: str = "routec", **more: Any) -> WorkerStatus:
    now = time.time()
    return WorkerStatus(
        worker=name,
        group=group,
        policy="helpdesk",
        time=now - silent,
        started=now - 7200,
        active=ProgramStatus("sha256:aabbccdd00", now - 60),
        **{"host": HOST, **more},
    )


class Cluster:
    """The embedded broker, and `routec top` on it."""

    def __init__(self, bootstrap: str, routec: Run) -> None:
        self.bootstrap = bootstrap
        self._routec = routec

    async def write(self, topic: str, records: list[tuple[int, bytes, bytes | None]]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
            for partition, key, value in records:
                await producer.send(topic, value, key=key, partition=partition)

    async def tell(self, *workers: WorkerStatus) -> None:
        await self.write(
            STATUS,
            [(0, f"{one.group}/{one.worker}".encode(), encode_status(one)) for one in workers],
        )

    async def commit(self, offsets: dict[int, int], group: str = "routec") -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False
        )
        async with consumer:
            consumer.assign([TopicPartition(REQUESTS, number) for number in offsets])
            await consumer.commit({TopicPartition(REQUESTS, n): at for n, at in offsets.items()})

    async def top(self, *arguments: str) -> Result:
        asked = ("top", "--bootstrap", self.bootstrap, "--once", "--interval", "0", *arguments)
        return await asyncio.to_thread(self._routec, *asked)

    async def seen(self, *arguments: str) -> Any:
        result = await self.top("--format", "json", *arguments)
        assert (result.status, result.err) == (0, "")
        return result.json


@pytest.fixture
async def cluster(
    routec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Cluster]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routec.toml").write_text("[kafka]\nfetch_max_wait = '10ms'\n")
    async with embedded_broker((REQUESTS, STATUS, DEAD)) as broker:
        yield Cluster(broker.bootstrap, routec)


@pytest.fixture
def served() -> Iterator[str]:
    """The address of a worker's metrics."""
    metrics, health = Metrics(), Health()
    metrics.policy("helpdesk", "sha256:aabbccdd00")
    EngineMetrics(metrics, "helpdesk").decided("route", "refunds", 60)
    health.set(POLICY, True)
    health.set(GROUP, True)
    with ObservabilityServer(metrics.registry, health) as server:
        yield f"http://127.0.0.1:{server.port}"


async def test_groups_lag_and_workers_are_found_without_addresses(cluster: Cluster) -> None:
    await cluster.write(REQUESTS, [(n % 2, b"k", b"{}") for n in range(30)])
    await cluster.write(DEAD, [(0, b"k", b"{")] * 3)
    await cluster.commit({0: 5, 1: 15})
    await cluster.commit({0: 15}, "canaries")
    await cluster.tell(
        status("w-1"), status("w-2", silent=STALE + 60), status("c-1", group="canaries")
    )
    seen = await cluster.seen()
    assert (seen["version"], seen["topic"], seen["metrics"]) == (1, REQUESTS, None)
    canaries, routec = seen["groups"]
    assert (routec["group"], routec["lag"]["events"], routec["partitions_begun"]) == (
        "routec",
        10,
        2,
    )
    assert routec["lag"]["partitions"] == {"0": 10, "1": 0, "2": 0, "3": 0}
    assert canaries["lag"]["events"] == 15
    assert [(one["worker"], one["lost"]) for one in routec["workers"]] == [
        ("w-1", False),
        ("w-2", True),
    ]
    assert routec["policies"] == [{"name": "helpdesk", "hash": "sha256:aabbccdd00", "workers": 2}]
    assert seen["dead_letters"]["kept"] == 3
    words = (await cluster.top()).out
    for part in ("group routec", "most: 10 in partition 0", "w-1", "lost: silent for", "3 kept"):
        assert part in words


async def test_metrics_of_workers_that_answer_are_shown_below(
    cluster: Cluster, served: str
) -> None:
    await cluster.tell(
        status("w-1", metrics=served),
        status("w-2", metrics="http://127.0.0.1:1"),
        status("elsewhere", metrics="http://127.0.0.1:2", host="another"),
        status("odd", metrics="file:///etc/passwd"),
    )
    seen = await cluster.seen()
    assert seen["metrics"]["routes"]["refunds"]["total"] == 60
    assert seen["unreachable"].keys() == {"http://127.0.0.1:1", "file:///etc/passwd"}
    assert "is no address of a worker" in seen["unreachable"]["file:///etc/passwd"]
    words = (await cluster.top()).out
    assert "route refunds" in words
    assert f"{served} is ready" in words


async def test_two_looks_give_rates(cluster: Cluster) -> None:
    await cluster.commit({0: 0})
    asked = asyncio.create_task(cluster.seen("--interval", "1500"))
    await asyncio.sleep(0.7)
    await cluster.write(REQUESTS, [(0, b"k", b"{}")] * 100)
    await cluster.commit({0: 60})
    seen = await asked
    assert seen["requests"]["per_second"] > 0
    [group] = seen["groups"]
    assert group["decided"]["per_second"] > 0
    assert group["lag"]["events"] == 40


async def test_a_cluster_whose_workers_say_nothing_is_shown(cluster: Cluster) -> None:
    seen = await cluster.seen()
    assert [(one["group"], one["workers"]) for one in seen["groups"]] == [("routec", [])]
    assert "none has told its status" in (await cluster.top()).out


async def test_records_that_are_no_status_are_passed_over(cluster: Cluster) -> None:
    await cluster.write(STATUS, [(0, b"routec/a", b"{"), (1, b"routec/b", b"\xff")])
    await cluster.tell(status("w-1"))
    await cluster.write(STATUS, [(0, b"routec/w-1", None)])
    [group] = (await cluster.seen())["groups"]
    assert group["workers"] == []


async def test_names_cannot_steer_the_terminal(cluster: Cluster) -> None:
    await cluster.tell(status("\x1b[2J", group="\x1b[5m", metrics="http://\x1b[31m:1"))
    assert "\x1b" not in (await cluster.top()).out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("http://127.0.0.1:9464",), "exclude each other"),
        (("--config", "absent.toml"), "absent.toml"),
    ],
)
async def test_what_does_not_go_together_is_said(
    cluster: Cluster, arguments: tuple[str, ...], says: str
) -> None:
    result = await cluster.top(*arguments)
    assert (result.status, result.out) == (2, "")
    assert says in result.err


async def test_a_cluster_that_is_not_there_is_said(
    cluster: Cluster, tmp_path: Path, routec: Run
) -> None:
    (tmp_path / "routec.toml").write_text("[kafka]\nconnect_timeout = '200ms'\n")
    result = await asyncio.to_thread(routec, "top", "--bootstrap", "127.0.0.1:1", "--once")
    assert result.status == 2
    assert "nothing answers at `127.0.0.1:1`" in result.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_live_view_of_a_cluster_gives_the_terminal_back(
    cluster: Cluster, number: signal.Signals
) -> None:
    await cluster.tell(status("w-1"))
    asked = ["top", "--bootstrap", cluster.bootstrap, "--interval", "100"]
    end, text = await asyncio.to_thread(watched, asked, b"w-1", number)
    assert end == 0
    assert "group routec" in text
    assert text.index("\x1b[?1049h") < text.rindex("\x1b[?1049l")
    assert text.rindex("\x1b[?25l") < text.rindex("\x1b[?25h")
    assert "Traceback" not in text


def test_an_interruption_is_heard_whatever_the_client_makes_of_it() -> None:
    sight = ClusterSight(Config(), quiet=True)
    assert not sight.interrupt()

    async def work() -> None:
        assert sight.interrupt()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise TimeoutError from None

    with pytest.raises(KeyboardInterrupt):
        sight._run(work())
    assert not sight.interrupt()
    sight._runner.close()


def a_look(at: float, ends: int, done: int | None, letters: int | None = 0) -> ClusterLook:
    committed = {} if done is None else {0: done}
    return ClusterLook(at, 0.0, (), {0: 10}, {0: ends}, {"g": committed}, letters)


def test_lag_and_rates_are_of_offsets() -> None:
    first = cluster_view(a_look(1.0, 100, None))
    assert first["groups"][0]["lag"]["events"] == 90  # from the oldest that is kept
    assert first["requests"]["per_second"] is None
    later = cluster_view(a_look(3.0, 300, 200, 8), a_look(1.0, 100, 50, 4))
    assert later["requests"]["per_second"] == 100
    assert later["groups"][0]["decided"]["per_second"] == 75
    assert later["dead_letters"]["per_second"] == 2
    # A group that was reset to an earlier offset decides nothing the less.
    assert cluster_view(a_look(3.0, 9, 20), a_look(1.0, 9, 50))["groups"][0]["decided"] == {
        "per_second": 0
    }


def test_an_address_of_loopback_is_of_its_own_machine() -> None:
    now = time.time()
    workers = [
        status("a", metrics="http://127.0.0.1:1"),
        status("b", metrics="http://127.0.0.1:1", host="other"),
        status("c", metrics="http://[::1]:2", host="other"),
        status("d", metrics="http://box:3", host="other"),
        status("e", metrics="http://box:4", silent=STALE + 5),
    ]
    assert metrics_of(workers, HOST, now) == {
        "http://127.0.0.1:1": ["routec/a"],
        "http://box:3": ["routec/d"],
    }
