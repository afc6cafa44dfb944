"""The requests of a seed, and what has to become of each."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from tests.kafka.chaos.policy import (
    ANGRY,
    INVOICE,
    LONG,
    RUDE,
    SHORT,
    Kind,
    Said,
    Wanted,
    wanted,
)

MAX_EVENT_BYTES = 120_000
NUMBER = "chaos-n"
"""Header that numbers the requests of a seed."""
_QUESTIONS = 6
"""Texts that are asked time and again, so that the cache has answers for them."""
_NOTHING = Wanted(None, None)

Header = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Event:
    """A request as it is written.

    Attributes:
        key, value, headers: of the record.
        codes: codes that its dead letter may have; empty where it is to be decided.
        wanted: what is to be decided.
        tenant, region: what may keep its answer from others.
        question: what its answer depends on.
        said: what the policy looks at; ``None`` for what cannot be decided.
    """

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    codes: frozenset[str] = frozenset()
    wanted: Wanted = _NOTHING
    tenant: str = ""
    region: str = ""
    question: str = ""
    said: Said | None = None


def event(seed: int, number: int, bad: float, giant: float, kind: Kind = "classifier") -> Event:
    """A request of a seed: always the same.

    Args:
        seed: the seed.
        number: counts the seed's requests.
        bad: share of malformed ones.
        giant: share of those that are larger than an event may be.
        kind: what decides.
    """
    rng = random.Random(f"event {seed} {number}")
    key = rng.choice((None, b"hot", f"key-{rng.randrange(50)}".encode(), "schlüssel".encode()))
    headers: list[Header] = [(NUMBER, str(number).encode())]
    if rng.random() < 0.3:
        headers.append(("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    if rng.random() < 0.1:
        headers += [("twice", b"\xff\x00"), ("twice", b""), ("nothing", None)]
    made = tuple(headers)
    if rng.random() < giant:
        size = rng.randrange(MAX_EVENT_BYTES + 1, 6 * MAX_EVENT_BYTES)
        text = _request(number, {"tenant": "t"}, [_message("x" * size)])
        return Event(key, text, made, frozenset({"event-too-large"}))
    if rng.random() < bad:
        value, codes = rng.choice(_MALFORMED)
        if value is None:
            key = key or b"gone"  # the client takes no record without both
        return Event(key, value, made, codes)
    attributes = {"tenant": f"t-{rng.randrange(4)}", "region": f"r-{rng.randrange(3)}"}
    pro = rng.random() < 0.3
    if pro or rng.random() < 0.5:
        attributes["tier"] = "pro" if pro else "free"
    if rng.random() < 0.5:
        rng, number_of_it = random.Random(f"question {seed} {rng.randrange(_QUESTIONS)}"), ""
    else:
        number_of_it = str(number)
    messages, said = _conversation(rng, number_of_it, pro)
    return Event(
        key,
        _request(number, attributes, messages),
        made,
        wanted=wanted(kind, said),
        tenant=attributes["tenant"],
        region=attributes["region"],
        question=json.dumps(messages),
        said=said,
    )


def _conversation(rng: random.Random, own: str, pro: bool) -> tuple[list[Any], Said]:
    """Messages, and what is in them; those with an `own` text are asked by nobody else."""
    long = rng.random() < 0.02
    words = rng.randrange(LONG, 10_000) if long else rng.randrange(1, SHORT)
    angry, rude, invoice = (rng.random() < share for share in (0.3, 0.2, 0.2))
    turns = rng.choice((1, 1, 3))
    text = " ".join(
        [*["word"] * words, *[ANGRY] * angry, *[RUDE] * rude, *[INVOICE] * invoice, own]
    )
    before = [_message("hello"), _message("yes", "assistant")] * (turns - 1)
    return [*before, _message(text)], Said(pro, long, angry, rude, invoice, turns)


def _message(text: str, role: str = "user") -> dict[str, str]:
    return {"role": role, "content": text}


def _request(number: int, attributes: dict[str, str], messages: list[Any]) -> bytes:
    body = {"messages": messages}
    said = {"request_id": f"r-{number}", "attributes": attributes, "body": body}
    return json.dumps(said).encode()


_MALFORMED: tuple[tuple[bytes | None, frozenset[str]], ...] = (
    (None, frozenset({"empty-event"})),
    (b"", frozenset({"empty-event"})),
    (b'{"request_id": "r', frozenset({"invalid-json"})),
    (b'{"a": "\xff\xfe"}', frozenset({"invalid-utf8"})),
    (b"[1, 2]", frozenset({"not-an-object"})),
    (b"[" * 5000, frozenset({"nested-too-deep", "invalid-json"})),
    (b'{"attributes": {"tenant": "t"}, "body": {"messages": 7}}', frozenset({"invalid-body"})),
    (b'{"attributes": {"tenant": 7}, "body": {"messages": []}}', frozenset({"*"})),
    (b'{"request_id": 1e308, "attributes": {}, "body": {}}', frozenset({"*"})),
)
