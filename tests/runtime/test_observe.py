"""Metrics, health and logs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from routec.runtime.embedded import embedded_broker
from routec.runtime.observe import (
    BROKERS,
    GROUP,
    POLICY,
    AgedDecider,
    EngineMetrics,
    Health,
    Metrics,
    ObservabilityServer,
    PolicyMetrics,
    Reach,
    configure_logs,
)
from routec.runtime.records import Outcome, Record
from routec.runtime.stream import Observed

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
    "routec_dead_letter_limits_total": {"limit"},
    "routec_consumer_lag": {"topic", "partition"},
    "routec_policy_info": {"name", "hash"},
    "routec_committed_events_total": set(),
    "routec_commit_seconds": set(),
    "routec_in_flight_events": set(),
    "routec_in_flight_bytes": set(),
    "routec_oldest_event_age_seconds": set(),
    "routec_paused_partitions": set(),
    "routec_fenced_total": set(),
    "routec_rebuilds_total": {"reason"},
    "routec_rebalance_seconds": set(),
    "routec_policy_records_total": {"result"},
    "routec_canary_requests_total": {"result"},
    "routec_shadow_events_total": {"result"},
}
AT_A_LOOK = {"routec_oldest_event_age_seconds"}
"""What a deployment works out when somebody looks; its own tests see to it."""


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


class Candidates:
    """What a canary and a shadow have done."""

    tried = (5, 2)
    shadowed = (7, 3, 1)


def tell_everything(metrics: Metrics) -> None:
    """Have everything happen that there is to tell."""
    heard = EngineMetrics(metrics, "p")
    heard.decided("route", "fast", 1)
    heard.signal("s", "computed", 3, 0.001)
    heard.failure("s", "timeout", 1)
    heard.looked_up("c", "hit", 1)
    heard.held("c", 3)
    heard.classified("linear", 8)
    heard.learnt("stored")
    observed = Observed(metrics, Health())
    observed.batch(10, 0.002)
    observed.committed(10, 0.01)
    observed.dead_letter("invalid-json", 2)
    observed.limit_reached("max_dead_letter_ratio")
    observed.fenced()
    observed.rebuilt("fenced")
    observed.rebalanced(0.5)
    observed.in_flight(10, 1000)
    observed.paused(1)
    observed.lag("t", 0, 5)
    policies = PolicyMetrics(metrics)
    policies.activated("p", "sha256:1")
    policies.refused("active", "invalid-program")
    policies.follow(Candidates())


def test_the_metrics_have_the_names_and_labels_of_the_contract(metrics: Metrics, server) -> None:
    tell_everything(metrics)
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


def test_whatever_can_be_told_is_in_a_metric_and_every_metric_is_told_something(
    metrics: Metrics,
) -> None:
    tell_everything(metrics)
    counted = {
        family.name
        for family in metrics.registry.collect()
        if any(sample.value > 0 for sample in family.samples)
    }
    there = {family.name for family in metrics.registry.collect()}
    assert there - counted == AT_A_LOOK


def test_what_candidates_do_is_shown_as_it_is_when_somebody_looks(metrics: Metrics) -> None:
    value = metrics.registry.get_sample_value
    assert value("routec_canary_requests_total", {"result": "decided"}) is None
    candidates = Candidates()
    PolicyMetrics(metrics).follow(candidates)
    assert value("routec_canary_requests_total", {"result": "decided"}) == 5
    assert value("routec_canary_requests_total", {"result": "fallen_back"}) == 2
    assert value("routec_shadow_events_total", {"result": "same"}) == 4
    assert value("routec_shadow_events_total", {"result": "differing"}) == 3
    candidates.tried = (6, 2)
    assert value("routec_canary_requests_total", {"result": "decided"}) == 6


def test_records_of_the_control_topic_are_counted_by_what_became_of_them(metrics: Metrics) -> None:
    policies = PolicyMetrics(metrics)
    policies.activated("p", "sha256:2")
    policies.refused("candidate", "wrong-name")
    value = metrics.registry.get_sample_value
    assert value("routec_policy_records_total", {"result": "activated"}) == 1
    assert value("routec_policy_records_total", {"result": "wrong-name"}) == 1
    assert value("routec_policy_info", {"name": "p", "hash": "sha256:2"}) == 1


def test_somebody_is_told_of_each_change_of_a_condition() -> None:
    health, told = Health(), []
    health.tell(GROUP, told.append)
    for holds in (False, True, True, False):
        health.set(GROUP, holds)
    health.set(POLICY, True)
    assert told == [True, False]
    with pytest.raises(KeyError):
        health.tell("weather", told.append)


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


def test_what_the_stream_tells_is_shown(metrics: Metrics, health: Health) -> None:
    observed = Observed(metrics, health)
    observed.committed(30, 0.02)
    observed.committed(12, 0.04)
    observed.fenced()
    observed.rebuilt("refused")
    observed.rebuilt("refused")
    observed.rebalanced(1.5)
    observed.in_flight(7, 900)
    observed.paused(3)
    value = metrics.registry.get_sample_value
    assert value("routec_committed_events_total") == 42
    assert value("routec_commit_seconds_count") == 2
    assert value("routec_commit_seconds_sum") == pytest.approx(0.06)
    assert value("routec_fenced_total") == 1
    assert value("routec_rebuilds_total", {"reason": "refused"}) == 2
    assert value("routec_rebalance_seconds_sum") == 1.5
    assert value("routec_in_flight_events") == 7
    assert value("routec_in_flight_bytes") == 900
    assert value("routec_paused_partitions") == 3


def test_a_condition_that_is_asked_is_asked_each_time(health: Health, server) -> None:
    answers = iter([False, True])
    health.set(POLICY, True)
    health.ask(GROUP, lambda: next(answers))
    assert get(server, "/healthz")[0] == 503
    assert get(server, "/healthz")[0] == 200


class Slow:
    """A decider that says how old its batch's oldest event was when it was asked."""

    policy_hash = "sha256:slow"
    aged: AgedDecider
    seen: float

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        self.seen = self.aged.age()
        return []

    def learn(self, responses: Sequence[Record]) -> None:
        pass


def written(*milliseconds: int) -> list[Record]:
    return [Record("t", 0, n, ms, None, b"") for n, ms in enumerate(milliseconds)]


async def test_the_age_is_that_of_the_oldest_event_of_the_batch() -> None:
    now = 1_000.0
    slow = Slow()
    slow.aged = aged = AgedDecider(slow, lambda: now)
    assert aged.age() == 0.0
    await aged.decide(written(999_500, 990_000, -1, 998_000))
    assert slow.seen == 10.0
    now = 1_003.0
    assert aged.age() == 13.0
    await aged.decide(written(2_000_000))
    assert aged.age() == 0.0
    await aged.decide(written(-1))
    assert aged.age() == 0.0
    assert aged.policy_hash == "sha256:slow"


async def test_a_broker_that_answers_is_reached() -> None:
    async with embedded_broker(["t"]) as broker:
        reach = Reach(f"127.0.0.1:1,{broker.bootstrap}")
        assert await asyncio.to_thread(reach)


@pytest.fixture
def mute() -> Iterator[str]:
    """Something that accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def stranger() -> Iterator[str]:
    """Something that answers, but not as Kafka does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_what_says_nothing_is_not_reached(mute: str) -> None:
    assert not Reach(mute, seconds=0.2)()


def test_what_is_no_broker_is_not_reached(stranger: str) -> None:
    assert not Reach(stranger)()


@pytest.mark.parametrize("bootstrap", ["127.0.0.1:1", "no such host:9", "127.0.0.1:many", ""])
def test_addresses_that_lead_nowhere_are_not_reached(bootstrap: str) -> None:
    assert not Reach(bootstrap)()


def test_an_answer_holds_for_a_while(mute: str) -> None:
    reach = Reach("127.0.0.1:1", rest=3600.0)
    assert not reach()
    reach._bootstrap = "changed: not looked at"
    assert not reach()
    health = Health((BROKERS,))
    health.ask(BROKERS, reach)
    assert health.conditions() == {BROKERS: False}


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


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_failure_is_told_without_its_words_which_may_quote_an_event(
    logged: io.StringIO, format: str
) -> None:
    def read(text: str) -> int:
        try:
            return int(text)
        except ValueError as error:
            raise RuntimeError(f"no number: {text}") from error

    configure_logs("info", format, logged)
    said = "my diagnosis"
    for log in (logging.getLogger("routec.x"), structlog.get_logger("routec.y")):
        try:
            read(said)
        except RuntimeError:
            log.exception("reading failed")
    written = logged.getvalue()
    assert written.count("after ValueError") == 2
    assert written.count("in read") == 2
    assert said not in written


def test_lines_below_the_level_are_not_written(logged: io.StringIO) -> None:
    structlog.get_logger("routec.x").debug("detail")
    logging.getLogger("aiokafka.cluster").info("chatter")
    assert logged.getvalue() == ""


def test_configuring_twice_does_not_write_twice(logged: io.StringIO) -> None:
    configure_logs("info", "json", logged)
    structlog.get_logger("routec.x").info("once")
    assert len(lines(logged)) == 1
