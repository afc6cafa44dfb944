"""`docs/asyncapi.json` is current, and what routec reads and writes is what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import ConsumerRecord
from jsonschema import Draft7Validator, FormatChecker

from routec.runtime.engine import Engine
from routec.runtime.events import Decoder, Encoder
from routec.runtime.observe.asyncapi import dump
from routec.runtime.records import Dead, Decided, Record
from routec.runtime.service import PolicyService
from routec.runtime.stream.letters import dead_letter_headers
from tests.runtime.doubles import Backend, Embedder, cache_of, program, services
from tests.runtime.events.test_encode import MODELS, REQUEST, ROUTED

FILE = Path(__file__).resolve().parents[2] / "docs" / "asyncapi.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
MESSAGES = DOCUMENT["components"]["messages"]

POLICY = """
request { tenant: string }
signal kw    = keyword("order")
signal bad   = keyword("attack")
signal pii   = entities(credit_card, email)
signal size  = tokens()
signal topic = classifier("topic") { labels: [billing, code, other], on_error: other }
signal near  = similarity { examples: ["my parcel is late"] }
model mini { provider: openai, latency: 1s }
model opus { provider: anthropic, endpoint: "https://opus.example", latency: 2s }
category orders { when kw, similarity: 0.8, ttl: 1h, scope: tenant }
guard stop { when bad reject 403 "attack" }
guard clean { when not pii.empty redact pii tag "masked" }
route bills { when topic == billing to opus }
route close { when near > 0.5 to [mini, opus] by latency }
default route rest { to mini fallback opus }
"""


def validator(schema: dict[str, Any]) -> Draft7Validator:
    # A reference replaces what stands beside it, so it gets a place of its own.
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    Draft7Validator.check_schema(whole)
    return Draft7Validator(whole, format_checker=FormatChecker())


PAYLOADS = {name: validator(message["payload"]) for name, message in MESSAGES.items()}


def wrong(message: str, payload: Any) -> list[str]:
    return [f"{list(e.path)}: {e.message}" for e in PAYLOADS[message].iter_errors(payload)]


def record(offset: int, text: str, **given: Any) -> Record:
    event = {
        "attributes": {"tenant": "acme"},
        "body": {"messages": [{"role": "user", "content": text}]},
        **given,
    }
    return Record("requests", 0, offset, 1000, b"k", orjson.dumps(event))


def service() -> PolicyService:
    made, embedder = program(POLICY), Embedder()
    topic = Backend("billing", "code", "other", name="topic")
    return PolicyService(
        Engine(
            made,
            services(
                embedder=embedder,
                cache=cache_of(made, embedder, now=1e9),
                classifiers={"topic": topic},
            ),
        )
    )


async def decisions() -> list[dict[str, Any]]:
    """Decisions of a policy with one of everything, of every outcome."""
    made = service()
    texts = [
        "my order is late",
        "attack at dawn",
        "billing question, mail me at a@example.com",
        "my parcel is late",
        "card 4111 1111 1111 1111",
        "",
    ]
    found = await made.decide([record(n, text) for n, text in enumerate(texts)])
    values = [json.loads(one.value) for one in found if isinstance(one, Decided)]
    answer = {
        "decision_id": values[0]["decision_id"],
        "model": "mini",
        "body": {"choices": [{"message": {"content": "soon"}, "finish_reason": "stop"}]},
        "ok": True,
    }
    assert wrong("response", answer) == []
    made.learn([Record("responses", 0, 0, 0, None, orjson.dumps(answer))])
    (hit,) = await made.decide([record(9, texts[0])])
    assert isinstance(hit, Decided)
    made.close()
    return [*values, json.loads(hit.value)]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(reference: str) -> Any:
    node: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_the_file_is_what_the_generator_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == dump()


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert found
    assert all(resolved(one) for one in found)
    named = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert named <= found


@pytest.mark.parametrize(
    ("message", "payload"),
    [(name, e["payload"]) for name, m in MESSAGES.items() for e in m.get("examples", ())],
)
def test_the_examples_are_valid(message: str, payload: Any) -> None:
    assert wrong(message, payload) == []


async def test_what_the_engine_decides_is_valid_and_fully_described() -> None:
    made = await decisions()
    assert {one["outcome"] for one in made} == {"route", "cached", "reject"}
    described = DOCUMENT["components"]["schemas"]["Decision"]["properties"]
    for one in made:
        assert wrong("decision", one) == []
        assert one.keys() <= described.keys()


def test_a_decision_with_every_member_is_valid_and_fully_described() -> None:
    whole = json.loads(
        orjson.dumps(Encoder("p", "sha256:1", MODELS).event("0" * 32, REQUEST, ROUTED))
    )
    assert wrong("decision", whole) == []
    described = DOCUMENT["components"]["schemas"]["Decision"]["properties"]
    assert whole.keys() == described.keys()


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "maybe"},
        {"route": None},
        {"decision_id": "x"},
        {"reject": {"guard": None, "status": 1, "reason": "x"}},
        {"signals": {"s": {}}},
        {"fallbacks": [1]},
        {"time": 3},
        {"cache": {"status": "perhaps", "similarity": None, "entry": None, "response": None}},
        {"cache": {"status": "miss"}},
        {"redacted": [{"message": "0"}]},
    ],
)
async def test_what_is_no_decision_is_not_valid(change: dict[str, Any]) -> None:
    routed = next(one for one in await decisions() if one["outcome"] == "route")
    assert wrong("decision", routed | change)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"body": {}},
        {"body": {"messages": []}},
        {"body": {"messages": [{"role": "king", "content": "x"}]}},
        {"body": {"messages": [{"role": "user", "content": 3}]}},
        {"request_id": "", "body": {"messages": [{"role": "user", "content": "x"}]}},
        {"attributes": [], "body": {"messages": [{"role": "user", "content": "x"}]}},
        {"attributes": {"a": 1}, "body": {"messages": [{"role": "user", "content": "x"}]}},
        {"body": {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}},
        {"messages": [{"role": "assistant", "content": None}]},
        {"time": None, "request_id": None, "body": {"messages": [{"role": "tool"}]}},
    ],
)
def test_requests_are_valid_exactly_when_they_are_read(event: dict[str, Any]) -> None:
    value = orjson.dumps(event)
    read = Decoder(()).decode(Record("requests", 0, 0, 0, None, value))
    assert (wrong("request", event) == []) is not isinstance(read, Dead)


def test_a_dead_letter_has_the_headers_that_are_promised() -> None:
    consumed = ConsumerRecord("requests", 0, 7, 0, 0, None, b"{", None, 0, 1, ())
    headers = dead_letter_headers(consumed, Dead("invalid-json", "no"), "sha256:1")
    found = {name: (value or b"").decode() for name, value in headers}
    schema = validator(MESSAGES["deadLetter"]["headers"])
    assert [error.message for error in schema.iter_errors(found)] == []
    assert list(schema.iter_errors({}))
