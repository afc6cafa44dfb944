"""`routec run --workers 2` on Apache Kafka: a worker that is killed comes back, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families
from traffic import PARTITIONS, committed, read_all

from routec.runtime.config import Config

pytestmark = pytest.mark.kafka

POLICY = 'policy live\nsignal k = keyword("a")\nmodel m {}\ndefault route d { to m }\n'
PATIENCE = 90.0
STABLE = 40.0
"""Longer than a worker takes to come back: its partitions wait for it meanwhile."""


def toml(config: Config) -> str:
    """The configuration as a file, its workers with stable names and free ports."""
    kafka = {
        "bootstrap": config.kafka.bootstrap,
        "group": config.kafka.group,
        "instance_id": "desk",
        "session_timeout": STABLE,
    }
    sections: dict[str, dict[str, Any]] = {
        "kafka": kafka,
        "topics": msgspec.structs.asdict(config.topics),
        "runtime": {"batch_size": 50},
        "observability": {"port": 0},
    }
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def get(url: str) -> bytes:
    """What is served; of a fleet that is not ready, too."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.read()


class Fleet:
    """The command in a process of its own."""

    def __init__(self, folder: Path, config: Config) -> None:
        (folder / "live.route").write_text(POLICY)
        (folder / "routec.toml").write_text(toml(config))
        self._log = folder / "fleet.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "import sys; from routec.cli.main import main; sys.exit(main())",
                    *("run", str(folder / "live.route"), "--workers", "2"),
                ],
                stderr=log,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def url(self) -> str | None:
        """Where it serves its metrics and health, once it says so."""
        for line in self.log.splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                said = json.loads(line)
                if said["event"] == "serving metrics and health of the fleet":
                    return str(said["url"]).removesuffix("/metrics")
        return None

    async def health(self, ready: bool = True) -> dict[str, Any]:
        """What it says of its workers, once all are ready, or not all."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.url is not None:
                report = await asyncio.to_thread(get, f"{self.url}/healthz")
                said: dict[str, Any] = json.loads(report)
                if (said["status"] == "ready") is ready:
                    return said
            assert self.process.poll() is None, self.log
            await asyncio.sleep(0.1)
        raise TimeoutError(self.log)


async def rebalances(worker: dict[str, Any]) -> float:
    """How often a worker has given partitions up."""
    text = (await asyncio.to_thread(get, worker["url"])).decode()
    (count,) = (
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "routec_rebalance_seconds_count"
    )
    return count


@asynccontextmanager
async def asking(config: Config) -> AsyncIterator[list[str]]:
    """Requests that are written steadily; their ids, once each is there."""
    sent: list[str] = []

    async def ask() -> None:
        async with AIOKafkaProducer(bootstrap_servers=config.kafka.bootstrap) as producer:
            while True:
                for partition in range(PARTITIONS):
                    id = f"r-{len(sent)}"
                    event = {
                        "request_id": id,
                        "body": {"messages": [{"role": "user", "content": "hello"}]},
                    }
                    value = json.dumps(event).encode()
                    sending = producer.send_and_wait(
                        config.topics.requests, value, partition=partition
                    )
                    sent.append(id)
                    await asyncio.shield(sending)
                await asyncio.sleep(0.01)

    task = asyncio.create_task(ask())
    try:
        yield sent
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until_decided(config: Config, count: int) -> list[Any]:
    """Every decision, once there are so many."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = await read_all(config, config.topics.decisions)
        if len(found) >= count or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.3)


async def test_a_killed_worker_comes_back_under_its_name_and_each_request_is_decided_once(
    ready: Config, tmp_path: Path
) -> None:
    fleet = Fleet(tmp_path, ready)
    try:
        before = await fleet.health()
        async with asking(ready) as sent:
            await until_decided(ready, 200)
            victim, other = before["workers"]
            rebalanced = await rebalances(other)
            os.kill(victim["pid"], signal.SIGKILL)
            down = await fleet.health(ready=False)
            assert down["conditions"]["worker-0"] is False
            after = await fleet.health()
            there = len(await read_all(ready, ready.topics.decisions))
            decided = await until_decided(ready, there + 200)
            assert len(decided) >= there + 200
        back, same = after["workers"]
        assert back["pid"] != victim["pid"]
        assert (back["restarts"], back["last"]) == (1, "signal 9 (SIGKILL)")
        # The other one kept its partitions: a stable name that comes back moves nothing.
        assert (same["pid"], same["restarts"]) == (other["pid"], 0)
        assert await rebalances(same) == rebalanced
        found = await until_decided(ready, len(sent))
        assert Counter(json.loads(one.value)["request_id"] for one in found) == Counter(sent)
        # As a supervisor does that signals every process of a service: nobody takes it for two.
        for pid in (fleet.process.pid, back["pid"], same["pid"]):
            os.kill(pid, signal.SIGTERM)
        assert await asyncio.to_thread(fleet.process.wait, 60) == 0, fleet.log
    finally:
        fleet.process.kill()
        await asyncio.to_thread(fleet.process.wait)
    assert sum((await committed(ready)).values()) == len(sent)
    assert "Traceback" not in fleet.log
