"""What `stream.route` says, written by hand in as few steps as Python takes.

It decides as the policy does and writes an event with the same members, but it refuses nothing,
explains nothing that costs a look-up, and learns only before it starts: what a team would write
for one policy, and a bound for what an engine in Python can reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import orjson

from routec.runtime.records import Decided, Outcome, Record
from routec.safety.tokens import estimate_tokens

_TARGETS = {
    "mini": {"provider": "openai", "name": "mini"},
    "opus": {"provider": "anthropic", "name": "opus"},
    "local": {"provider": "vllm", "name": "local"},
}
_POLICY = {"name": "stream", "hash": "sha256:by-hand"}
_WEIGHTED = (("mini", 0.9), ("local", 0.1))

Key = tuple[str, str, bytes]


class ByHand:
    """A decider with an exact cache by category and tenant."""

    policy_hash = "sha256:by-hand"

    def __init__(self) -> None:
        self._answers: dict[Key, bytes] = {}

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """One decision a record."""
        return [Decided(self._decide(record), ()) for record in records]

    def learn(self, responses: Sequence[Record]) -> None:
        """Nothing to learn: see `teach`."""

    def teach(self, value: bytes, response: bytes) -> None:
        """Keep the answer of a request, if it has a category."""
        event = orjson.loads(value)
        place = self._place(event)
        if place is not None:
            self._answers[place] = response

    def _place(self, event: dict[str, Any]) -> Key | None:
        attributes, body = event["attributes"], event["body"]
        if body.get("tools"):
            return None
        if attributes.get("tier", "free") == "enterprise":
            category = "contracts"
        elif _turns(body["messages"]) <= 2:
            category = "questions"
        else:
            return None
        digest = blake2b(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), digest_size=32).digest()
        return category, attributes["tenant"], digest

    def _decide(self, record: Record) -> bytes:
        event = orjson.loads(record.value or b"")
        attributes, body = event["attributes"], event["body"]
        messages, tools = body["messages"], bool(body.get("tools"))
        depth = _turns(messages)
        size: int | None = None
        # No text of so few characters has 20,000 tokens.
        if sum(len(message["content"]) for message in messages) > 10_000:
            size = _size(messages)
            if size > 20_000:
                reject = {"guard": "giant", "status": 413, "reason": "too_large"}
                return _event(record, event, "reject", reject=reject)
        tags = ("long",) if depth > 8 else ()
        place = self._place(event)
        signals: dict[str, Any] = {"depth": depth, "tools": tools}
        answer = None if place is None else self._answers.get(place)
        if place is not None and answer is not None:
            cache = {"status": "hit", "tier": "exact", "response": orjson.Fragment(answer)}
            return _event(
                record, event, "cached", tags=tags, category=place[0], cache=cache, signals=signals
            )
        tier = attributes.get("tier", "free")
        region, locale = attributes.get("region", "us"), attributes.get("locale", "en")
        by, candidates, propensity = "only", (), 1.0
        if tools and tier != "free":
            route, model, by, candidates = "agents", "opus", "quality", ("opus", "mini")
        elif region == "eu" and locale in ("de", "fr"):
            route, model = "residents", "local"
        else:
            if depth > 2 or tier == "free":
                size = signals["size"] = _size(messages)
            if depth > 2 and size is not None and size > 200:
                route, model = "deep", "opus"
            elif tier == "free" and size is not None and size < 60:
                route, model = "tiny", "local"
            else:
                route, by, candidates = "rest", "weighted", ("mini", "local")
                model, propensity = _draw(event["request_id"])
        selection = {"by": by, "candidates": candidates or (model,), "propensity": propensity}
        return _event(
            record,
            event,
            "route",
            route=route,
            model=model,
            tags=tags,
            category=None if place is None else place[0],
            cache={"status": "skipped" if place is None else "miss"},
            selection=selection,
            signals=signals,
        )


def _turns(messages: list[dict[str, Any]]) -> int:
    return sum(message["role"] == "user" for message in messages)


def _size(messages: list[dict[str, Any]]) -> int:
    return estimate_tokens("\n".join([message["content"] for message in messages]))


def _draw(key: str) -> tuple[str, float]:
    digest = blake2b(f"select:rest\0{key}".encode(), digest_size=8).digest()
    point = int.from_bytes(digest, "big") / 2.0**64
    for model, weight in _WEIGHTED:
        if point < weight:
            return model, weight
        point -= weight
    return _WEIGHTED[-1]


def _event(record: Record, event: dict[str, Any], outcome: str, **told: Any) -> bytes:
    model = told.get("model")
    return orjson.dumps(
        {
            "decision_id": f"{record.topic}-{record.partition}-{record.offset}",
            "request_id": event["request_id"],
            "time": event["time"],
            "policy": _POLICY,
            "outcome": outcome,
            "route": told.get("route"),
            "model": model,
            "target": None if model is None else _TARGETS[model],
            "fallbacks": ("mini",) if told.get("route") in ("residents", "deep") else (),
            "parameters": {},
            "redacted": (),
            "reject": told.get("reject"),
            "tags": told.get("tags", ()),
            "headers": {},
            "category": told.get("category"),
            "cache": told.get("cache"),
            "selection": told.get("selection"),
            "signals": told.get("signals", {}),
            "margins": {},
            "skipped": (),
            "failures": (),
            "path": (),
            "timing_us": {"total": 0},
        }
    )
