"""Lazy, batched and with failing services, the engine decides what the interpreter decides.

Nothing is pinned here: signals are computed from texts by services that may fail. Every signal is
computed eagerly for each request, and the reference interpreter decides by these values.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from routec.compiler import interpreter, types
from routec.compiler import policy as p
from routec.compiler.expr import And, Compare, Const, Expr, Not, Or
from routec.compiler.lower import lower
from routec.compiler.program import Program
from routec.runtime.engine import Engine
from routec.runtime.engine.caching import CacheDesk
from routec.runtime.engine.redaction import merged
from routec.runtime.events import Decision, Message, Request
from routec.runtime.events.decision import CacheAnswer
from routec.runtime.signals import Observer, Scores, Services
from routec.runtime.signals.compute import Signals
from routec.runtime.signals.vectors import Vectors
from routec.runtime.signals.work import UNKNOWN, Work
from routec.safety.entities import find_in_original
from routec.safety.text import NORMALISER_VERSION
from tests.compiler.policies import Made, plain_values, policies
from tests.runtime.doubles import Embedder, cache_of, words
from tests.runtime.engine.test_against_interpreter import as_interpreted

SETTINGS = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
PIECES = (
    "urgent",
    "asap",
    "TKT-204518",
    "TKT-",
    "a b",
    "c d",
    "prove it",
    "two plus two",
    "der",
    "law",
    "attack",
    "write to jo@example.com",
    "DE89 3704 0044 0532 0130 00",
    "+49 30 901820",
    "unreadable",
    "word " * 60,
    "\u200burg\u200bent",
)
RANGES = {
    "similarity": (-1.001, 1.001),
    "contrast": (-2.001, 2.001),
    "tokens": (0.0, 1e300),
    "turns": (0.0, 1e300),
}
"""Values that signals can take; of others 0 to 1."""

LATEST = 14 * 24 * 3600.0
"""Event time, in seconds, that no request comes after."""

ANSWER = {"choices": [{"message": {"role": "assistant", "content": "so"}}]}
CHEAP = ("scan", "light")
NEARNESS = ("similarity", "contrast")


# --- services that fail, always in the same way for the same text ------------------


class Backend:
    """A test double: scores drawn from a hash of the text."""

    revision = "sha256:hash"

    def __init__(self, name: str, labels: tuple[str, ...], exclusive: bool, mood: str) -> None:
        self.name = name
        self.labels = labels
        self.exclusive = exclusive
        self.mood = mood
        self.calls: list[str] = []

    async def classify(self, texts: Sequence[str], within: float) -> Any:
        self.calls += texts
        if self.mood == "error":
            raise RuntimeError("out of memory")
        if self.mood == "timeout":
            raise TimeoutError
        return np.array([self._row(text) for text in texts])

    def _row(self, text: str) -> NDArray[np.float64]:
        if "unreadable" in text:
            return np.full(len(self.labels), np.nan)
        digest = blake2b(f"{self.name} {text}".encode(), digest_size=len(self.labels)).digest()
        row = np.frombuffer(digest, np.uint8) / 255
        return row / row.sum() if self.exclusive and row.sum() else row

    async def close(self) -> None:
        """Nothing is held."""


@dataclass
class World:
    """Services, and what was asked of them."""

    embedder: Embedder
    backends: dict[str, Backend]
    entities_fail: bool
    language_fails: bool
    asked: list[str]

    def services(self, **more: Any) -> Services:
        return Services(
            tokens=words,
            most_tokens=lambda characters, ascii: characters,
            entities=self._entities,
            language=self._language,
            embedder=self.embedder,
            classifiers=self.backends,
            **more,
        )

    def _entities(self, text: str, kinds: frozenset[str]) -> Any:
        self.asked.append("entities")
        if self.entities_fail or "unreadable" in text:
            raise RuntimeError("no recogniser")
        return find_in_original(text, kinds)

    def _language(self, text: str) -> tuple[str, float]:
        self.asked.append("language")
        if self.language_fails:
            raise RuntimeError("no model")
        return ("de", 0.9) if "der" in text else ("en", 0.5)

    def forget(self) -> None:
        """Forget what was asked so far."""
        self.asked.clear()
        self.embedder.calls.clear()
        for backend in self.backends.values():
            backend.calls.clear()


@st.composite
def worlds(draw: st.DrawFn) -> World:
    moods = st.sampled_from(("well", "well", "well", "error", "timeout"))
    backends = {
        "topic": Backend("topic", ("law", "code", "other"), True, draw(moods)),
        "bad": Backend("bad", ("ok", "attack"), True, draw(moods)),
        "multi": Backend("multi", ("a", "b", "c"), False, draw(moods)),
    }
    if draw(st.integers(0, 4)) == 0:
        del backends[draw(st.sampled_from(tuple(backends)))]
    rarely = st.sampled_from((False, False, False, True))
    return World(Embedder(), backends, draw(rarely), draw(rarely), [])


@st.composite
def conversations(draw: st.DrawFn, made: Made) -> Request:
    """A request with a random conversation; attributes are all there."""
    roles = st.sampled_from(("user", "user", "assistant", "system"))
    texts = st.lists(st.sampled_from(PIECES), max_size=4).map(" ".join)
    messages = tuple(Message(*one) for one in draw(st.lists(st.tuples(roles, texts), max_size=4)))
    fields = made.policy.fields.items()
    tools = draw(st.sampled_from((False, False, False, True)))
    body: dict[str, Any] = {"messages": [{"role": m.role, "content": m.text} for m in messages]}
    if tools:
        body["tools"] = [{"type": "function"}]
    return Request(
        draw(st.uuids()).hex,
        {name: draw(plain_values(declared.type)) for name, declared in fields},
        messages,
        time_ms=draw(st.integers(0, 14 * 24)) * 3_600_000,
        body=body,
        max_tokens=draw(st.sampled_from((None, 100, 1000))),
        has_tools=tools,
    )


def afresh(request: Request, id: str | None = None, tenant: str | None = None) -> Request:
    """The same request with nothing worked out."""
    attributes = request.attributes if tenant is None else {**request.attributes, "tenant": tenant}
    return Request(
        request.id if id is None else id,
        attributes,
        request.messages,
        time_ms=request.time_ms,
        body=request.body,
        max_tokens=request.max_tokens,
        has_tools=request.has_tools,
    )


# --- what the interpreter says -----------------------------------------------------


class Oracle:
    """Computes everything, and lets the interpreter decide."""

    def __init__(self, made: Made, program: Program, world: World, cache: Any) -> None:
        self._policy = made.policy
        self._program = program
        self._world = world
        self._signals = Signals(program, world.services())
        self._desk = (
            None if cache is None else CacheDesk(cache, program.categories, world.embedder.digest)
        )

    async def work(self, request: Request) -> Work:
        """A request with the value of every signal."""
        work = Work(request, [UNKNOWN] * len(self._program.signals))
        for at, signal in enumerate(self._program.signals):
            if signal.stage != "derived":
                await self._signals.compute([(work, at)], Vectors(self._world.embedder))
        return work

    def values(self, work: Work) -> dict[str, types.Value]:
        """The signals' values in the interpreter's terms."""
        return {
            signal.name: types.Scores(value.label, value.scores)
            if isinstance(value, Scores)
            else value
            for signal, value in zip(self._program.signals, work.values, strict=True)
            if value is not UNKNOWN
        }

    def asked(self, request: Request) -> interpreter.Request:
        """The request in the interpreter's terms."""
        tokens = words(request.text("all"))
        return interpreter.Request(request.id, request.attributes, tokens, request.max_tokens)

    async def decide(self, request: Request, work: Work) -> interpreter.Decision:
        """What is decided."""
        asked, values = self.asked(request), self.values(work)
        without = interpreter.decide(self._policy, asked, values)
        if self._desk is None or without.category is None:
            return without
        answer = await self._lookup(without.category, request, work, without.redacted)
        entry = answer.entry if answer is not None and answer.status == "hit" else None
        circumstances = interpreter.Circumstances(cached=lambda category: entry)
        return interpreter.decide(self._policy, asked, values, circumstances)

    async def _lookup(
        self, category: str, request: Request, work: Work, redacted: Sequence[str]
    ) -> CacheAnswer | None:
        assert self._desk is not None
        names = [signal.name for signal in self._program.signals]
        try:
            spans = [
                span
                for name in redacted
                for span in self._signals.find_spans(work, names.index(name))
            ]
        except RuntimeError:
            return None
        question = self._desk.question(category, request, merged(spans))
        if question is None:
            return None
        exact = self._desk.exact(question)
        if exact is not None or question.text is None:
            return exact
        known = Vectors(self._world.embedder)
        try:
            await known.add([question.text])
        except RuntimeError:
            return None
        return self._desk.nearest([question], [known[question.text]], 0.0)[0]


# --- what is known: Kleene's logic over the resolved policy ------------------------


def most_tokens(request: Request) -> float:
    """The bound that the world's counter has: of ASCII as it came, else as it is read."""
    texts = [message.text for message in request.messages]
    if all(text.isascii() for text in texts):
        return sum(map(len, texts)) + len(texts)
    return len(request.text("all"))


class Knowledge:
    """Whether some values settle a decision, worked out on the policy itself."""

    def __init__(self, made: Made, request: Request, values: Mapping[str, Any]) -> None:
        self._policy = made.policy
        self._values = {**request.attributes, **values}
        self._most_tokens = most_tokens(request)
        for name, signal in made.policy.signals.items():
            definition = signal.definition
            if isinstance(definition, p.Score):
                if all(self._summand_known(summand) for summand in definition.summands):
                    self._values[name] = interpreter._score(definition, self._values)
            elif isinstance(definition, p.Bands) and definition.variable.name in self._values:
                self._values[name] = interpreter._band(definition, self._values)

    def _summand_known(self, summand: p.Summand) -> bool:
        if summand.variable is not None:
            return summand.variable.name in self._values
        assert summand.condition is not None
        return self.truth(summand.condition) is not None

    def truth(self, expr: Expr) -> bool | None:
        match expr:
            case Const(value=value):
                return value
            case Not(operand=operand):
                inner = self.truth(operand)
                return None if inner is None else not inner
            case And(operands=operands) | Or(operands=operands):
                parts = [self.truth(operand) for operand in operands]
                settling = isinstance(expr, Or)
                if settling in parts:
                    return settling
                return None if None in parts else not settling
            case _:
                if expr.variable.name in self._values:
                    return interpreter.evaluate(expr, self._values)
                corners = self._corners(expr.variable.name)
                if not corners:
                    return None
                said = {interpreter.evaluate(expr, {expr.variable.name: one}) for one in corners}
                # Between its least and its greatest value a score takes any, a band all between.
                return said.pop() if len(said) == 1 and self._monotone(expr, corners) else None

    def _corners(self, name: str) -> tuple[Any, ...]:
        """Every band, or the least and the greatest number, that a derived signal can still be."""
        definition = self._policy.signals[name].definition
        if isinstance(definition, p.Bands):
            names = [band.name for band in definition.bands]
            low, high = (
                names.index(interpreter._band(definition, {definition.variable.name: one}))
                for one in self._range(definition.variable.name)
            )
            return tuple(names[low : high + 1])
        numeric = isinstance(definition, p.Score) or self._policy.signals[name].kind == "tokens"
        return self._range(name) if numeric else ()

    def _range(self, name: str) -> tuple[float, float]:
        if name in self._values:
            value = self._values[name]
            return float(value), float(value)
        signal = self._policy.signals[name]
        if signal.kind == "tokens":
            return 0.0, self._most_tokens
        if not isinstance(signal.definition, p.Score):
            return RANGES.get(signal.kind, (0.0, 1.0))
        ends = []
        for upper in (False, True):
            total = float(signal.definition.constant)
            for summand in signal.definition.summands:
                if summand.variable is not None and summand.variable.member is None:
                    low, high = self._range(summand.variable.name)
                elif summand.variable is not None and summand.variable.name in self._values:
                    low = high = self._values[summand.variable.name].scores[summand.variable.member]
                else:
                    known = None if summand.condition is None else self.truth(summand.condition)
                    low, high = (0.0, 1.0) if known is None else (float(known), float(known))
                coefficient = float(summand.coefficient)
                total += coefficient * (high if upper == (coefficient > 0) else low)
            ends.append(round(total, 12))
        return ends[0], ends[1]

    def _monotone(self, expr: Expr, corners: tuple[Any, ...]) -> bool:
        """Whether an atom that says the same at both ends says it in between."""
        if not isinstance(expr, Compare) or expr.op != "==" or corners[0] == corners[-1]:
            return True
        return not corners[0] <= float(expr.value) <= corners[-1]

    def settles(self) -> bool:
        """Whether outcome, route and category can be told without any other signal."""
        for guard in self._policy.guards:
            holds = self.truth(guard.when.expr)
            if holds is None:
                return False
            if holds and any(name not in self._values for name in guard.redact):
                return False
            if holds and guard.reject is not None:
                return True
        for route in self._policy.routes:
            holds = self.truth(route.when.expr)
            if holds is None:
                return False
            if holds:
                return route.cache is not None or self._category_known()
        raise AssertionError("the default route always holds")

    def _category_known(self) -> bool:
        for category in self._policy.categories:
            holds = self.truth(category.when.expr)
            if holds is not False:
                return holds is True
        return True


class Order(Observer):
    """The order in which signals got values."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: list[str] = []

    def signal(self, name: str, source: str, requests: int, seconds: float) -> None:
        if requests:
            self.names.append(name)

    def failure(self, name: str, reason: str, requests: int) -> None:
        self.names.append(name)


class Setting:
    """A policy in a world."""

    def __init__(self, made: Made, world: World, requests: list[Request], cached: bool) -> None:
        program = lower(made.policy, normaliser=NORMALISER_VERSION)
        caching = cached and program.categories
        cache = cache_of(program, world.embedder, LATEST) if caching else None
        self.made = made
        self.world = world
        self.program = program
        self.requests = requests
        self.cached = cached
        self.order = Order()
        self.engine = Engine(program, world.services(cache=cache), self.order)
        self.oracle = Oracle(made, program, world, cache)

    def __repr__(self) -> str:
        said = [[(m.role, m.text) for m in one.messages] for one in self.requests]
        moods = {name: backend.mood for name, backend in self.world.backends.items()}
        return f"{self.made.text}\n{said} {moods}"


@st.composite
def scenes(draw: st.DrawFn, cached: bool = True) -> Setting:
    made, world = draw(policies()), draw(worlds())
    requests = draw(st.lists(conversations(made), min_size=1, max_size=4))
    scene = Setting(made, world, requests, cached)
    # From now on: the examples of the policy have their vectors.
    world.embedder.fails = draw(st.sampled_from((False, False, False, True)))
    world.forget()
    return scene


def timeless(decision: Decision) -> Decision:
    """A decision without what differs from run to run."""
    return replace(decision, timing_us={}, ticket=None)


@SETTINGS
@given(scenes(), st.lists(st.sampled_from((True, True, False)), min_size=4, max_size=4))
def test_the_lazy_engine_decides_what_the_interpreter_decides(
    scene: Setting, answered: list[bool]
) -> None:
    async def run() -> None:
        decided = await scene.engine.decide([afresh(one) for one in scene.requests])
        await check(decided, scene.requests)
        for decision, keep in zip(decided, answered, strict=False):
            if decision.ticket is not None and keep:
                scene.engine.store(decision.ticket, ANSWER, LATEST)
        # Asked again, and by another tenant, some are now answered from the cache.
        again = [afresh(one, id=f"{one.id}-2") for one in scene.requests]
        again += [afresh(one, tenant="globex") for one in scene.requests]
        await check(await scene.engine.decide(again), again)

    async def check(decisions: Sequence[Decision], requests: Sequence[Request]) -> None:
        for request, decision in zip(requests, decisions, strict=True):
            fresh = afresh(request)
            work = await scene.oracle.work(fresh)
            expected = await scene.oracle.decide(fresh, work)
            if expected.outcome == "cached":
                # It is not routed: the interpreter tells where it would have gone.
                expected = dataclasses.replace(expected, route=None)
            assert as_interpreted(decision) == expected
            assert {(f.signal, f.reason) for f in decision.failures} <= {
                (f.signal, f.reason) for f in work.failures
            }
            values = interpreter.all_values(
                scene.made.policy, scene.oracle.asked(fresh), scene.oracle.values(work)
            )
            for name, shown in decision.signals.items():
                signal, _, member = name.partition(".")
                value = values[signal]
                if isinstance(value, types.Scores):
                    value = value.scores[member] if member else value.label
                assert shown == value

    asyncio.run(run())


@SETTINGS
@given(scenes())
def test_a_batch_decides_as_its_requests_do_alone(scene: Setting) -> None:
    async def run() -> None:
        for one in scene.requests[::2]:
            (decision,) = await scene.engine.decide([afresh(one)])
            if decision.ticket is not None:
                scene.engine.store(decision.ticket, ANSWER, LATEST)
        together = await scene.engine.decide([afresh(one) for one in scene.requests])
        alone = [(await scene.engine.decide([afresh(one)]))[0] for one in scene.requests]
        assert [timeless(one) for one in together] == [timeless(one) for one in alone]

    asyncio.run(run())


@SETTINGS
@given(scenes(cached=False))
def test_nothing_is_computed_that_the_decision_does_not_wait_for(scene: Setting) -> None:
    async def run() -> None:
        stages = {signal.name: signal.stage for signal in scene.program.signals}
        kinds = {signal.name: signal.kind for signal in scene.program.signals}
        for request in scene.requests:
            values = scene.oracle.values(await scene.oracle.work(afresh(request)))
            scene.world.forget()
            scene.order.names.clear()
            (decision,) = await scene.engine.decide([afresh(request)])
            computed = scene.order.names
            plain = {name for name, stage in stages.items() if stage != "derived"}
            assert set(computed) == plain - set(decision.skipped)
            nothing_asked_for(set(decision.skipped), scene)

            def settled(names: set[str], known: Mapping[str, Any], of: Request) -> bool:
                some = {name: known[name] for name in names}
                return Knowledge(scene.made, of, some).settles()

            assert settled(set(computed), values, request)
            # Where cheap signals settle it, no costly one is touched.
            cheap = {name for name in plain if stages[name] in CHEAP}
            if settled(cheap, values, request):
                assert set(computed) <= cheap
            # A scan finds all its signals at once, an embedding all similarities; anything else
            # came one by one, when needed.
            if computed and stages[computed[-1]] != "scan":
                last = {computed[-1]}
                if kinds[computed[-1]] in NEARNESS:
                    last = {name for name in computed if kinds[name] in NEARNESS}
                assert not settled(set(computed) - last, values, request)

    asyncio.run(run())


def nothing_asked_for(skipped: set[str], scene: Setting) -> None:
    """What is listed as skipped has had nothing to do with any service."""
    for name, backend in scene.world.backends.items():
        if name in skipped:
            assert not backend.calls
    if "lang" in skipped:
        assert "language" not in scene.world.asked
    if "pii" in skipped:
        assert "entities" not in scene.world.asked
    if skipped >= {signal.name for signal in scene.program.signals if signal.stage == "embed"}:
        assert not scene.world.embedder.calls
