"""The endless stream of samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from routec.cli.demo.traffic import disguise
from routec.cli.demo.traffic.attributes import Attribute, attributes_for
from routec.cli.demo.traffic.draw import (
    below,
    chance,
    gap_ms,
    pick,
    pick_popular,
    pick_weighted,
)
from routec.cli.demo.traffic.phrasebook import Intent, draw_values, fill, intents, languages
from routec.cli.demo.traffic.sample import AttackKind, Length, Sample, Topic, Truth
from routec.cli.demo.traffic.writing import Message, document, line, phrase

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

_TOPICS: Mapping[Topic, float] = {
    "billing": 0.30,
    "code": 0.22,
    "legal": 0.14,
    "medical": 0.14,
    "other": 0.20,
}
_LANGUAGES: Mapping[str, float] = {
    "en": 0.80,
    "de": 0.07,
    "fr": 0.04,
    "es": 0.04,
    "it": 0.02,
    "zh": 0.015,
    "ja": 0.015,
}
_LENGTHS: Mapping[Length, float] = {
    "short": 0.84,
    "medium": 0.11,
    "long": 0.04,
    "very_long": 0.01,
}
_ATTACKS: Mapping[AttackKind, float] = {
    "instruction_override": 0.22,
    "role_play": 0.20,
    "base64": 0.07,
    "rot13": 0.05,
    "homoglyph": 0.06,
    "zero_width": 0.06,
    "lookalike": 0.34,
}
_PLANTS: Mapping[Topic, Mapping[str, float]] = {
    "billing": {"credit_card": 0.06, "iban": 0.04, "email": 0.06, "phone": 0.04, "ticket": 0.06},
    "code": {"api_key": 0.05, "ip_address": 0.04, "email": 0.01},
    "legal": {"email": 0.05, "phone": 0.04, "us_ssn": 0.03, "iban": 0.02},
    "medical": {"phone": 0.05, "email": 0.04, "us_ssn": 0.05},
    "other": {"email": 0.03, "phone": 0.03, "ticket": 0.03},
}
_P_ATTACK = 0.12  # attacks and what only looks like one
_P_REPEAT = 0.07
_P_FOLLOW_UP = 0.14
_P_UNHAPPY = 0.30  # of the follow-ups
_P_URGENT = 0.06
_P_GREETING = 0.15
_P_CLOSING = 0.12
_P_SYSTEM = 0.30
_P_IMAGE = 0.03
_P_MAX_TOKENS = 0.5
_RECENT = 64  # how far back an exact repeat may reach

_IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/upload/screenshot.png"}}
_TOOLS = {
    "code": {
        "name": "run_tests",
        "description": "Run the test suite of the repository",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
    },
    "billing": {
        "name": "find_order",
        "description": "Look an order up by its number",
        "parameters": {"type": "object", "properties": {"order": {"type": "string"}}},
    },
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with its conversation, ready for a body; it may be asked again word by word."""

    request_id: str
    messages: list[dict[str, Any]]
    truth: Truth


def generate(
    seed: int,
    schema: Sequence[Attribute] = (),
    *,
    start: datetime = START,
    rate: float = 20.0,
) -> Iterator[Sample]:
    """Samples without end; the same arguments give the same bytes on every machine.

    Args:
        seed: any integer.
        schema: the attributes that the policy's `request` block declares.
        start: time of the first event, with its time zone.
        rate: events a second of event time, on average; gaps are exponential.

    Raises:
        ValueError: at the first sample, if `rate` is not above 0 or `start` has no zone.
    """
    if not rate > 0:
        raise ValueError("the rate must be above 0")
    if start.tzinfo is None:
        raise ValueError("the start needs a time zone")
    rng = Random(f"routec traffic {seed}")
    now = start.astimezone(UTC)
    recent: deque[_Asked] = deque(maxlen=_RECENT)
    number = 0
    while True:
        number += 1
        request_id = f"r-{seed}-{number:07d}"
        if recent and chance(rng, _P_REPEAT):
            earlier = pick(rng, recent)
            truth = replace(earlier.truth, repeat_of=earlier.truth.repeat_of or earlier.request_id)
            asked = _Asked(request_id, earlier.messages, truth)
        elif chance(rng, _P_ATTACK):
            asked = _attack(rng, request_id)
        else:
            asked = _question(rng, request_id)
        recent.append(asked)
        event = {
            "request_id": request_id,
            "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "attributes": attributes_for(schema, rng, asked.truth.topic),
            "body": _body(rng, asked),
        }
        yield Sample(event, asked.truth)
        now += timedelta(milliseconds=gap_ms(rng, 1000.0 / rate))


def _question(rng: Random, request_id: str) -> _Asked:
    topic = pick_weighted(rng, _TOPICS)
    spoken = {code: w for code, w in _LANGUAGES.items() if code in languages(topic)}
    language = pick_weighted(rng, spoken)
    intent = pick_popular(rng, [i for i in intents(topic) if i.language == language])
    template, values = phrase(rng, intent)
    history, turn, unhappy = _history(rng, topic, intent, values)
    length = pick_weighted(rng, _LENGTHS)
    if intent.name == "summarise" and length == "short":
        length = "medium"  # there must be something to summarise
    urgent = language == "en" and topic != "other" and chance(rng, _P_URGENT)

    message = Message()
    opening = line(rng, "opening", language)
    if opening and not history and chance(rng, _P_GREETING):
        message.add(opening)
    if history and language == "en":
        message.add(line(rng, "unhappy" if unhappy else "follow_up", language) or "")
    text = document(rng, topic, length)
    document_first = text and intent.name != "summarise" and chance(rng, 0.4)
    if document_first:
        message.add(text)
    question = fill(template, values)
    message.add(question, "\n\n" if document_first else " ")
    for kind, probability in _PLANTS[topic].items():
        sentence = line(rng, kind, language)
        if sentence and chance(rng, probability):
            message.plant(sentence, rng)
    if urgent:
        message.add(line(rng, "urgent", language) or "")
    if text and not document_first:
        message.add(text, "\n\n")
    closing = line(rng, "closing", language)
    if closing and chance(rng, _P_CLOSING):
        message.add(closing)

    variant = "" if intent.same else f"#{intent.phrases.index(template)}"
    group = f"{topic}/{intent.name}{variant}/{language}/" + ",".join(values.values())
    if text:
        group += f"/{request_id}"  # another document makes it another question
    messages = [*history, {"role": "user", "content": message.text}]
    truth = Truth(
        topic=topic,
        intent=intent.name,
        language=language,
        attack=False,
        kind=None,
        entities=message.planted(len(messages) - 1),
        group=group,
        repeat_of=None,
        turn=turn,
        unhappy=unhappy,
        urgent=urgent,
        difficulty=intent.difficulty,
        length=length,
    )
    return _placed(rng, _Asked(request_id, messages, truth))


def _history(
    rng: Random, topic: Topic, intent: Intent, values: Mapping[str, str]
) -> tuple[list[dict[str, Any]], int, bool]:
    if not chance(rng, _P_FOLLOW_UP):
        return [], 1, False
    unhappy = chance(rng, _P_UNHAPPY)
    if unhappy:
        usable = [p for p in intent.phrases if set(draw_values(Random(0), p)) <= set(values)]
        before = fill(pick(rng, usable), values)
        answer = "Please have a look at our help pages."
    else:
        others = [i for i in intents(topic) if i.language == intent.language]
        template, drawn = phrase(rng, pick(rng, others))
        before = fill(template, drawn)
        answer = line(rng, "answer_opening", "en") or ""
    turns = [
        {"role": "user", "content": before},
        {"role": "assistant", "content": answer},
    ]
    return turns, 2, unhappy


def _attack(rng: Random, request_id: str) -> _Asked:
    kind = pick_weighted(rng, _ATTACKS)
    sections = {section.name: section for section in intents("attacks")}
    if kind in ("instruction_override", "role_play", "lookalike"):
        template, values = phrase(rng, sections[kind])
        text = fill(template, values)
    else:
        family = pick(rng, ("instruction_override", "role_play"))
        template, values = phrase(rng, sections[family])
        text = _disguised(rng, kind, fill(template, values), sections["disguised"])
    truth = Truth(
        topic="other",
        intent=kind,
        language="en",
        attack=kind != "lookalike",
        kind=kind,
        entities=(),
        group=f"attack/{kind}/{request_id}",
        repeat_of=None,
        turn=1,
        unhappy=False,
        urgent=False,
        difficulty="easy" if kind == "lookalike" else "hard",
        length="short",
    )
    return _placed(rng, _Asked(request_id, [{"role": "user", "content": text}], truth))


def _disguised(rng: Random, kind: AttackKind, text: str, carriers: Intent) -> str:
    if kind == "homoglyph":
        return disguise.in_homoglyphs(text)
    if kind == "zero_width":
        return disguise.with_zero_width(text, rng)
    payload = disguise.in_base64(text) if kind == "base64" else disguise.in_rot13(text)
    return fill(pick(rng, carriers.phrases), {"payload": payload})


def _placed(rng: Random, asked: _Asked) -> _Asked:
    """The conversation with a system message or an image where the draw says so."""
    messages = list(asked.messages)
    truth = asked.truth
    if chance(rng, _P_SYSTEM):
        messages.insert(0, {"role": "system", "content": line(rng, "system", "en")})
        moved = tuple(replace(e, message=e.message + 1) for e in truth.entities)
        truth = replace(truth, entities=moved)
    if chance(rng, _P_IMAGE):
        last = messages[-1]
        parts = [{"type": "text", "text": last["content"]}, _IMAGE]
        messages[-1] = {"role": "user", "content": parts}
    return _Asked(asked.request_id, messages, truth)


def _body(rng: Random, asked: _Asked) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "auto", "messages": asked.messages}
    tool = _TOOLS.get(asked.truth.topic)
    if tool and chance(rng, 0.12):
        body["tools"] = [{"type": "function", "function": tool}]
    if chance(rng, _P_MAX_TOKENS):
        body["max_tokens"] = (100, 300, 800, 2000)[below(rng, 4)]
    return body
