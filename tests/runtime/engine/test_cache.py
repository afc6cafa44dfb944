"""Asking the cache: when, for whom, and on what terms."""

from __future__ import annotations

from typing import Any

import pytest

from routec.runtime.engine import Engine
from routec.runtime.events import Decision, Request
from tests.runtime.doubles import Embedder, ask, cache_of, program, services

POLICY = """
request { tenant: string = "acme" }
signal kw = keyword("order")
signal no = keyword("secret")
model m {}
category orders { when kw, similarity: 0.8, ttl: 10m, scope: tenant }
route private priority 1 { when no to m cache off }
default route r { to m }
"""
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "on its way"}}]}


def built(text: str = POLICY, embedder: Embedder | None = None) -> Engine:
    made = program(text)
    embedder = embedder or Embedder()
    return Engine(made, services(embedder=embedder, cache=cache_of(made, embedder)))


def say(text: str = "where is my order", tenant: str = "acme", **given: Any) -> Request:
    return ask(text, attributes={"tenant": tenant}, **given)


async def taught(engine: Engine, request: Request) -> None:
    (decision,) = await engine.decide([request])
    assert decision.cache.status == "miss"
    assert decision.ticket is not None
    assert engine.store(decision.ticket, ANSWER, request.time_ms / 1000)


async def one(engine: Engine, request: Request) -> Decision:
    (decision,) = await engine.decide([request])
    return decision


async def test_the_same_request_is_answered_without_an_embedding() -> None:
    embedder = Embedder()
    engine = built(embedder=embedder)
    await taught(engine, say())
    embedder.calls.clear()
    decision = await one(engine, say(id="r-2"))
    assert (decision.outcome, decision.route, decision.category) == ("cached", None, "orders")
    assert (decision.cache.status, decision.cache.tier) == ("hit", "exact")
    assert decision.model is None
    assert decision.selection is None
    assert decision.fallbacks == ()
    assert embedder.calls == []


async def test_a_similar_request_is_answered_with_its_similarity() -> None:
    engine = built()
    await taught(engine, say())
    decision = await one(engine, say("where is my order please"))
    assert (decision.outcome, decision.cache.tier) == ("cached", "semantic")
    assert decision.cache.similarity is not None
    assert 0.8 <= decision.cache.similarity < 1.0


async def test_another_question_misses_and_says_how_near_it_came() -> None:
    engine = built()
    await taught(engine, say())
    decision = await one(engine, say("cancel the last order of green shoes"))
    assert decision.outcome == "route"
    assert (decision.cache.status, decision.cache.reason) == ("miss", "below")
    assert decision.cache.similarity is not None
    assert decision.cache.similarity < 0.8


async def test_tenants_never_meet() -> None:
    engine = built()
    await taught(engine, say())
    decision = await one(engine, say(tenant="globex"))
    assert (decision.outcome, decision.cache.reason) == ("route", "empty")


@pytest.mark.parametrize(
    "body",
    [
        {"temperature": 0.9},
        {"model": "other"},
        {"response_format": {"type": "json_object"}},
        {"messages": [{"role": "system", "content": "be rude"}, {"role": "user", "content": "?"}]},
        {"messages": [{"role": "user", "content": "?", "name": "ann"}]},
    ],
)
async def test_what_changes_the_answer_parts_requests(body: dict[str, Any]) -> None:
    engine = built()
    await taught(engine, say())
    question = "where is my order"
    messages = body.pop("messages", [{"role": "user", "content": question}])
    talk = [(m["role"], question if m["role"] == "user" else m["content"]) for m in messages]
    whole = {**body, "messages": messages}
    request = ask(messages=talk, attributes={"tenant": "acme"}, body=whole)
    assert (await one(engine, request)).outcome == "route"


async def test_what_does_not_change_the_answer_does_not_part_requests() -> None:
    engine = built()
    await taught(engine, say())
    messages = [{"role": "user", "content": "where is my order"}]
    body = {"user": "u-1", "metadata": {"trace": "9"}, "stream": True, "messages": messages}
    assert (await one(engine, say(body=body))).outcome == "cached"


async def test_earlier_turns_part_requests() -> None:
    engine = built()
    await taught(engine, say())
    talk = [("user", "hi"), ("assistant", "hello"), ("user", "where is my order")]
    request = ask(messages=talk, attributes={"tenant": "acme"})
    assert (await one(engine, request)).outcome == "route"


async def test_tools_and_images_are_only_matched_exactly() -> None:
    embedder = Embedder()
    engine = built(embedder=embedder)
    for flag in ("has_tools", "has_image"):
        decision = await one(engine, say(**{flag: True}))
        assert (decision.cache.status, decision.cache.reason) == ("miss", "absent")
        assert decision.ticket is not None
        assert decision.ticket.vector is None
    assert embedder.calls == []


async def test_a_route_without_cache_and_a_request_without_category_do_not_ask() -> None:
    embedder = Embedder()
    engine = built(embedder=embedder)
    for text in ("secret order", "hello"):
        decision = await one(engine, say(text))
        assert decision.category is None
        assert decision.cache.status == "skipped"
        assert decision.ticket is None
    assert embedder.calls == []


async def test_a_forced_category_needs_no_condition() -> None:
    engine = built(
        POLICY.replace("default route r { to m }", "default route r { to m cache orders }")
    )
    decision = await one(engine, say("hello"))
    assert decision.category == "orders"
    assert decision.cache.status == "miss"


async def test_a_promised_error_keeps_the_semantic_tier_closed() -> None:
    embedder = Embedder()
    engine = built(POLICY.replace("similarity: 0.8", "max_error: 1%"), embedder)
    await taught(engine, say())
    assert (await one(engine, say("where is my order please"))).outcome == "route"
    assert (await one(engine, say())).outcome == "cached"
    assert embedder.calls == []


async def test_an_answer_expires_by_event_time() -> None:
    engine = built()
    await taught(engine, say(time_ms=0))
    assert (await one(engine, say(time_ms=600_000))).outcome == "cached"
    late = await one(engine, say(time_ms=602_000))
    assert (late.outcome, late.cache.reason) == ("route", "expired")


async def test_near_answers_are_attached_as_examples() -> None:
    terms = "similarity: 0.99, examples: 0.5"
    engine = built(POLICY.replace("similarity: 0.8", terms))
    await taught(engine, say())
    decision = await one(engine, say("where is my order please"))
    assert decision.outcome == "route"
    (example,) = decision.cache.examples
    assert b"on its way" in example.response


async def test_a_failing_embedder_is_a_miss_and_leaves_exact_matches() -> None:
    embedder = Embedder()
    engine = built(embedder=embedder)
    await taught(engine, say())
    embedder.fails = True
    decision = await one(engine, say("where is my order please"))
    assert (decision.outcome, decision.cache.reason) == ("route", "no-vector")
    assert (await one(engine, say())).outcome == "cached"


async def test_a_failing_cache_is_a_miss() -> None:
    class Broken:
        def exact(self, *_: Any) -> Any:
            raise RuntimeError("boom")

        nearest = exact

    engine = Engine(program(POLICY), services(embedder=Embedder(), cache=Broken()))
    decision = await one(engine, say())
    assert (decision.outcome, decision.cache.reason) == ("route", "failed")


async def test_the_cache_is_never_asked_past_a_rejecting_guard() -> None:
    engine = built(POLICY + 'guard stop { when no reject 403 "no" }')
    await taught(engine, say())
    made = program(POLICY)
    assert made.guards == ()
    decision = await one(engine, say("secret order"))
    assert decision.outcome == "reject"
    assert decision.cache.status == "skipped"
