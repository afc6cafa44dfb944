"""The requests of the stream's benchmark, and the work that both sides do for each."""

from __future__ import annotations

import random
from collections.abc import Iterator

import orjson

PARTITIONS = 8
_SEED = 7
_WORDS = 155


def requests(count: int) -> Iterator[bytes]:
    """Seeded request events of some 950 bytes, as those of the repository's own benchmarks."""
    rng = random.Random(_SEED)
    words = [f"{rng.choice('bcdfgklmnprst')}{rng.choice('aeiou')}{n % 97}" for n in range(400)]
    texts = [" ".join(rng.choices(words, k=_WORDS)) for _ in range(500)]
    for number in range(count):
        body = {
            "model": "auto",
            "messages": [{"role": "user", "content": texts[number % len(texts)]}],
            "max_tokens": rng.randrange(50, 400),
        }
        yield orjson.dumps(
            {
                "request_id": f"r-{number}",
                "time": "2026-01-05T09:00:00Z",
                "attributes": {"tenant": f"t{number % 50}"},
                "body": body,
            }
        )


def answer(value: bytes, topic: str, partition: int, offset: int) -> bytes:
    """Decode a request and encode a decision about it, by no policy."""
    event = orjson.loads(value)
    small = event["body"]["max_tokens"] < 200
    return orjson.dumps(
        {
            "decision_id": f"{topic}-{partition}-{offset}",
            "request_id": event["request_id"],
            "outcome": "route",
            "route": "small" if small else "large",
            "model": "mini" if small else "opus",
            "tags": [],
            "policy": {"name": "none", "hash": "sha256:none"},
        }
    )
