"""The decision event: its shape, its bytes, its headers."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.compiler.program import Model
from routec.runtime.events import (
    CacheAnswer,
    Decision,
    Encoder,
    Example,
    Failure,
    Reject,
    Request,
    Selection,
    Span,
    decision_id,
)
from routec.runtime.records import Decided, Headers, Record

MODELS = {
    "mini": Model("mini", "gpt-5-mini", provider="openai"),
    "local": Model("local", "llama", endpoint="http://gpu:8000"),
}
ENCODER = Encoder("helpdesk", "sha256:ab", MODELS)
REQUEST = Request("r-1", {}, time_ms=1_795_338_000_000)
ROUTED = Decision(
    "route",
    route="refunds",
    model="mini",
    fallbacks=("local",),
    parameters={"reasoning": "high", "stop": ("a", "b")},
    redacting=("pii",),
    redacted=(Span(0, 3, 9, "email"),),
    tags=("t",),
    headers={"x-a": "1"},
    category="money",
    cache=CacheAnswer("miss", 0.71, reason="below"),
    selection=Selection("cost", ("mini", "local"), 1.0),
    shadow="local",
    signals={"refund": 0.91, "urgent": False, "pii": frozenset({"phone", "email"})},
    skipped=("effort",),
    failures=(Failure("topic", "timeout"),),
    path=(3, 9, 12),
    timing_us={"total": 812, "embed": 640},
    thresholds={"refund": (0.2, 0.8), "effort": (0.5,)},
)


def record(headers: Headers = ()) -> Record:
    return Record("requests", 3, 17, 0, b"key", b"{}", headers)


def encode(record: Record, decision: Decision = ROUTED) -> Decided:
    return ENCODER.encode(record, decision_id(record), REQUEST, decision)


def event(decision: Decision) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(encode(record(), decision).value)
    return value


NUMBERS = st.integers(-5, 5) | st.floats(-10, 10) | st.sampled_from((0.1, 0.2, 0.3))


@given(st.sets(NUMBERS, min_size=1, max_size=5), NUMBERS)
def test_a_margin_is_to_the_nearest_threshold_of_two_as_near_the_lower(
    thresholds: set[float], value: float
) -> None:
    rising = tuple(sorted(map(float, thresholds)))
    decision = Decision("route", signals={"s": value}, thresholds={"s": rising})
    nearest = min(rising, key=lambda threshold: abs(value - threshold))
    assert decision.margins == {"s": round(value - nearest, 12)}


def test_a_routed_decision_is_the_contracts_event() -> None:
    assert event(ROUTED) == {
        "decision_id": decision_id(record()),
        "request_id": "r-1",
        "time": "2026-11-22T09:00:00Z",
        "policy": {"name": "helpdesk", "hash": "sha256:ab"},
        "outcome": "route",
        "route": "refunds",
        "model": "mini",
        "target": {"provider": "openai", "name": "gpt-5-mini"},
        "fallbacks": ["local"],
        "parameters": {"reasoning": "high", "stop": ["a", "b"]},
        "redacted": [{"message": 0, "start": 3, "end": 9, "kind": "email"}],
        "reject": None,
        "tags": ["t"],
        "headers": {"x-a": "1"},
        "category": "money",
        "cache": {
            "status": "miss",
            "similarity": 0.71,
            "entry": None,
            "response": None,
            "reason": "below",
        },
        "selection": {"by": "cost", "candidates": ["mini", "local"], "propensity": 1.0},
        "signals": {"refund": 0.91, "urgent": False, "pii": ["email", "phone"]},
        "margins": {"refund": 0.11},
        "skipped": ["effort"],
        "failures": [{"signal": "topic", "reason": "timeout"}],
        "path": [3, 9, 12],
        "timing_us": {"total": 812, "embed": 640},
        "shadow": {
            "model": "local",
            "target": {"provider": None, "name": "llama", "endpoint": "http://gpu:8000"},
        },
    }


def test_a_cached_answer_is_carried_as_it_was_stored() -> None:
    body = b'{"choices":[{"message":{"content":"\xc3\xa4"}}]}'
    answer = CacheAnswer("hit", 1.0, "e1", body, "exact")
    value = event(Decision("cached", route="r", category="money", cache=answer))
    assert value["cache"]["response"] == json.loads(body)
    assert (value["model"], value["target"], value["selection"]) == (None, None, None)
    near = CacheAnswer("miss", 0.8, examples=(Example("e2", 0.8, b"{}"),))
    value = event(Decision("route", route="r", model="mini", cache=near))
    assert value["cache"]["examples"] == [{"entry": "e2", "similarity": 0.8, "response": {}}]


def test_a_rejection() -> None:
    value = event(Decision("reject", reject=Reject("no_attacks", 403, "prompt_injection")))
    assert value["reject"] == {"guard": "no_attacks", "status": 403, "reason": "prompt_injection"}
    assert value["route"] is None
    overflow = event(Decision("reject", reject=Reject(None, 413, "context_overflow")))
    assert overflow["reject"]["guard"] is None


def test_the_id_depends_on_the_place_alone_and_the_bytes_on_the_decision_alone() -> None:
    assert decision_id(record()) == decision_id(record((("a", b"b"),)))
    places = [("requests", 3, 18), ("requests", 4, 17), ("other", 3, 17), ("requests31", 7, 17)]
    ids = {decision_id(Record(t, p, o, 0, None, None)) for t, p, o in places}
    assert len(ids | {decision_id(record())}) == 5
    assert encode(record()) == encode(record())


def test_plain_headers_are_copied() -> None:
    headers = (("traceparent", b"00-ab-cd-01"), ("x", b"\xff"), ("x", b"2"))
    assert encode(record(headers)).headers == headers


@pytest.mark.parametrize(
    "headers",
    [
        (
            ("ce_specversion", b"1.0"),
            ("ce_id", b"r-1"),
            ("ce_type", b"llm.request"),
            ("ce_source", b"shop"),
            ("content-type", b"application/json"),
            ("traceparent", b"00-ab-cd-01"),
        ),
        (("content-type", b"application/cloudevents+json"), ("traceparent", b"00-ab-cd-01")),
    ],
)
def test_a_cloud_event_is_answered_with_one_in_binary_mode(headers: Headers) -> None:
    decided = encode(record(headers))
    assert sorted(decided.headers) == [
        ("ce_id", decision_id(record()).encode()),
        ("ce_source", b"routec/helpdesk"),
        ("ce_specversion", b"1.0"),
        ("ce_time", b"2026-11-22T09:00:00Z"),
        ("ce_type", b"routec.decision"),
        ("content-type", b"application/json"),
        ("traceparent", b"00-ab-cd-01"),
    ]
    assert orjson.loads(decided.value)["request_id"] == "r-1"
