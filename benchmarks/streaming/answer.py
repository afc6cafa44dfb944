"""The work that every candidate does for a request. It needs orjson and nothing of routec."""

from __future__ import annotations

from typing import Any

import orjson


def choose(event: Any, topic: str, partition: int, offset: int) -> dict[str, Any]:
    """The decision about a decoded request."""
    tokens = event["body"]["max_tokens"]
    return {
        "decision_id": f"{topic}-{partition}-{offset}",
        "request_id": event["request_id"],
        "outcome": "route",
        "route": "small" if tokens < 200 else "large",
        "model": "mini" if tokens < 200 else "opus",
        "tags": [],
        "policy": {"name": "null", "hash": "sha256:null"},
    }


def answer(value: bytes, topic: str, partition: int, offset: int) -> bytes:
    """Decode a request and encode a decision about it."""
    return orjson.dumps(choose(orjson.loads(value), topic, partition, offset))
