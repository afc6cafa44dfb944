"""Deciding a batch is deciding its requests one by one."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from routec.runtime.engine import Engine
from routec.runtime.events import Decision, Request
from tests.runtime.doubles import Backend, Embedder, ask, cache_of, program, services

POLICY = """
request { tier: enum(free, pro) = free }
signal urgent = keyword("urgent", "asap")
signal card   = entities(credit_card, email)
signal size   = tokens()
signal lang   = language()
signal again  = repeated { similarity: 0.95 }
signal refund = similarity { examples: ["please refund my order", "money back"] }
signal bad    = classifier("guard") { labels: [attack, fine], on_error: attack }
signal topic  = classifier("topic") { labels: [billing, code, other], on_error: other }
model mini { context: 10 input: $1 output: $2 }
model opus { context: 100 input: $5 output: $25 }
category money { when topic == billing, similarity: 0.8, ttl: 1h }
category rest  { when not urgent, similarity: 0.99, ttl: 1h }
guard attacks { when bad.attack > 0.5 reject 403 "attack" }
guard cards   { when not card.empty redact card tag "pii" }
route german priority 9 { when lang == de and tier == pro to opus }
route loops  priority 8 { when again to mini cache off }
route money  priority 7 { when refund > 0.7 or topic == billing to [mini 50%, opus 50%] }
default route rest { to [mini, opus] by round_robin fallback opus }
"""
MADE = program(POLICY)

TEXTS = (
    "please refund my order",
    "urgent refund of my money back",
    "attack",
    "billing question of der kunde",
    "my card is 4111 1111 1111 1111 and billing",
    "write to a@example.com asap",
    "code code code",
    "one two three four five six seven eight nine ten eleven",
    "",
)

conversations = st.lists(
    st.tuples(st.sampled_from(("user", "user", "system", "assistant")), st.sampled_from(TEXTS)),
    min_size=1,
    max_size=4,
)


def fresh() -> Engine:
    embedder = Embedder()
    cache = cache_of(MADE, embedder)
    made = Engine(
        MADE,
        services(
            embedder=embedder,
            cache=cache,
            classifiers={
                "guard": Backend("attack", "fine"),
                "topic": Backend("billing", "code", "other"),
            },
        ),
    )
    (seed,) = asyncio.run(made.decide([ask("billing question", attributes={"tier": "free"})]))
    assert seed.ticket is not None
    assert made.store(seed.ticket, {"choices": [{"message": {"content": "see the bill"}}]}, 0.0)
    return made


def shape(decision: Decision) -> dict[str, Any]:
    """Everything but timings and the ticket, whose vector has no equality."""
    out = ("timing_us", "ticket")
    return {n: getattr(decision, n) for n in Decision.__struct_fields__ if n not in out}


def ask_all(batch: list[tuple[str, list[tuple[str, str]]]]) -> list[Request]:
    return [
        ask(id=f"r-{at}", messages=messages, attributes={"tier": tier})
        for at, (tier, messages) in enumerate(batch)
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("free", "pro")), conversations), max_size=6))
def test_a_batch_is_its_requests(batch: list[tuple[str, list[tuple[str, str]]]]) -> None:
    together = asyncio.run(fresh().decide(ask_all(batch)))
    engine = fresh()
    alone = [asyncio.run(engine.decide([request]))[0] for request in ask_all(batch)]
    assert [shape(d) for d in together] == [shape(d) for d in alone]


async def test_an_empty_batch_has_no_decisions() -> None:
    assert await Engine(program("model m {} default route r { to m }"), services()).decide([]) == []


async def test_round_robin_takes_turns_in_the_order_of_the_batch() -> None:
    made = Engine(
        program("model a {} model b {} model c {} default route r { to [a, b, c] by round_robin }"),
        services(),
    )
    decided = await made.decide([ask("x", id=str(at)) for at in range(5)])
    assert [d.model for d in decided] == ["a", "b", "c", "a", "b"]
    assert [d.model for d in await made.decide([ask("x")])] == ["c"]
