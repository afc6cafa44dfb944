"""The same policy twice, with the compiled path and without it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from routec.compiler.program import Program
from routec.runtime.engine import Engine
from routec.runtime.events.decision import Ticket, ticket_of
from routec.runtime.records import Decided, Outcome, Record
from routec.runtime.service import EventClock, PolicyService
from routec.runtime.signals import Observer
from routec.safety.tokens import estimate_tokens, most_tokens
from routec.semcache.cache import SemanticCache
from routec.semcache.shelf import Entry
from tests.runtime.doubles import Backend, Embedder, cache_of, services

_TIMING = re.compile(rb'"timing_us":\{[^{}]*\}')


class Counting(Observer):
    """Counts what it hears, without times."""

    __slots__ = ("heard",)

    def __init__(self) -> None:
        self.heard: Counter[tuple[str, ...]] = Counter()

    def signal(self, name: str, source: str, requests: int, seconds: float) -> None:
        assert seconds >= 0.0
        self.heard["signal", name, source] += requests

    def failure(self, name: str, reason: str, requests: int) -> None:
        self.heard["failure", name, reason] += requests

    def looked_up(self, category: str, status: str, requests: int) -> None:
        self.heard["looked_up", category, status] += requests

    def decided(self, outcome: str, route: str | None, requests: int) -> None:
        self.heard["decided", outcome, str(route)] += requests

    def held(self, category: str, entries: int) -> None:
        self.heard["held", category] = entries

    def learnt(self, status: str) -> None:
        self.heard["learnt", status] += 1


@dataclass
class One:
    """One of both services, with what can be seen of it."""

    service: PolicyService
    cache: SemanticCache
    observer: Counting
    answered: list[int] = field(default_factory=list)
    """Of each batch how many records the compiled path decided."""

    @staticmethod
    def of(program: Program, native: bool, **changed: Any) -> One:
        """A service with a cache of its own.

        Args:
            program: what it decides by.
            native: whether it has the compiled path.
            changed: services other than the usual ones.
        """
        observer, clock, embedder = Counting(), EventClock(), Embedder()
        cache = cache_of(program, embedder)
        cache._clock = clock
        given = {
            "tokens": estimate_tokens,
            "most_tokens": most_tokens,
            "embedder": embedder,
            "classifiers": {"topic": Backend("law", "code", "other")},
            "cache": cache,
            **changed,
        }
        engine = Engine(program, services(**given), observer)
        service = PolicyService(engine, clock=clock, observer=observer, native=native)
        one = One(service, cache, observer)
        if service._native is not None:
            path, decide = service._native, service._native.decide

            def counted(records: Sequence[Record], latest_s: float) -> Any:
                found = decide(records, latest_s)
                one.answered.append(sum(type(answer) is Decided for answer in found[0]))
                return found

            object.__setattr__(path, "decide", counted)
        return one

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """Decide a batch."""
        return [untimed(outcome) for outcome in await self.service.decide(records)]

    def seen(self) -> Mapping[str, Any]:
        """What the service has come to."""
        ledgers = self.cache._ledgers.values()
        return {
            "cache": self.cache.stats(),
            "entries": [_told(e) for one in ledgers for e in one.shelf._order.values()],
            "heard": +self.observer.heard,
            "pending": {
                name: _ticket(ticket_of(slip)) for name, slip in self.service.memory.pending.items()
            },
            "clock": self.service.memory.clock(),
            "latencies": self.service.memory.latencies,
        }


def _ticket(ticket: Ticket) -> tuple[Any, ...]:
    vector = ticket.vector
    return ticket.partition, ticket.fingerprint, None if vector is None else vector.tobytes()


def _told(entry: Entry) -> tuple[Any, ...]:
    return tuple(getattr(entry, name) for name in entry.__struct_fields__)


def untimed(outcome: Outcome) -> Outcome:
    """An outcome whose timings are zero; which there are is kept."""
    if not isinstance(outcome, Decided):
        return outcome
    value, count = _TIMING.subn(lambda m: re.sub(rb"\d+", b"0", m[0]), outcome.value)
    assert count == 1
    return Decided(value, outcome.headers)


def responses(outcomes: Sequence[Outcome]) -> list[Record]:
    """Answers to the decisions that were routed."""
    made = []
    for outcome in outcomes:
        if not isinstance(outcome, Decided):
            continue
        decision = orjson.loads(outcome.value)
        if decision["outcome"] == "route":
            event = {
                "decision_id": decision["decision_id"],
                "model": decision["model"],
                "body": {"choices": [{"message": {"content": "s\u00f6"}}], "n": len(made)},
                "latency_ms": 7,
                "ok": True,
            }
            made.append(Record("responses", 0, 0, 0, None, orjson.dumps(event)))
    return made
