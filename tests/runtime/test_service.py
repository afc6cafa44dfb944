"""The service: records in, outcomes out, and what it learns from responses."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import orjson
import pytest

from routec.compiler.program import Category
from routec.runtime.engine import Engine, terms_of
from routec.runtime.records import Dead, Decided, Decider, Record
from routec.runtime.service import EventClock, PolicyService
from routec.runtime.signals import Observer
from tests.runtime.doubles import Embedder, cache_of, program, services

POLICY = """
request { tenant: string }
signal kw  = keyword("order")
signal pii = entities(credit_card)
model mini { latency: 1s }
model opus { latency: 2s }
category orders { when kw, similarity: 0.8, ttl: 1h, scope: tenant }
guard clean { when not pii.empty redact pii }
default route r { to [mini, opus] by latency }
"""


class Counting(Observer):
    """Counts what it hears."""

    __slots__ = ("heard",)

    def __init__(self) -> None:
        self.heard: Counter[tuple[str, ...]] = Counter()

    def learnt(self, status: str) -> None:
        self.heard["learnt", status] += 1

    def looked_up(self, category: str, status: str, requests: int) -> None:
        self.heard["looked_up", category, status] += requests

    def decided(self, outcome: str, route: str | None, requests: int) -> None:
        self.heard["decided", outcome, str(route)] += requests

    def signal(self, name: str, source: str, requests: int, seconds: float) -> None:
        self.heard["signal", name, source] += requests


def service(**given: Any) -> PolicyService:
    made = program(POLICY)
    embedder = Embedder()
    observer = given.pop("observer", Observer())
    built = services(embedder=embedder, cache=cache_of(made, embedder, now=1e9))
    return PolicyService(Engine(made, built, observer), observer=observer, **given)


def record(offset: int, text: str = "where is my order", **given: Any) -> Record:
    event = {
        "request_id": f"r-{offset}",
        "attributes": {"tenant": given.pop("tenant", "acme")},
        "body": {"messages": [{"role": "user", "content": text}]},
        **given,
    }
    return Record("requests", 0, offset, 1000, b"k", orjson.dumps(event))


def response(decided: dict[str, Any], **changed: Any) -> Record:
    event = {
        "request_id": decided["request_id"],
        "decision_id": decided["decision_id"],
        "model": "mini",
        "body": {"choices": [{"message": {"content": "soon"}, "finish_reason": "stop"}]},
        "usage": {"prompt_tokens": 4, "completion_tokens": 1},
        "latency_ms": 900,
        "ok": True,
    }
    return Record("responses", 0, 0, 2000, None, orjson.dumps({**event, **changed}))


async def decided(made: PolicyService, *records: Record) -> list[dict[str, Any]]:
    outcomes = await made.decide(records)
    assert all(isinstance(outcome, Decided) for outcome in outcomes)
    return [json.loads(o.value) for o in outcomes if isinstance(o, Decided)]


async def test_every_record_has_its_outcome_in_order() -> None:
    made: Decider = service()
    records = [
        record(0),
        Record("requests", 0, 1, 0, None, b"not json"),
        record(2, tenant="globex"),
        Record("requests", 0, 3, 0, None, None),
        record(4, tenant=5),
    ]
    outcomes = await made.decide(records)
    ids = [json.loads(o.value)["request_id"] for o in outcomes if isinstance(o, Decided)]
    assert ids == ["r-0", "r-2"]
    codes = [(at, o.code) for at, o in enumerate(outcomes) if isinstance(o, Dead)]
    assert codes == [(1, "invalid-json"), (3, "empty-event"), (4, "invalid-attribute")]
    assert made.policy_hash.startswith("sha256:")
    assert await made.decide([]) == []


async def test_a_decision_made_again_is_the_same_but_for_its_timings() -> None:
    (first,) = await decided(service(), record(7))
    (again,) = await decided(service(), record(7))
    del first["timing_us"], again["timing_us"]
    assert first == again
    assert first["policy"] == {"name": "made", "hash": service().policy_hash}


async def test_a_response_fills_the_cache_once() -> None:
    made = service(observer=(heard := Counting()))
    (missed,) = await decided(made, record(0))
    made.learn([response(missed), response(missed)])
    assert heard.heard["learnt", "stored"] == 1
    assert heard.heard["learnt", "unknown"] == 1
    hit, other = await decided(made, record(1), record(2, tenant="globex"))
    assert hit["outcome"] == "cached"
    assert hit["cache"]["response"]["choices"][0]["message"]["content"] == "soon"
    assert other["outcome"] == "route"
    assert heard.heard["looked_up", "orders", "hit"] == 1
    assert heard.heard["decided", "cached", "None"] == 1
    assert heard.heard["signal", "kw", "computed"] == 3


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"ok": False}, "refused"),
        ({"ok": 1}, "refused"),
        ({"body": None}, "refused"),
        ({"body": {"choices": []}}, "refused"),
        ({"body": {"error": {"code": 500}, "choices": [{}]}}, "refused"),
        ({"body": {"choices": [{"finish_reason": "length"}]}}, "refused"),
        ({"body": {"choices": [{"finish_reason": "content_filter"}]}}, "refused"),
        ({"decision_id": "nobody's"}, "unknown"),
        ({"decision_id": 5}, "unknown"),
        ({"body": {"choices": ["x" * 80_000]}}, "invalid"),
    ],
)
async def test_answers_that_are_not_kept(changed: dict[str, Any], status: str) -> None:
    made = service(observer=(heard := Counting()))
    (missed,) = await decided(made, record(0))
    made.learn([response(missed, **changed)])
    assert heard.heard["learnt", status] == 1
    assert (await decided(made, record(1)))[0]["outcome"] == "route"


async def test_bad_response_records_are_counted_and_ignored() -> None:
    made = service(observer=(heard := Counting()))
    values = [None, b"", b"\xff", b"[]", b"{", b"[" * 3000, b'"x"']
    made.learn([Record("responses", 0, at, 0, None, v) for at, v in enumerate(values)])
    assert heard.heard["learnt", "invalid"] == len(values)


async def test_only_so_many_misses_are_remembered() -> None:
    made = service(pending=2, observer=(heard := Counting()))
    texts = ["order one", "order two", "order three"]
    missed = await decided(made, *(record(at, text) for at, text in enumerate(texts)))
    made.learn([response(each) for each in missed])
    assert heard.heard["learnt", "unknown"] == 1
    assert heard.heard["learnt", "stored"] == 2


async def test_observed_latencies_move_the_choice() -> None:
    made = service()
    (first,) = await decided(made, record(0, "hello"))
    assert first["model"] == "mini"
    odd: list[Any] = [-5, None, "slow", True, 1e300]
    made.learn([response(first, latency_ms=latency) for latency in odd])
    made.learn([response(first, model="nobody", latency_ms=1)])
    assert (await decided(made, record(1, "hello")))[0]["model"] == "mini"
    made.learn([response(first, latency_ms=9000)])
    assert (await decided(made, record(2, "hello")))[0]["model"] == "opus"


async def test_a_card_number_reaches_neither_the_event_nor_the_cache() -> None:
    made = service()
    (missed,) = await decided(made, record(0, "order with 4111 1111 1111 1111"))
    assert missed["redacted"] == [{"message": 0, "start": 11, "end": 30, "kind": "credit_card"}]
    assert "4111" not in json.dumps(missed)
    made.learn([response(missed)])
    (hit,) = await decided(made, record(1, "order with 5500 0000 0000 0004"))
    assert hit["outcome"] == "cached"


def test_event_time_follows_the_events_but_not_into_the_far_future() -> None:
    clock = EventClock()
    assert clock() == 0.0
    clock.advance(50.0)
    clock.advance(20.0)
    assert clock() == 50.0
    clock.advance(1e12)
    assert clock() == 50.0


def test_terms_of_a_category() -> None:
    terms = terms_of(Category("c", 0, similarity=0.9, quota=0.3, relax_to=(0.8, 0.5)))
    assert (terms.similarity, terms.quota, terms.relax_to) == (0.9, 0.3, (0.8, 0.5))
    assert terms.ttl > 3e9
    assert terms_of(Category("c", 0, max_error=0.01, quota=500)).quota == 500
    assert isinstance(terms_of(Category("c", 0, quota=500)).quota, int)
    assert terms_of(Category("c", 0, similarity=0.9, max_error=0.01)).similarity is None
