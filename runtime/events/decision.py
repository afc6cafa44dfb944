"""A decision, before it is encoded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from routec.semcache.terms import Partition

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Outcome = Literal["route", "cached", "reject"]
CacheStatus = Literal["hit", "miss", "skipped"]
Value = bool | int | float | str | frozenset[str]
Parameter = bool | int | float | str | tuple[bool | int | float | str, ...]


class Span(msgspec.Struct, frozen=True, gc=False):
    """A stretch of a message to be masked.

    Attributes:
        message: index of the message.
        start: first code point of its text as it came.
        end: one past the last.
        kind: kind of the entity, such as ``iban``.
    """

    message: int
    start: int
    end: int
    kind: str


class Reject(msgspec.Struct, frozen=True, gc=False):
    """Why a request is not served.

    Attributes:
        guard: the guard that rejects; ``None`` where no model can hold the request.
        status: HTTP status.
        reason: machine-readable reason.
    """

    guard: str | None
    status: int
    reason: str


class Example(msgspec.Struct, frozen=True, gc=False):
    """A cached answer near enough to answer by example: entry id, cosine, response body as JSON."""

    entry: str
    similarity: float
    response: bytes


class CacheAnswer(msgspec.Struct, frozen=True, gc=False):
    """What the cache said.

    Attributes:
        status: ``hit``, ``miss``, or ``skipped`` where it was not asked.
        similarity: cosine of the nearest entry, -1 to 1; ``None`` where there was none.
        entry: id of the entry that answered.
        response: the cached response body as JSON, of a hit.
        tier: ``exact`` or ``semantic``, of a hit.
        reason: why a miss missed.
        examples: near answers of a miss.
    """

    status: CacheStatus = "skipped"
    similarity: float | None = None
    entry: str | None = None
    response: bytes | None = None
    tier: str | None = None
    reason: str | None = None
    examples: tuple[Example, ...] = ()


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """Where in the cache a request's answer belongs.

    Attributes:
        partition: the hard isolation key.
        fingerprint: digest of its last user text, masked.
        vector: of that text; ``None`` keeps the answer out of the semantic tier.
    """

    partition: Partition
    fingerprint: bytes
    vector: NDArray[np.float32] | None = None


Slip = tuple[str, str, bytes, bytes]
"""Scope, category, context and fingerprint of a ticket without a vector, not put together yet."""


def ticket_of(slip: Ticket | Slip) -> Ticket:
    """The ticket itself."""
    if isinstance(slip, Ticket):
        return slip
    scope, category, context, fingerprint = slip
    return Ticket(Partition(scope, category, context), fingerprint)


NOT_ASKED = CacheAnswer()


class Selection(msgspec.Struct, frozen=True, gc=False):
    """How the model was picked: algorithm, what it chose from, and the chosen one's probability."""

    by: str
    candidates: tuple[str, ...]
    propensity: float


class Failure(msgspec.Struct, frozen=True, gc=False):
    """A signal that took its failure value, and why (``timeout``, ``error``, ``invalid``…)."""

    signal: str
    reason: str


class Decision(msgspec.Struct, frozen=True, gc=False):
    """One decision.

    Attributes:
        outcome: ``route``, ``cached`` or ``reject``.
        route: name of the route; ``None`` unless the outcome is ``route``.
        model: name of the model; ``None`` unless the outcome is ``route``.
        fallbacks: models to try next, in order.
        parameters: request parameters to set.
        redacting: entity signals whose spans are masked.
        redacted: the spans to mask, in order of message and start.
        reject: why it is rejected.
        tags: annotations, each once, in order of acting.
        headers: annotations by name.
        category: name of the category; ``None`` without caching.
        cache: what the cache said.
        selection: how the model was picked.
        shadow: model that gets a copy of the request; ``None`` for none.
        signals: value of every signal that was read; ``NAME.LABEL`` for a score that was read.
        skipped: signals that were never computed, in order of declaration.
        failures: signals that took their failure value.
        path: node indices of the conditions consulted, in order.
        timing_us: microseconds spent, by what; ``total`` always.
        ticket: where the answer belongs in the cache, of a miss; stays inside the process.
        thresholds: what the conditions consulted compare the numbers of `signals` with, rising.
    """

    outcome: Outcome
    route: str | None = None
    model: str | None = None
    fallbacks: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = {}
    redacting: tuple[str, ...] = ()
    redacted: tuple[Span, ...] = ()
    reject: Reject | None = None
    tags: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    category: str | None = None
    cache: CacheAnswer = NOT_ASKED
    selection: Selection | None = None
    shadow: str | None = None
    signals: Mapping[str, Value] = {}
    skipped: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    path: tuple[int, ...] = ()
    timing_us: Mapping[str, int] = {}
    ticket: Ticket | None = None
    thresholds: Mapping[str, tuple[float, ...]] = {}

    @property
    def margins(self) -> dict[str, float]:
        """How far each number read lies from the threshold nearest to it; above it is positive.

        Rounded to 12 decimal places, as scores are.
        """
        found: dict[str, float] = {}
        signals = self.signals
        for name, thresholds in self.thresholds.items():
            value = signals.get(name)
            if not isinstance(value, int | float):
                continue
            above = bisect_left(thresholds, value)
            nearest = thresholds[max(above - 1, 0)]
            if 0 < above < len(thresholds) and thresholds[above] - value < value - nearest:
                nearest = thresholds[above]
            found[name] = round(value - nearest, 12)
        return found
