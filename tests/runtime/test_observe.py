"""Metrics, health and logs."""

from __future__ import annotations

import io
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from routec.runtime.observe import (
    GROUP,
    POLICY,
    EngineMetrics,
    Health,
    Metrics,
    ObservabilityServer,
    configure_logs,
)

CONTRACT = {
    "routec_decisions_total": {"policy", "outcome", "route"},
    "routec_decision_seconds": set(),
    "routec_batch_size": set(),
    "routec_signal_calls_total": {"signal", "source"},
    "routec_signal_seconds": {"signal"},
    "routec_signal_failures_total": {"signal", "reason"},
    "routec_cache_lookups_total": {"category", "status"},
    "routec_cache_entries": {"category"},
    "routec_classifier_batch_size": {"backend"},
    "routec_responses_total": {"status"},
    "routec_dead_letters_total": {"code"},
    "routec_consumer_lag": {"topic", "partition"},
    "routec_policy_info": {"name", "hash"},
}


def get(server: ObservabilityServer, path: str, method: str = "GET") -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(metrics: Metrics, health: Health) -> Iterator[ObservabilityServer]:
    with ObservabilityServer(metrics.registry, health) as server:
        yield server


def test_the_metrics_have_the_names_and_labels_of_the_contract(metrics: Metrics, server) -> None:
    heard = EngineMetrics(metrics, "p")
    heard.decided("route", "fast")
    heard.signal("s", "computed", 3, 0.001)
    heard.failure("s", "timeout", 1)
    heard.looked_up("c", "hit")
    heard.held("c", 3)
    heard.classified("linear", 8)
    heard.learnt("stored")
    metrics.batch(10, 0.002)
    metrics.dead_letter("invalid-json", 2)
    metrics.lag("t", 0, 5)
    metrics.policy("p", "sha256:1")
    status, text = get(server, "/metrics")
    assert status == 200
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            base = sample.name
            for suffix in ("_bucket", "_sum", "_count"):
                if family.type == "histogram":
                    base = base.removesuffix(suffix)
            labels.setdefault(base, set()).update(set(sample.labels) - {"le"})
    assert labels == CONTRACT


def test_two_workers_in_a_process_do_not_share_metrics() -> None:
    one, two = Metrics(), Metrics()
    one.dead_letter("x", 1)
    assert one.registry.get_sample_value("routec_dead_letters_total", {"code": "x"}) == 1
    assert two.registry.get_sample_value("routec_dead_letters_total", {"code": "x"}) is None


def test_a_new_policy_takes_the_place_of_the_old_in_the_metrics(metrics: Metrics) -> None:
    metrics.policy("p", "sha256:1")
    metrics.policy("p", "sha256:2")
    value = metrics.registry.get_sample_value
    assert value("routec_policy_info", {"name": "p", "hash": "sha256:1"}) is None
    assert value("routec_policy_info", {"name": "p", "hash": "sha256:2"}) == 1


def test_a_released_partition_has_no_lag(metrics: Metrics) -> None:
    metrics.lag("t", 3, 5)
    metrics.released("t", 3)
    assert (
        metrics.registry.get_sample_value("routec_consumer_lag", {"topic": "t", "partition": "3"})
        is None
    )
    metrics.released("t", 4)


def test_healthz_is_503_until_policy_and_group_are_there(health: Health, server) -> None:
    assert get(server, "/healthz")[0] == 503
    health.set(POLICY, True)
    status, body = get(server, "/healthz")
    assert status == 503
    assert json.loads(body) == {
        "status": "waiting",
        "conditions": {"policy": True, "group": False},
    }
    health.set(GROUP, True)
    assert get(server, "/healthz")[0] == 200
    health.set(GROUP, False)
    assert get(server, "/healthz")[0] == 503


def test_other_paths_and_methods_are_refused(server) -> None:
    assert get(server, "/")[0] == 404
    assert get(server, "/metrics", "POST")[0] == 405


def test_an_unknown_condition_is_a_mistake_in_the_program(health: Health) -> None:
    with pytest.raises(KeyError):
        health.set("weather", True)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    configure_logs("info", "json", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_log_line_is_a_json_object(logged: io.StringIO) -> None:
    structlog.get_logger("routec.x").info("policy loaded", policy="p", nodes=3)
    logging.getLogger("routec.y").warning("broker gone", extra={"topic": "t"})
    first, second = lines(logged)
    assert (first["event"], first["policy"], first["nodes"]) == ("policy loaded", "p", 3)
    assert (first["level"], first["logger"]) == ("info", "routec.x")
    assert str(first["timestamp"]).endswith("Z")
    assert (second["event"], second["topic"], second["level"]) == ("broker gone", "t", "warning")


def test_prompts_and_secrets_are_withheld_at_any_depth(logged: io.StringIO) -> None:
    structlog.get_logger("routec.x").info(
        "event",
        text="my diagnosis",
        sasl_password="hunter2",
        request={"body": {"messages": ["my diagnosis"]}, "id": "r-1"},
        value=b"my diagnosis",
        key=b"my diagnosis",
    )
    logging.getLogger("routec.y").info("event", extra={"prompt": "my diagnosis"})
    written = logged.getvalue()
    assert "diagnosis" not in written
    assert "hunter2" not in written
    first = lines(logged)[0]
    assert first["request"] == {"body": "withheld", "id": "r-1"}
    assert first["key"] == "12 bytes"


def test_lines_below_the_level_are_not_written(logged: io.StringIO) -> None:
    structlog.get_logger("routec.x").debug("detail")
    logging.getLogger("aiokafka.cluster").info("chatter")
    assert logged.getvalue() == ""


def test_configuring_twice_does_not_write_twice(logged: io.StringIO) -> None:
    configure_logs("info", "json", logged)
    structlog.get_logger("routec.x").info("once")
    assert len(lines(logged)) == 1
