"""The requests of a seed, and what has to become of each."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from tests.kafka.chaos.policy import ANGRY, KNOWN, SHORT

MAX_EVENT_BYTES = 120_000
TENANTS = 7
NUMBER = "chaos-n"
"""Header that numbers the requests of a seed."""

Header = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Event:
    """A request as it is written.

    Attributes:
        key, value, headers: of the record.
        codes: codes that its dead letter may have; empty where it is to be decided.
        route: the route it is to be given when no signal fails.
    """

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    codes: frozenset[str] = frozenset()
    route: str = ""


def event(seed: int, number: int, bad: float, giant: float) -> Event:
    """A request of a seed: always the same.

    Args:
        seed: the seed.
        number: counts the seed's requests.
        bad: share of malformed ones.
        giant: share of those that are larger than an event may be.
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
        return Event(key, _request(number, "x" * size), made, frozenset({"event-too-large"}))
    if rng.random() < bad:
        value, codes = rng.choice(_MALFORMED)
        if value is None:
            key = key or b"gone"  # the client takes no record without both
        return Event(key, value, made, codes)
    large = rng.random() < 0.02
    words = rng.randrange(60, 10_000) if large else rng.randrange(1, 20)
    angry = rng.random() < 0.3
    text = " ".join(["word"] * words + [ANGRY] * angry)
    route = "complaints" if angry else "essays" if words >= 60 else "usual"
    if number % TENANTS < KNOWN and words + angry <= SHORT:
        route = "known"
    return Event(key, _request(number, text), made, route=route)


def _request(number: int, text: str) -> bytes:
    body = {"messages": [{"role": "user", "content": text}]}
    attributes = {"tenant": f"t-{number % TENANTS}"}
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
