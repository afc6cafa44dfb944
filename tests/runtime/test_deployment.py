"""A deployment: one call opens the service, its metrics and its health."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import orjson
import pytest
from aiokafka import TopicPartition

from routec.runtime.config import Config, Kafka, Observability
from routec.runtime.deployment import Deployment, open_deployment
from routec.runtime.embedded import embedded_broker
from routec.runtime.engine import ServiceError
from routec.runtime.observe import BROKERS, GROUP, MODELS, POLICY
from routec.runtime.records import Decided, Record
from tests.runtime.doubles import program

TEXT = """
request { tenant: string }
signal kw   = keyword("order")
signal size = tokens()
model m {}
category orders { when kw, ttl: 1h, scope: tenant }
guard stop { when size > 50 reject 413 "too_long" }
route r { when kw to m }
default route rest { to m }
"""
HERE = Config(observability=Observability(port=0))
NOWHERE = Config(observability=Observability(metrics=False))


def record(offset: int, text: str) -> Record:
    event = {
        "attributes": {"tenant": "acme"},
        "body": {"messages": [{"role": "user", "content": text}]},
    }
    return Record("requests", 0, offset, 1000, None, orjson.dumps(event))


def answer(decision_id: str) -> Record:
    event = {
        "decision_id": decision_id,
        "model": "m",
        "body": {"choices": [{"message": {"content": "soon"}, "finish_reason": "stop"}]},
        "ok": True,
    }
    return Record("responses", 0, 0, 2000, None, orjson.dumps(event))


def value(opened: Deployment, name: str, /, **labels: str) -> float | None:
    return opened.metrics.registry.get_sample_value(name, labels)


async def test_everything_a_policy_does_is_counted() -> None:
    with open_deployment(program(TEXT), NOWHERE) as opened:
        records = [record(0, "my order"), record(1, "hello"), record(2, "order " * 60)]
        outcomes = await opened.service.decide([*records, Record("requests", 0, 3, 0, None, b"{")])
        assert isinstance(outcomes[0], Decided)
        opened.service.learn([answer(json.loads(outcomes[0].value)["decision_id"]), answer("?")])
        await opened.service.decide([record(4, "my order")])
        policy = {"policy": "made"}
        decided = "routec_decisions_total"
        assert value(opened, decided, **policy, outcome="route", route="r") == 1
        assert value(opened, decided, **policy, outcome="route", route="rest") == 1
        assert value(opened, decided, **policy, outcome="reject", route="") == 1
        assert value(opened, decided, **policy, outcome="cached", route="") == 1
        calls = "routec_signal_calls_total"
        # The others are too short to be too long.
        assert value(opened, calls, signal="size", source="computed") == 1
        assert value(opened, calls, signal="kw", source="computed") == 3
        # Two batches computed each signal once.
        assert value(opened, "routec_signal_seconds_count", signal="kw") == 2
        looked = "routec_cache_lookups_total"
        assert value(opened, looked, category="orders", status="miss") == 1
        assert value(opened, looked, category="orders", status="hit") == 1
        assert value(opened, "routec_cache_entries", category="orders") == 1
        assert value(opened, "routec_responses_total", status="stored") == 1
        assert value(opened, "routec_responses_total", status="unknown") == 1
        hash = opened.service.policy_hash
        assert value(opened, "routec_policy_info", name="made", hash=hash) == 1


def test_it_is_served_and_waits_for_its_group() -> None:
    with open_deployment(program(TEXT), HERE) as opened:
        assert opened.url is not None
        with urllib.request.urlopen(opened.url, timeout=5) as answered:
            assert b"routec_policy_info" in answered.read()
        with pytest.raises(urllib.error.HTTPError) as waiting:
            urllib.request.urlopen(opened.url.replace("metrics", "healthz"), timeout=5)
        with waiting.value as error:
            assert json.loads(error.read())["conditions"] == {
                POLICY: True,
                MODELS: True,
                GROUP: False,
                BROKERS: False,
            }
    assert not opened.health.ready


async def test_it_is_ready_when_the_group_is_joined_and_a_broker_answers() -> None:
    with open_deployment(program(TEXT), HERE) as opened:
        async with embedded_broker(["t"]) as broker:
            kafka = Kafka(bootstrap=broker.bootstrap)
            worker = opened.worker(msgspec.structs.replace(HERE, kafka=kafka))
            assert opened.health.conditions()[GROUP] is False
            worker._observer.ready(True)
            assert await asyncio.to_thread(lambda: opened.health.ready)
        opened.worker(msgspec.structs.replace(HERE, kafka=kafka))
        assert opened.health.conditions() == {
            POLICY: True,
            MODELS: True,
            GROUP: True,
            BROKERS: False,
        }
    assert not opened.health.ready


def test_what_is_in_flight_is_shown_as_it_is_when_somebody_looks() -> None:
    with open_deployment(program(TEXT), NOWHERE) as opened:
        worker = opened.worker()
        partition = TopicPartition("requests", 0)
        worker._budget.take(partition, 3, 1200)
        assert value(opened, "routec_in_flight_events") == 3
        assert value(opened, "routec_in_flight_bytes") == 1200
        asyncio.run(worker._decider.decide([record(0, "hello")]))
        age = value(opened, "routec_oldest_event_age_seconds")
        assert age == pytest.approx(time.time() - 1.0, abs=60)
        worker._budget.release(partition, 3, 1200)
        assert value(opened, "routec_in_flight_events") == 0
        assert value(opened, "routec_oldest_event_age_seconds") == 0


def test_a_taken_address_is_said_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = Config(observability=Observability(port=taken.getsockname()[1]))
        with pytest.raises(ServiceError) as refused:
            open_deployment(program(TEXT), config)
    assert refused.value.code == "address-unusable"
    assert "observability.port" in refused.value.help


def test_a_missing_model_leaves_nothing_listening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTEC_CACHE", str(tmp_path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = 'signal s = similarity { examples: ["x"] } model m {} route r { when s > 0 to m } '
    made = program(text + "default route rest { to m }")
    config = Config(observability=Observability(port=port))
    with pytest.raises(ServiceError) as refused:
        open_deployment(made, config)
    assert refused.value.code == "not-installed"
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))
