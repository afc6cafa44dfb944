"""One Apache Kafka broker for all tests here, and fresh topics for each."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from routec.runtime.config import Config, Kafka, Runtime, Topics
from routec.runtime.stream import create_topics

sys.path.insert(0, str(Path(__file__).parent / "broker"))
sys.path.insert(0, str(Path(__file__).parent))

from apache_kafka import ApacheKafka
from traffic import PARTITIONS


@pytest.fixture(scope="session")
def apache_kafka() -> Iterator[ApacheKafka]:
    """A running broker; a test that stops it must start it again."""
    with ApacheKafka() as broker:
        yield broker


@pytest.fixture
def config(apache_kafka: ApacheKafka) -> Config:
    """A configuration with topics and a group that no other test has."""
    name = uuid.uuid4().hex[:8]
    topics = {field: f"{name}.{field}" for field in Topics.__struct_fields__}
    return Config(
        kafka=Kafka(
            bootstrap=apache_kafka.bootstrap,
            group=name,
            session_timeout=6.0,
            heartbeat_interval=1.0,
            rebalance_timeout=8.0,
            request_timeout=10.0,
            transaction_timeout=10.0,
            fetch_max_wait=0.05,
        ),
        topics=Topics(**topics),
        runtime=Runtime(batch_size=200, max_event_bytes=1_000_000, commit_interval=0.05),
    )


@pytest.fixture
async def ready(config: Config) -> Config:
    """The same configuration, its topics made with four partitions each."""
    await create_topics(config, partitions=PARTITIONS)
    return config


@pytest.fixture
def processes(tmp_path: Path, ready: Config) -> Iterator[Processes]:
    """Starts workers of the same group in processes of their own; none outlives the test."""
    processes = Processes(tmp_path, ready)
    yield processes
    processes.end()


class Processes:
    """Workers in processes of their own, configured by a file as an operator does."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.file = folder / "routec.toml"
        sections = {
            "kafka": (
                "bootstrap",
                "group",
                "session_timeout",
                "heartbeat_interval",
                "rebalance_timeout",
                "request_timeout",
                "transaction_timeout",
            ),
            "topics": config.topics.__struct_fields__,
            "runtime": ("commit_interval",),
        }
        lines = []
        for section, keys in sections.items():
            lines.append(f"[{section}]")
            lines += [
                f"{key} = {json.dumps(getattr(getattr(config, section), key))}" for key in keys
            ]
        self.file.write_text("\n".join(lines) + "\n")
        self.started: list[subprocess.Popen[str]] = []

    def start(
        self,
        *,
        pause: float = 0.0,
        batch_size: int = 100,
        fault: tuple[str, str, int] | None = None,
        **environment: str,
    ) -> subprocess.Popen[str]:
        """Start one.

        Args:
            pause: seconds that each of its batches takes.
            batch_size: events in a batch.
            fault: the signal that it sends to itself, at which point, at which time.
            environment: further values, such as ``KAFKA__INSTANCE_ID``.
        """
        script = Path(__file__).with_name("worker_process.py")
        hurt = [] if fault is None else [str(part) for part in fault]
        process = subprocess.Popen(
            [sys.executable, str(script), str(self.file), str(pause), *hurt],
            env={
                "PATH": "/usr/bin:/bin",
                "ROUTEC_RUNTIME__BATCH_SIZE": str(batch_size),
                **{f"ROUTEC_{name}": value for name, value in environment.items()},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
