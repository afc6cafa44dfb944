"""One Apache Kafka broker for all tests here, and fresh topics for each."""

from __future__ import annotations

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
            request_timeout=10.0,
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
