"""What was recorded of a decision is enough to make it again, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.plan import optimise
from routec.compiler.program import Model, Program, digest
from routec.runtime.events.decision import Decision
from routec.runtime.events.request import Message, Request
from routec.runtime.records import Record
from routec.runtime.replay import UNRECORDED, Event, Redecided, Refused, Replay, dollars
from routec.runtime.replay.recalling import RecallingEngine
from routec.runtime.signals import Scores
from routec.runtime.signals.services import Services
from routec.runtime.signals.values import Pin
from routec.safety.text import NORMALISER_VERSION
from tests.runtime.doubles import Backend, Embedder, ask, services

SIGNALS = """\
signal urgent = keyword("urgent", "asap")
signal size   = tokens()
signal pii    = entities(email)
signal attack = classifier("attack") { labels: [jailbreak, benign], on_error: jailbreak }
signal topic  = classifier("topic") { labels: [code, legal, other], on_error: other }
signal refund = similarity { examples: ["refund money back"] }
signal effort = contrast { high: ["prove theorem"], low: ["hello"] }
signal again  = repeated { similarity: 0.8 }
signal need   = score { 0.5 * effort + 0.3 * urgent + 0.2 * (size > 6) }
signal band   = bands(need) { low: < 0.1, mid: < 0.3, high }
"""
POLICY = f"""\
policy made
request {{ tier: enum(free, pro) = free }}
{SIGNALS}model mini {{ provider: openai }}
model opus {{ provider: anthropic }}
category code {{ when topic == code and not again, ttl: 1h }}
guard stop  {{ when attack.jailbreak >= 0.8 reject 403 "no" }}
guard cards {{ when not pii.empty redact pii }}
route hard priority 30 {{ when band == high and tier == pro to opus }}
route legal priority 20 {{ when topic.legal >= 0.5 or refund >= 0.7 to opus cache off }}
route twice priority 10 {{ when again and effort > 0 to opus }}
default route rest {{ to mini }}
"""
COSTLY = {"attack", "topic", "refund", "effort", "again"}
WORDS = ("urgent", "jailbreak", "code", "legal", "refund", "money", "prove", "theorem", "hello",
         "back", "a@example.com", "the")  # fmt: skip


def compiled(text: str = POLICY, *, planned: bool) -> Program:
    checked = check_bytes("p.route", text.encode())
    assert checked.policy is not None
    program = lower(checked.policy, normaliser=NORMALISER_VERSION)
    return optimise(checked.policy, program).program if planned else program


def live(**changed: Any) -> Services:
    bound = {"attack": Backend("jailbreak", "benign"), "topic": Backend("code", "legal", "other")}
    return services(embedder=Embedder(), classifiers=bound, **changed)


def reading(program: Program) -> Any:
    """Reads plain values, and scores by ``NAME.LABEL``; the label is that recorded."""
    costly = {s.name: s for s in program.signals if s.name in COSTLY}

    def read(recorded: Mapping[str, Any]) -> Mapping[str, Pin]:
        found: dict[str, Pin] = {}
        for name, signal in costly.items():
            if signal.kind != "classifier":
                if name in recorded:
                    found[name] = recorded[name]
                continue
            known = {x: recorded[f"{name}.{x}"] for x in signal.labels if f"{name}.{x}" in recorded}
            label = recorded.get(name)
            if known or label is not None:
                left = [x for x in signal.labels if x not in known]
                rest = max(0.0, 1 - sum(known.values())) / len(left) if left else 0.0
                scores = {x: known.get(x, rest) for x in signal.labels}
                found[name] = Scores(label or max(signal.labels, key=scores.__getitem__), scores)
        return found

    return read


def replay(program: Program, given: Services, uncomputed: set[str]) -> Replay:
    return Replay(program, given, reading(program), uncomputed, digest(program))


def event(number: int, texts: list[str], tier: str = "free", **known: Any) -> Event:
    messages = [{"role": "user", "content": text} for text in texts]
    value = {
        "request_id": f"r{number}",
        "attributes": {"tier": tier},
        "body": {"messages": messages},
    }
    return Event(number, Record("t", 0, number, 0, None, orjson.dumps(value)), **known)


texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join),
                 min_size=1, max_size=3)  # fmt: skip


@pytest.mark.parametrize("planned", [False, True], ids=["unplanned", "planned"])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(texts, st.sampled_from(("free", "pro"))), min_size=1, max_size=6))
def test_what_was_read_is_enough(planned: bool, asked: list[tuple[list[str], str]]) -> None:
    program = compiled(planned=planned)
    first = replay(program, live(), set())
    events = [event(at, *one) for at, one in enumerate(asked)]
    made = asyncio.run(first.decide(events))
    documents = [first.document(one) for one in made if isinstance(one, Redecided)]
    assert len(documents) == len(events)

    second = replay(program, services(), COSTLY)
    recorded = [
        event(at, *one, signals=document["signals"], decision_id=document["decision_id"])
        for (at, one), document in zip(enumerate(asked), documents, strict=True)
    ]
    again = asyncio.run(second.decide(recorded))
    assert [one for one in again if isinstance(one, Refused)] == []
    found = [second.document(one) for one in again if isinstance(one, Redecided)]
    assert list(map(orjson.dumps, found)) == list(map(orjson.dumps, documents))


async def test_recorded_values_are_not_computed() -> None:
    program = compiled(planned=True)
    given = live()
    signals = {"attack.jailbreak": 0.1, "attack": "benign", "topic": "other", "topic.legal": 0.2,
               "refund": 0.1, "effort": -0.5, "again": False}  # fmt: skip
    [found] = await replay(program, given, set()).decide(
        [event(1, ["legal jailbreak"], signals=signals)]
    )
    assert isinstance(found, Redecided)
    assert found.decision.route == "rest"
    embedded = [text for call in given.embedder.calls for text in call]  # type: ignore[union-attr]
    assert "legal jailbreak" not in embedded
    assert all(backend.calls == [] for backend in given.classifiers.values())  # type: ignore[union-attr]


async def test_live_computes_what_was_not_recorded() -> None:
    program = compiled(planned=True)
    given = live()
    [found] = await replay(program, given, set()).decide(
        [event(1, ["legal question"], signals={"attack.jailbreak": 0.1})]
    )
    assert isinstance(found, Redecided)
    assert found.decision.route == "legal"
    assert given.classifiers["attack"].calls == []  # type: ignore[union-attr]
    assert given.classifiers["topic"].calls == [["legal question"]]  # type: ignore[union-attr]


async def test_one_event_that_lacks_a_value_does_not_touch_the_others() -> None:
    program = compiled(planned=True)
    good = {"attack.jailbreak": 0.9}
    found = await replay(program, services(), COSTLY).decide(
        [event(1, ["hi"], signals=good), event(2, ["hi"]), event(3, ["hi"], signals=good)]
    )
    first, second, third = found
    assert isinstance(first, Redecided)
    assert isinstance(third, Redecided)
    assert isinstance(second, Refused)
    assert (second.code, second.signals) == (UNRECORDED, ("attack",))
    assert second.request is not None
    assert second.document()["request_id"] == "r2"
    assert first.decision.reject == third.decision.reject


async def test_values_are_given_to_the_request_that_they_were_recorded_of() -> None:
    """Two requests with one text and other values, in one batch."""
    program = compiled(planned=True)
    engine = RecallingEngine(program, services(), digest(program))
    attacks = [Scores("jailbreak", {"jailbreak": p, "benign": 1 - p}) for p in (0.9, 0.81)]
    requests = [ask("hi", id=str(at), attributes={"tier": "free"}) for at in range(2)]
    decisions = await engine.decide_recorded(requests, [{"attack": a} for a in attacks], [{}, {}])
    assert [d.signals["attack.jailbreak"] for d in decisions] == [0.9, 0.81]


async def test_nothing_is_remembered_after_a_batch() -> None:
    program = compiled(planned=True)
    engine = RecallingEngine(program, services(), digest(program))
    request = ask("hi", attributes={"tier": "free"})
    benign = Scores("benign", {"jailbreak": 0.9, "benign": 0.1})
    [known] = await engine.decide_recorded([request], [{"attack": benign}], [{}])
    [unknown] = await engine.decide([request])
    assert known.failures == ()
    assert [failure.signal for failure in unknown.failures] == ["attack"]


async def test_a_value_of_another_type_is_refused() -> None:
    program = compiled(planned=True)
    engine = RecallingEngine(program, services(), digest(program))
    with pytest.raises(ValueError, match="refund"):
        await engine.decide_recorded([ask("hi")], [{"refund": "high"}], [{}])


# --- what a decision costs ----------------------------------------------------------

MODELS = {
    "dear": Model("dear", "dear", input=5.0, output=25.0),
    "free": Model("free", "free", input=0.0, output=0.0),
    "unknown": Model("unknown", "unknown", input=1.0),
}


def request(**given: Any) -> Request:
    return Request("r", {}, (Message("user", "hi"),), tokens=1000, **given)


@pytest.mark.parametrize(
    ("decision", "asked", "expected"),
    [
        (Decision("reject"), request(), 0.0),
        (Decision("route", model="free"), request(), 0.0),
        (Decision("route", model="unknown"), request(), None),
        # 1,000 tokens in, and 500 out where nobody limits them.
        (Decision("route", model="dear"), request(), (5000 + 12500) / 1e6),
        (Decision("route", model="dear"), request(max_tokens=100), (5000 + 2500) / 1e6),
        (
            Decision("route", model="dear", parameters={"max_tokens": 10}),
            request(max_tokens=100),
            (5000 + 250) / 1e6,
        ),
    ],
)
def test_dollars_of_a_decision(decision: Decision, asked: Request, expected: float | None) -> None:
    assert dollars(MODELS, asked, decision) == expected
