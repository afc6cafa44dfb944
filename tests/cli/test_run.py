"""`routec run`: it starts with clear words, decides, and stops in order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from routec.cli.worker import embedded
from routec.runtime.config import Config, Kafka, Secret
from routec.runtime.embedded import EmbeddedBroker

from .support import Run, start


async def decided(bootstrap: str) -> dict[str, object]:
    """Ask one question and take the decision."""
    request = {
        "request_id": "r-1",
        "attributes": {"tenant": "acme"},
        "body": {"messages": [{"role": "user", "content": "answer asap"}]},
    }
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap) as producer,
        AIOKafkaConsumer(
            "routec.decisions", bootstrap_servers=bootstrap, auto_offset_reset="earliest"
        ) as consumer,
    ):
        await producer.send_and_wait("routec.requests", json.dumps(request).encode(), key=b"k")
        async with asyncio.timeout(20):
            record = await consumer.getone()
    assert record.key == b"k"
    decision: dict[str, object] = json.loads(record.value)
    return decision


def no_room() -> None:
    """No file may grow any more, wherever it is."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.mark.parametrize("disk", ["free", "full"])
def test_it_decides_on_the_embedded_broker_and_stops_in_order(light: Path, disk: str) -> None:
    (light.parent / "routec.toml").write_text("[observability]\nport = 0\n")
    limit = no_room if disk == "full" else None
    process = start("run", str(light), "--embedded", preexec_fn=limit)
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stderr is not None
        found = None
        while found is None:
            found = re.search(rb"embedded broker at (\S+);", process.stderr.readline())
        decision = asyncio.run(decided(found[1].decode()))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    finally:
        watchdog.cancel()
        process.kill()
    assert decision["reject"] == {"guard": "shouting", "status": 429, "reason": "later"}
    assert process.returncode == 0, err.decode()
    stopped = [json.loads(line) for line in err.splitlines() if b'"stopped"' in line]
    assert [(one["taken"], one["decided"]) for one in stopped] == [(1, 1)]
    assert out == b""


def test_a_missing_model_is_said_at_start(clean: Path, tmp_path: Path) -> None:
    (clean.parent / "routec.toml").write_text("[observability]\nmetrics = false\n")
    empty = {**os.environ, "ROUTEC_CACHE": str(tmp_path / "nothing")}
    process = start("run", str(clean), "--embedded", env=empty)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, b"")
    assert b"error: the embedding model is not installed" in err
    assert b"= help: run `routec models install minilm`" in err
    assert b"Traceback" not in err


def test_an_unreachable_cluster_is_said_by_every_worker(light: Path) -> None:
    (light.parent / "routec.toml").write_text(
        "[kafka]\nconnect_timeout = 0.2\n[observability]\nport = 0\nlog_level = 'error'\n"
    )
    process = start("run", str(light), "--bootstrap", "127.0.0.1:1", "--workers", "2")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, b"")
    assert err.count(b"error: nothing answers at `127.0.0.1:1`") >= 1
    assert b"Traceback" not in err


def test_workers_end_when_their_fleet_is_killed(light: Path) -> None:
    (light.parent / "routec.toml").write_text("[observability]\nport = 0\n")
    process = start("run", str(light), "--bootstrap", "127.0.0.1:1", "--workers", "2")
    assert process.stderr is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        pids, deciding = [], 0
        while deciding < 2:
            said = json.loads(process.stderr.readline())
            pids += [said["pid"]] if said["event"] == "a worker is started" else []
            deciding += said["event"] == "deciding"
        process.kill()
        # Each of them holds the other end until it has ended.
        process.stderr.read()
    finally:
        watchdog.cancel()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert len(pids) == 2


def test_a_policy_with_errors_does_not_start(routec: Run, tmp_path: Path) -> None:
    path = tmp_path / "p.route"
    path.write_text("default route general { to nobody }")
    result = routec("run", path, "--embedded")
    assert result.status == 1
    assert "error[RC101]: unknown model or pool `nobody`" in result.err


def test_the_embedded_broker_is_reached_plainly_whatever_the_cluster_needs() -> None:
    kafka = Kafka(
        group="desk",
        security_protocol="SASL_SSL",
        sasl_username="u",
        sasl_password=Secret("p"),
        session_timeout=6.0,
    )
    config = embedded(Config(kafka=kafka), EmbeddedBroker("127.0.0.1:9"))
    assert config.kafka == Kafka(bootstrap="127.0.0.1:9", group="desk", fetch_max_wait=0.01)
    assert config.runtime.delivery == "at_least_once"
