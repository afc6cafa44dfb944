"""The requests of the benchmarks.

Every tenant has its tier. Three in ten requests are one of twenty questions that everybody asks;
with a cache that has been taught their answers (`deciders.taught`) these are hits. The others are
seen once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
from aiokafka.partitioner import murmur2

PARTITIONS = 8
TENANTS = 50
QUESTIONS = 20
ASKED_BEFORE = 0.3
"""Share of the requests that are one of the questions."""

_TIERS = ("free", "pro", "enterprise")
_TIME = "2026-01-05T09:00:00Z"
_TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


@cache
def _words() -> list[str]:
    rng = random.Random(3)
    return [f"{rng.choice('bcdfgklmnprst')}{rng.choice('aeiou')}{n % 97}" for n in range(400)]


def _event(name: str, tenant: int, attributes: dict[str, str], body: dict[str, Any]) -> bytes:
    known = {"tenant": f"t{tenant}", "tier": _TIERS[tenant % len(_TIERS)]}
    return orjson.dumps(
        {
            "request_id": name,
            "time": _TIME,
            "attributes": known | attributes,
            "body": {"model": "auto", **body},
        }
    )


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_words(), k=words))


def question(number: int, tenant: int, name: str) -> bytes:
    """One of the questions that everybody asks, by a tenant."""
    text = _text(random.Random(number), 140)
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 60 + 15 * number}
    return _event(name, tenant, {"locale": "en", "region": "us"}, body)


def _other(rng: random.Random, name: str) -> bytes:
    turns = rng.choice((1, 1, 1, 2, 4, 10))
    words = rng.choice((20, 90, 140, 140, 240)) // (2 * turns - 1)
    roles = ("user", "assistant")
    messages = [
        {"role": roles[turn % 2], "content": _text(rng, max(4, words))}
        for turn in range(2 * turns - 1)
    ]
    body: dict[str, Any] = {"messages": messages, "max_tokens": rng.randrange(50, 400)}
    if rng.random() < 0.1:
        body["tools"] = [_TOOL]
    attributes = {
        "locale": rng.choice(("en", "en", "en", "de", "fr", "ja")),
        "region": rng.choice(("us", "us", "eu")),
    }
    return _event(name, rng.randrange(TENANTS), attributes, body)


def requests(count: int, seed: int = 7) -> Iterator[bytes]:
    """Seeded request events."""
    rng = random.Random(seed)
    for number in range(count):
        name = f"r-{number}"
        if rng.random() < ASKED_BEFORE:
            yield question(rng.randrange(QUESTIONS), rng.randrange(TENANTS), name)
        else:
            yield _other(rng, name)


@cache
def keys(partitions: int) -> tuple[tuple[bytes, ...], ...]:
    """For each partition some keys that Kafka's own partitioner sends there.

    So whoever keeps a request's key keeps its partition, too.
    """
    found: list[list[bytes]] = [[] for _ in range(partitions)]
    number = 0
    while any(len(some) < 8 for some in found):
        key = b"caller-%d" % number
        found[(murmur2(key) & 0x7FFFFFFF) % partitions].append(key)
        number += 1
    return tuple(tuple(some) for some in found)
