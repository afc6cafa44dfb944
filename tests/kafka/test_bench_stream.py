"""`routec bench stream`: both sides decide the same on Apache Kafka, and leave nothing there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from apache_kafka import ApacheKafka

from routec.cli.bench import stream, stream_topics
from routec.cli.bench.result import Disagreement
from routec.cli.main import main
from routec.runtime.config import Config, Kafka

EVENTS = 4_000


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stream, "QUICK", stream.Size(EVENTS, 1, 60.0))


def of_the_benchmark(bootstrap: str) -> list[str]:
    """Its topics that are there."""

    async def names() -> list[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            return [name for name in await admin.list_topics() if name.startswith("routec-bench-")]
        finally:
            await admin.close()

    return asyncio.run(names())


def gone(bootstrap: str) -> bool:
    """Whether its topics are removed, which brokers do in their own time."""
    deadline = time.monotonic() + 10
    while of_the_benchmark(bootstrap):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.usefixtures("small")
def test_the_worker_is_measured_beside_the_bare_loop(
    apache_kafka: ApacheKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--bootstrap", apache_kafka.bootstrap)
    assert main(["bench", "stream", "--quick", "--format", "json", *where]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["results"]}
    assert list(rows) == [
        "stream/exactly once",
        "stream/at least once",
        "stream/exactly once, of at least once",
        "stream/CPU per event, exactly once",
        "stream/CPU per event, at least once",
    ]
    for row in rows.values():
        assert row["value"] > 0
        assert row["baseline"] > 0
        assert row["ratio"] == pytest.approx(row["value"] / row["baseline"], rel=1e-4)
        # One short round is no measure of what was promised.
        assert (row["target"], row["met"]) == (None, None)
    of_least = rows["stream/exactly once, of at least once"]
    assert of_least["value"] == rows["stream/exactly once"]["value"]
    assert of_least["baseline"] == rows["stream/at least once"]["value"]
    assert gone(apache_kafka.bootstrap)


@pytest.mark.usefixtures("small")
def test_a_side_that_decides_nothing_is_no_comparison(
    apache_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_topics, "PATIENCE", 0.5)
    monkeypatch.setattr(stream, "_one", lambda spec, seconds: {"rate": 1.0, "cpu_us": 1.0})
    config = Config(kafka=Kafka(bootstrap=apache_kafka.bootstrap))
    with pytest.raises(Disagreement, match="4,000 requests became 0 decisions"):
        list(stream.measure(True, stream.Cluster(config)))
    assert gone(apache_kafka.bootstrap)


def test_an_interruption_leaves_nothing_behind(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from routec.cli.main import main; sys.exit(main())"
    )
    where = ("--bootstrap", apache_kafka.bootstrap)
    with subprocess.Popen(
        [sys.executable, "-c", code, "bench", "stream", *where],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 30
        while len(of_the_benchmark(apache_kafka.bootstrap)) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.0)
        # As a terminal does: to the processes that are measured, too.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"interrupted\n", b"")
    assert gone(apache_kafka.bootstrap)
