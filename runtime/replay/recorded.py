"""Decisions that were recorded, read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from routec.runtime.events.decision import (
    CacheAnswer,
    Decision,
    Example,
    Failure,
    Reject,
    Selection,
    Span,
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a model of the policy stood for."""

    provider: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded decision.

    Attributes:
        id: its id.
        request_id: that of its request.
        time_ms: its time, milliseconds since the epoch; 0 where it states none that can be read.
        policy: name of the policy that decided.
        hash: hash of that policy.
        decision: what was decided; times and what was never computed are left out.
        signals: the signals as it has them.
        failures: why a value is that of a failure, by signal.
        target: what its model stood for; ``None`` where it names none.
        value: its bytes.
    """

    id: str
    request_id: str
    time_ms: int
    policy: str
    hash: str
    decision: Decision
    signals: Mapping[str, Any]
    failures: Mapping[str, str]
    target: Target | None
    value: bytes


class _Policy(msgspec.Struct, frozen=True):
    name: str
    hash: str


class _Span(msgspec.Struct, frozen=True):
    message: int
    start: int
    end: int
    kind: str


class _Reject(msgspec.Struct, frozen=True):
    guard: str | None
    status: int
    reason: str


class _Target(msgspec.Struct, frozen=True):
    provider: str | None = None
    name: str | None = None


class _Example(msgspec.Struct, frozen=True):
    entry: str
    similarity: float
    response: msgspec.Raw


class _Cache(msgspec.Struct, frozen=True):
    status: Literal["hit", "miss", "skipped"] = "skipped"
    similarity: float | None = None
    entry: str | None = None
    # The answer's own bytes: parsed and written anew they could be others.
    response: msgspec.Raw = msgspec.Raw(b"null")
    tier: str | None = None
    reason: str | None = None
    examples: tuple[_Example, ...] = ()


class _Selection(msgspec.Struct, frozen=True):
    by: str
    candidates: tuple[str, ...]
    propensity: float


class _Failure(msgspec.Struct, frozen=True):
    signal: str
    reason: str


class _Shadow(msgspec.Struct, frozen=True):
    model: str


class _Event(msgspec.Struct, frozen=True):
    decision_id: str
    request_id: str
    policy: _Policy
    outcome: Literal["route", "cached", "reject"]
    time: str | None = None
    route: str | None = None
    model: str | None = None
    target: _Target | None = None
    fallbacks: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}
    redacted: tuple[_Span, ...] = ()
    reject: _Reject | None = None
    tags: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    category: str | None = None
    cache: _Cache = _Cache()
    selection: _Selection | None = None
    signals: dict[str, Any] = {}
    failures: tuple[_Failure, ...] = ()
    path: tuple[int, ...] = ()
    shadow: _Shadow | None = None


class _Identified(msgspec.Struct, frozen=True):
    decision_id: str


_EVENT = msgspec.json.Decoder(_Event)
_IDENTIFIED = msgspec.json.Decoder(_Identified)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decision_id_of(value: bytes | None) -> str | None:
    """The id that a decision event has; ``None`` where there is none."""
    try:
        return _IDENTIFIED.decode(value or b"").decision_id
    except _UNREADABLE:
        return None


def read_recorded(value: bytes | None) -> Recorded | None:
    """A decision event, read back; ``None`` for what is none. Further members are ignored.

    Args:
        value: the record's value.
    """
    try:
        found = _EVENT.decode(value or b"")
    except _UNREADABLE:
        return None
    reject, selection = found.reject, found.selection
    if (found.outcome == "reject") != (reject is not None):
        return None
    decision = Decision(
        found.outcome,
        found.route,
        found.model,
        found.fallbacks,
        found.parameters,
        redacted=tuple(Span(s.message, s.start, s.end, s.kind) for s in found.redacted),
        reject=None if reject is None else Reject(reject.guard, reject.status, reject.reason),
        tags=found.tags,
        headers=found.headers,
        category=found.category,
        cache=_cache(found.cache),
        selection=None
        if selection is None
        else Selection(selection.by, selection.candidates, selection.propensity),
        shadow=None if found.shadow is None else found.shadow.model,
        failures=tuple(Failure(one.signal, one.reason) for one in found.failures),
        path=found.path,
    )
    target = found.target
    return Recorded(
        id=found.decision_id,
        request_id=found.request_id,
        time_ms=milliseconds(found.time),
        policy=found.policy.name,
        hash=found.policy.hash,
        decision=decision,
        signals=found.signals,
        failures={one.signal: one.reason for one in found.failures},
        target=None if target is None else Target(target.provider, target.name),
        value=value or b"",
    )


def milliseconds(stamp: object) -> int:
    """A time as decisions have it, milliseconds since the epoch; 0 for what is none."""
    try:
        return round(datetime.fromisoformat(str(stamp)).timestamp() * 1000) if stamp else 0
    except (ValueError, OverflowError):
        return 0


def _cache(cache: _Cache) -> CacheAnswer:
    response = bytes(cache.response)
    return CacheAnswer(
        cache.status,
        cache.similarity,
        cache.entry,
        None if response == b"null" else response,
        cache.tier,
        cache.reason,
        tuple(Example(e.entry, e.similarity, bytes(e.response)) for e in cache.examples),
    )
