"""Decision events and their headers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from routec.compiler.program import Model
from routec.runtime.events.decision import Decision, Value
from routec.runtime.events.decode import is_structured
from routec.runtime.events.request import Request
from routec.runtime.records import Decided, Headers, Record

EVENT_TYPE = b"routec.decision"
"""CloudEvents type of a decision."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What described the request's payload, and does not describe the decision's.
_OF_THE_REQUEST = frozenset(
    {"ce_id", "ce_source", "ce_type", "ce_time", "ce_dataschema", "ce_datacontenttype"}
)


def decision_id(record: Record) -> str:
    """Id of the decision about a record: 32 hexadecimal digits of its topic, partition and offset.

    A decision that is made again carries the same id.
    """
    place = f"{record.topic}\0{record.partition}\0{record.offset}"
    return blake2b(place.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def rfc3339(time_ms: int) -> str:
    """A time in UTC, such as ``2026-11-22T09:00:00Z``, with milliseconds where there are some."""
    seconds, rest = divmod(time_ms, 1000)
    return f"{_second(seconds)}.{rest:03}Z" if rest else f"{_second(seconds)}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    # Requests come about in the order of time: the second is mostly one that was just seen.
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


class Encoder:
    """Encodes the decisions of one policy.

    Args:
        name: the policy's name.
        hash: its hash, ``sha256:…``.
        models: its models by name.
    """

    def __init__(self, name: str, hash: str, models: Mapping[str, Model]) -> None:
        self._name = name
        self._policy = {"name": name, "hash": hash}
        self._targets = {key: _target(model) for key, model in models.items()}

    def encode(self, record: Record, id: str, request: Request, decision: Decision) -> Decided:
        """The decision event about a record, the same bytes each time but for its timings.

        Args:
            record: what holds the request.
            id: its `decision_id`.
            request: the request.
            decision: the decision.
        """
        event = self.event(id, request, decision)
        headers = record.headers
        if headers:
            headers = self._headers(headers, id, event["time"])
        return Decided(orjson.dumps(event), headers)

    def event(self, id: str, request: Request, decision: Decision) -> dict[str, Any]:
        """The decision event as JSON data; `cache.response` is a fragment that orjson writes.

        Its `time` is that of the request, so that replays agree.
        """
        reject, selection = decision.reject, decision.selection
        event: dict[str, Any] = {
            "decision_id": id,
            "request_id": request.id,
            "time": rfc3339(request.time_ms),
            "policy": self._policy,
            "outcome": decision.outcome,
            "route": decision.route,
            "model": decision.model,
            "target": None if decision.model is None else self._targets[decision.model],
            "fallbacks": decision.fallbacks,
            "parameters": decision.parameters,
            "redacted": decision.redacted and _redacted(decision),
            "reject": reject
            and {"guard": reject.guard, "status": reject.status, "reason": reject.reason},
            "tags": decision.tags,
            "headers": decision.headers,
            "category": decision.category,
            "cache": _cache(decision),
            "selection": selection
            and {
                "by": selection.by,
                "candidates": selection.candidates,
                "propensity": selection.propensity,
            },
            "signals": _signals(decision.signals),
            "margins": decision.margins,
            "skipped": decision.skipped,
            "failures": decision.failures and _failures(decision),
            "path": decision.path,
            "timing_us": decision.timing_us,
        }
        if decision.shadow is not None:
            event["shadow"] = {"model": decision.shadow, "target": self._targets[decision.shadow]}
        return event

    def _headers(self, headers: Headers, id: str, time: str) -> Headers:
        """Those of the request; CloudEvents attributes that are the decision's own."""
        binary = any(name.lower() == "ce_specversion" for name, _ in headers)
        structured = is_structured(headers)
        if not binary and not structured:
            return headers
        kept = [
            (name, value)
            for name, value in headers
            if name.lower() not in _OF_THE_REQUEST and name.lower() != "content-type"
        ]
        if not binary:
            kept.append(("ce_specversion", b"1.0"))
        kept += [
            ("ce_id", id.encode()),
            ("ce_source", f"routec/{self._name}".encode()),
            ("ce_type", EVENT_TYPE),
            ("ce_time", time.encode()),
            ("content-type", b"application/json"),
        ]
        return tuple(kept)


def _target(model: Model) -> dict[str, str | None]:
    target = {"provider": model.provider, "name": model.target}
    if model.endpoint is not None:
        target["endpoint"] = model.endpoint
    return target


def _cache(decision: Decision) -> dict[str, Any]:
    cache = decision.cache
    event: dict[str, Any] = {
        "status": cache.status,
        "similarity": cache.similarity,
        "entry": cache.entry,
        "response": None if cache.response is None else orjson.Fragment(cache.response),
    }
    if cache.tier is not None:
        event["tier"] = cache.tier
    if cache.reason is not None:
        event["reason"] = cache.reason
    if cache.examples:
        event["examples"] = [
            {"entry": e.entry, "similarity": e.similarity, "response": orjson.Fragment(e.response)}
            for e in cache.examples
        ]
    return event


def _redacted(decision: Decision) -> list[dict[str, Any]]:
    return [
        {"message": span.message, "start": span.start, "end": span.end, "kind": span.kind}
        for span in decision.redacted
    ]


def _failures(decision: Decision) -> list[dict[str, str]]:
    return [{"signal": one.signal, "reason": one.reason} for one in decision.failures]


def _signals(values: Mapping[str, Value]) -> Mapping[str, Any]:
    """The values as JSON has them: sets are sorted lists."""
    if frozenset not in map(type, values.values()):
        return values
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in values.items()
    }
