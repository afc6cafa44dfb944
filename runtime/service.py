"""The service: request records in, decision events out."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import orjson

from routec.compiler.program import Category, Model, Program
from routec.runtime.config import Config
from routec.runtime.engine.caching import terms_of
from routec.runtime.engine.engine import Engine
from routec.runtime.engine.open import open_services
from routec.runtime.events.decision import Slip, Ticket, ticket_of
from routec.runtime.events.decode import Decoder, Limits
from routec.runtime.events.encode import Encoder, decision_id
from routec.runtime.events.request import Request
from routec.runtime.native import NativePath
from routec.runtime.native.path import Answer
from routec.runtime.records import Dead, Decided, Outcome, Record
from routec.runtime.signals.load import Load
from routec.runtime.signals.observer import SILENT, Observer
from routec.runtime.signals.services import Services
from routec.safety.embed.base import Embedder
from routec.semcache.cache import SemanticCache
from routec.semcache.terms import Terms

PENDING = 10_000
"""Most cache misses remembered until their responses come; those of older batches go first."""

SMOOTHING = 0.1
"""Weight of the newest latency of a model in its average."""

AHEAD = 3600.0
"""Seconds by which event time may run ahead of the wall clock."""

_CUT_SHORT = frozenset({"length", "content_filter", "error"})


class EventClock:
    """The latest event time seen, in seconds; far-off future times do not move it."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest = 0.0

    def __call__(self) -> float:
        """That time; 0 before the first event."""
        return self._latest

    def advance(self, seconds: float) -> None:
        """Note the time of an event."""
        if self._latest < seconds <= time.time() + AHEAD:
            self._latest = seconds


@dataclass(slots=True)
class Memory:
    """What a policy has learnt, and the one that replaces it may go on with.

    Attributes:
        clock: the event clock that the cache uses.
        cache: the cache; ``None`` where the policy has no categories.
        embedder: whose vectors are in the cache; ``None`` without one.
        load: how busy embedder and classifiers are.
        categories: those whose terms are in force in the cache.
        models: those that the latencies are of.
        pending: cache misses that wait for their responses, by decision.
        latencies: observed seconds by model.
    """

    clock: EventClock
    cache: SemanticCache | None = None
    embedder: Embedder | None = None
    load: Load = field(default_factory=Load)
    categories: tuple[Category, ...] = ()
    models: tuple[Model, ...] = ()
    pending: OrderedDict[str, Ticket | Slip] = field(default_factory=OrderedDict)
    latencies: dict[str, float] = field(default_factory=dict)


class PolicyService:
    """Decides records by one policy (a `Decider`), and learns from responses.

    What a response holds is stored in the cache as it came: masking personal data in
    responses is the serving side's task.

    Args:
        engine: runs the policy.
        limits: how much of an event is read.
        clock: the event clock that the engine's cache uses.
        observer: hears of what happens.
        max_response_bytes: longest response record that is read.
        pending: most cache misses remembered until their responses come.
        memory: what it goes on with, and shares; its own without one.
        native: whether requests that need nothing but themselves and the exact cache are decided
            by compiled code; without it the engine decides the same of all, which takes longer.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        limits: Limits | None = None,
        clock: EventClock | None = None,
        observer: Observer = SILENT,
        max_response_bytes: int = 65_536,
        pending: int = PENDING,
        memory: Memory | None = None,
        native: bool = True,
    ) -> None:
        program = engine.program
        self._engine = engine
        self._decoder = Decoder(program.fields, limits)
        self._encoder = Encoder(program.name, engine.hash, {m.name: m for m in program.models})
        self._models = frozenset(model.name for model in program.models)
        if memory is None:
            memory = Memory(EventClock() if clock is None else clock)
        self.memory = memory
        self._clock = memory.clock
        engine.latencies = memory.latencies
        self._observer = observer
        self._max_response_bytes = max_response_bytes
        self._most_pending = pending
        self._native = (
            NativePath.of(engine, self._encoder, self._decoder.limits, self._remember, observer)
            if native
            else None
        )

    @property
    def policy_hash(self) -> str:
        """Hash of the policy, ``sha256:…``."""
        return self._engine.hash

    @property
    def policy_name(self) -> str:
        """Name of the policy."""
        return self._engine.program.name

    @property
    def program(self) -> Program:
        """The program it decides by."""
        return self._engine.program

    def request_id(self, record: Record) -> str | None:
        """The id of a request; ``None`` where the record cannot be decided."""
        read = self._decoder.decode(record)
        return read.id if isinstance(read, Request) else None

    def take_over(self) -> None:
        """Put its own terms in force in a memory that was another policy's.

        Answers of categories whose terms or scope differ are dropped, and latencies of models
        that are no longer the same.
        """
        memory, program = self.memory, self.program
        if memory.cache is not None:
            wanted = {category.name: _kept_under(category) for category in program.categories}
            for category in memory.categories:
                if wanted.get(category.name) != _kept_under(category):
                    memory.cache.invalidate(category=category.name)
            memory.cache.reconfigure([terms_of(category) for category in program.categories])
        memory.categories = program.categories
        for model in set(memory.models) - set(program.models):
            memory.latencies.pop(model.name, None)
        memory.models = program.models

    def close(self) -> None:
        """Stop what the cache does in the background."""
        self._engine.close()

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """Decide a batch: one outcome a record, in order; what cannot be decided is `Dead`."""
        answers: Sequence[Answer] = [None] * len(records)
        try:
            if self._native is not None:
                answers, latest = self._native.decide(records, time.time() + AHEAD)
                self._clock.advance(latest)
            left = [at for at, answer in enumerate(answers) if type(answer) is not Decided]
            outcomes = cast(list[Outcome], answers)
            if left:
                parts = [(records[at], cast(dict[str, Any] | None, answers[at])) for at in left]
                for at, outcome in zip(left, await self._decide(parts), strict=True):
                    outcomes[at] = outcome
        finally:
            if self._native is not None:
                self._native.forget()
        self._tell_entries()
        return outcomes

    async def _decide(
        self, records: Sequence[tuple[Record, dict[str, Any] | None]]
    ) -> list[Outcome]:
        """Decide records, of some of which the event is decoded already."""
        decoded = [self._decoder.decode(record, event) for record, event in records]
        requests = [request for request in decoded if isinstance(request, Request)]
        for request in requests:
            self._clock.advance(request.time_ms / 1000)
        decisions = iter(await self._engine.decide(requests))
        outcomes: list[Outcome] = []
        for (record, _), read in zip(records, decoded, strict=True):
            if isinstance(read, Dead):
                outcomes.append(read)
                continue
            decision = next(decisions)
            name = decision_id(record)
            if decision.ticket is not None:
                self._remember(name, decision.ticket)
            outcomes.append(self._encoder.encode(record, name, read, decision))
        return outcomes

    def learn(self, responses: Sequence[Record], other: PolicyService | None = None) -> None:
        """Take in response events: they fill the cache and tell how fast models answer.

        Only good answers (``ok``) to requests decided here that missed the cache are stored,
        none that was cut short. Bad records are counted and ignored.

        Args:
            responses: the records.
            other: is asked where nothing here waits for a response.
        """
        for record in responses:
            status = self._learn(record)
            if status == "unknown" and other is not None:
                status = other._learn(record)
            self._observer.learnt(status)
        self._tell_entries()

    def _tell_entries(self) -> None:
        for category, entries in self._engine.cached_entries().items():
            self._observer.held(category, entries)

    def _learn(self, record: Record) -> str:
        response = self._response(record.value)
        if response is None:
            return "invalid"
        if response.get("ok") is not True:
            return "refused"
        self._time(response)
        name = response.get("decision_id")
        slip = self.memory.pending.pop(name, None) if isinstance(name, str) else None
        if slip is None:
            return "unknown"
        body = response.get("body")
        if not isinstance(body, dict) or _unfit(body):
            return "refused"
        try:
            entry = self._engine.store(ticket_of(slip), body, self._clock())
        except (ValueError, TypeError):
            return "refused"
        return "refused" if entry is None else "stored"

    def _response(self, value: bytes | None) -> dict[str, Any] | None:
        # Room for the envelope around the body, which the cache itself measures.
        if value is None or len(value) > self._max_response_bytes + 4096:
            return None
        try:
            response = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
        return response if isinstance(response, dict) else None

    def _time(self, response: dict[str, Any]) -> None:
        model, latency = response.get("model"), response.get("latency_ms")
        if model not in self._models or isinstance(latency, bool):
            return
        if isinstance(latency, int | float) and 0 <= latency < 1e9:
            known = self._engine.latencies
            seconds = latency / 1000
            before = known.get(model, seconds)
            known[model] = before + SMOOTHING * (seconds - before)

    def _remember(self, name: str, slip: Ticket | Slip) -> None:
        pending = self.memory.pending
        if name in pending:
            pending.move_to_end(name)
        pending[name] = slip
        if len(pending) > self._most_pending:
            pending.popitem(last=False)


def open_service(
    program: Program,
    config: Config,
    *,
    observer: Observer = SILENT,
    hash: str | None = None,
    memory: Memory | None = None,
    pending: int = PENDING,
) -> PolicyService:
    """The service of a program with the real models, classifiers and cache.

    Args:
        program: the program.
        config: says what its names are bound to.
        observer: hears of what happens.
        hash: the program's hash; worked out unless given.
        memory: of the policy that it is to replace. It goes on with that where both have a cache
            of vectors of the same embedder; nothing changes there until `take_over`.
        pending: most cache misses remembered until their responses come.

    Raises:
        ServiceError: something it needs cannot be opened.
        ProgramError: the program cannot run here.
    """
    clock = EventClock() if memory is None else memory.clock
    services = open_services(program, config, clock)
    if memory is not None and _digest(services.embedder) == _digest(memory.embedder):
        # The same model: what it remembers, and how busy it is, go on.
        services = replace(services, embedder=memory.embedder, load=memory.load)
    if memory is not None and _inherits(services, memory):
        assert services.cache is not None
        services.cache.close()
        services = replace(services, cache=memory.cache)
    else:
        known = {} if memory is None else dict(memory.latencies)
        memory = Memory(
            clock,
            services.cache,
            services.embedder,
            services.load,
            program.categories,
            program.models if memory is None else memory.models,
            latencies=known,
        )
    return PolicyService(
        Engine(program, services, observer, hash),
        limits=Limits(bytes=config.runtime.max_event_bytes),
        observer=observer,
        max_response_bytes=config.cache.max_response_bytes,
        pending=pending,
        memory=memory,
    )


def cached_alike(one: Program, other: Program) -> bool:
    """Whether two programs keep answers in the same categories on the same terms."""
    kept = [{c.name: _kept_under(c) for c in program.categories} for program in (one, other)]
    return kept[0] == kept[1] and one.embedder == other.embedder


def _inherits(services: Services, memory: Memory) -> bool:
    return (
        services.cache is not None
        and memory.cache is not None
        and _digest(services.embedder) == _digest(memory.embedder)
    )


def _digest(embedder: Embedder | None) -> str | None:
    return None if embedder is None else embedder.digest


def _kept_under(category: Category) -> tuple[Terms, str | None]:
    return terms_of(category), category.scope


def _unfit(body: dict[str, Any]) -> bool:
    """Whether an answer is an error, or was cut short, and must not be served again."""
    choices = body.get("choices")
    if body.get("error") is not None or not isinstance(choices, list) or not choices:
        return True
    return any(
        not isinstance(choice, dict) or choice.get("finish_reason") in _CUT_SHORT
        for choice in choices
    )
