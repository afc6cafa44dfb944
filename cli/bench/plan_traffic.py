"""How many costly calls the example policies take on sample traffic, with a plan and without.

The engine decides request by request with the real models and a cache that is filled as a serving
side would; its calls are counted where they are made. The ways without a plan are counted on the
same values and the same answers of the cache (what a cache holds does not depend on the plan).
It is counted in two ways. A *call* is a text embedded, a text classified, or a search of the
semantic cache, and on all sides a text is embedded once. A *pass* is a run of a model over a text,
or a search: classifying a vector that is there anyway is none; without a plan every signal takes
its own, as it does in routers whose signals know nothing of each other.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from routec.cli.bench.least_calls import LeastCalls
from routec.cli.bench.result import LeftOut, Outcome, Result, Target
from routec.cli.bench.without_plan import NONE, Calls, Texts, WithoutPlan
from routec.cli.demo.schema import attributes_of
from routec.cli.demo.source import Sending, sendings
from routec.cli.demo.traffic import Sample, answer
from routec.cli.programs import Compiled, compile_file
from routec.compiler.interpreter import Request as Interpreted
from routec.compiler.interpreter import all_values
from routec.compiler.types import Scores, Value
from routec.runtime.engine import Engine, ServiceError, open_services
from routec.runtime.events.decision import CacheAnswer, Decision
from routec.runtime.events.decode import Decoder
from routec.runtime.events.request import Request
from routec.runtime.records import Dead, Record
from routec.runtime.service import EventClock
from routec.runtime.signals.compute import Signals
from routec.runtime.signals.observer import Observer
from routec.runtime.signals.services import Services
from routec.runtime.signals.vectors import MAX_TURNS, Vectors
from routec.runtime.signals.work import UNKNOWN, Work
from routec.safety.embed.base import Embedder
from routec.safety.text import normalise

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "policies"
OF_EVERYTHING = 0.40
OF_PRIORITY_ORDER = 0.80

Rows = NDArray[np.float32]


def measure(quick: bool) -> Iterator[Outcome]:
    """The calls of each example policy and of all of them, per 1,000 requests."""
    files = sorted(FOLDER.glob("*.route"))
    name = "plan/calls on sample traffic"
    if not files:
        yield LeftOut(name, "the example policies are not part of this installation")
        return
    totals: list[Counted] = []
    remembered: dict[tuple[str, str], Rows] = {}
    for file in files:
        compiled = compile_file(str(file))
        try:
            counted = asyncio.run(_count(compiled, 150 if quick else 1000, remembered))
        except ServiceError as error:
            yield LeftOut(name, f"{error.message}: {error.help}")
            return
        totals.append(counted)
        yield from _results(compiled.program.name, counted, bound=False)
    yield from _results("all", _sum(totals), bound=True)


@dataclass(slots=True)
class Counted:
    """Calls of the requests to one policy.

    Attributes:
        requests: how many these are.
        calls: of the engine.
        passes: of the engine.
        everything: calls of computing all signals.
        in_order: calls of looking at one rule after the other.
        least: the fewest calls that could do.
        everything_alone: passes of computing all signals, each by itself.
        in_order_alone: passes of looking at one rule after the other, likewise.
    """

    requests: int = 0
    calls: Calls = NONE
    passes: Calls = NONE
    everything: Calls = NONE
    in_order: Calls = NONE
    least: Calls = NONE
    everything_alone: Calls = NONE
    in_order_alone: Calls = NONE


def _sum(counted: Sequence[Counted]) -> Counted:
    found = Counted()
    for one in counted:
        for part in fields(Counted):
            setattr(found, part.name, getattr(found, part.name) + getattr(one, part.name))
    return found


def _results(name: str, counted: Counted, *, bound: bool) -> Iterator[Outcome]:
    everything = (Target("<=", OF_EVERYTHING, "ratio"),) if bound else ()
    in_order = (Target("<=", OF_PRIORITY_ORDER, "ratio"),) if bound else ()
    for what, way, ours, theirs, against, targets in (
        ("calls", "everything", counted.calls, counted.everything, _EVERYTHING, everything),
        ("calls", "priority order", counted.calls, counted.in_order, _IN_ORDER, in_order),
        ("calls", "the fewest possible", counted.calls, counted.least, _LEAST, ()),
        (
            "passes",
            "everything",
            counted.passes,
            counted.everything_alone,
            f"{_EVERYTHING}, each with its own pass",
            everything,
        ),
        (
            "passes",
            "priority order",
            counted.passes,
            counted.in_order_alone,
            f"{_IN_ORDER}; each signal with its own pass",
            in_order,
        ),
    ):
        kinds = ", ".join(
            f"{getattr(ours, kind) * 1000 / counted.requests:.0f} of "
            f"{getattr(theirs, kind) * 1000 / counted.requests:.0f} {kind}"
            for kind in ("embeddings", "classifiers", "searches")
        )
        yield Result(
            f"plan/{what}, {name}, to {way}",
            ours.total * 1000 / counted.requests,
            "per 1,000",
            theirs.total * 1000 / counted.requests,
            against,
            targets,
            kinds if bound else None,
        )


_EVERYTHING = "computing all signals that rules read, then looking at the rules"
_IN_ORDER = "looking at rules in order of priority, short-circuiting; the cache last"
_LEAST = "for each request the cheapest set of signals that settles it, found by trying all"


class _CountingEmbedder:
    """An embedder that counts what it is asked for, and remembers vectors across policies."""

    def __init__(self, embedder: Embedder, remembered: dict[tuple[str, str], Rows]) -> None:
        self._embedder = embedder
        self._remembered = remembered
        self.dimension = embedder.dimension
        self.digest = embedder.digest
        self.asked = 0

    def embed(self, texts: Sequence[str]) -> Rows:
        self.asked += len(texts)
        missing = [t for t in texts if (self.digest, t) not in self._remembered]
        if missing:
            for text, row in zip(missing, self._embedder.embed(missing), strict=True):
                self._remembered[self.digest, text] = row
        return np.stack([self._remembered[self.digest, text] for text in texts])


class _Counting(Observer):
    """Counts classifications."""

    __slots__ = ("classified_texts",)

    def __init__(self) -> None:
        self.classified_texts: Counter[str] = Counter()

    def classified(self, backend: str, texts: int) -> None:
        self.classified_texts[backend] += texts


async def _count(
    compiled: Compiled, count: int, remembered: dict[tuple[str, str], Rows]
) -> Counted:
    program = compiled.program
    clock = EventClock()
    services = open_services(program, compiled.config, clock)
    embedder = None
    if services.embedder is not None:
        embedder = _CountingEmbedder(services.embedder, remembered)
        services = replace(services, embedder=embedder)
    observer = _Counting()
    engine = Engine(program, services, observer, compiled.hash)
    signals = Signals(program, services)
    on_vectors = [
        name for name, bound in services.classifiers.items() if not hasattr(bound, "classify")
    ]
    without = WithoutPlan(compiled.policy, on_vectors)
    least = LeastCalls(program, on_vectors)
    decoder = Decoder(program.fields)
    found = Counted()
    try:
        for number, sending in enumerate(_good(compiled, count)):
            request = decoder.decode(Record("bench", 0, number, 0, None, sending.value))
            if isinstance(request, Dead):
                continue
            found.requests += 1
            clock.advance(request.time_ms / 1000)
            before = 0 if embedder is None else embedder.asked
            observer.classified_texts.clear()
            [decision] = await engine.decide([request])
            asked = _searched(decision.cache)
            embedded = 0 if embedder is None else embedder.asked - before
            classified = observer.classified_texts
            found.calls += Calls(embedded, classified.total(), int(asked))
            reading = sum(n for backend, n in classified.items() if backend not in on_vectors)
            found.passes += Calls(embedded, reading, int(asked))
            texts = _texts(request, decision, asked)
            found.everything += without.everything(texts)
            found.everything_alone += without.everything_alone(texts)
            work = await _computed(compiled, request, signals, services)
            values = _values(compiled, work)
            found.in_order += without.priority_order(values, texts)
            found.in_order_alone += without.priority_order_alone(values, texts)
            found.least += least.of(request, work.values, texts, decision.outcome == "cached")
            if decision.ticket is not None and sending.sample is not None:
                engine.store(decision.ticket, _response(sending.value, sending.sample), clock())
    finally:
        engine.close()
    return found


def _good(compiled: Compiled, count: int) -> Iterator[Sending]:
    for sending in sendings(1, count, attributes_of(compiled.program)):
        if sending.sample is not None:
            yield sending


def _response(event: bytes, sample: Sample) -> dict[str, Any]:
    return answer(orjson.loads(event)["body"], sample.truth)


def _searched(cache: CacheAnswer) -> bool:
    """Whether the semantic tier was asked."""
    if cache.status == "hit":
        return cache.tier != "exact"
    return cache.status == "miss" and cache.reason != "absent"


def _texts(request: Request, decision: Decision, asked: bool) -> Texts:
    users = [normalise(m.text) for m in request.messages if m.role == "user"]
    last = request.text("last_user")
    at = request.last_user
    masked = any(span.message == at for span in decision.redacted)
    # Masking makes it another text.
    text = (f"masked {last}" if masked else last) if asked else None
    return Texts(last, tuple(dict.fromkeys(users[:-1][-MAX_TURNS:])), text)


async def _computed(
    compiled: Compiled, request: Request, signals: Signals, services: Services
) -> Work:
    """A request with the value of every signal that is computed."""
    program = compiled.program
    work = Work(request, [UNKNOWN] * len(program.signals))
    vectors = Vectors(services.embedder)
    for at, signal in enumerate(program.signals):
        if signal.stage != "derived" and work.values[at] is UNKNOWN:
            await signals.compute([(work, at)], vectors)
    return work


def _values(compiled: Compiled, work: Work) -> dict[str, Value]:
    """The value of every field and signal, derived ones included."""
    given: dict[str, Value] = {}
    for signal, value in zip(compiled.program.signals, work.values, strict=True):
        if signal.stage != "derived":
            scored = hasattr(value, "scores")
            given[signal.name] = Scores(value.label, value.scores) if scored else value
    request = work.request
    return all_values(compiled.policy, Interpreted(request.id, request.attributes), given)
