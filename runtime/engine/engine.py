"""The engine: decides batches of requests, computing only what can change a decision.

Every request is a small state machine that walks guards, routes, categories, cache
and target in the order of meaning. It stops where a condition is unknown and says
which signal would be the cheapest to settle it. The engine gathers what the whole
batch waits for, serves the cheapest stage of it with one call of each kind, and goes
on, until every request is decided. There is no task or coroutine for a request.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter

from routec.compiler.program import Program, ProgramError, digest
from routec.runtime.engine.caching import CacheDesk
from routec.runtime.engine.conditions import STAGES, Conditions
from routec.runtime.engine.run import Run
from routec.runtime.engine.trace import Tracer
from routec.runtime.events.decision import CacheAnswer, Decision, Reject, Selection, Ticket
from routec.runtime.events.request import Request
from routec.runtime.selection import ALGORITHMS, Size, choose, key_text, shadow
from routec.runtime.signals.compute import Signals
from routec.runtime.signals.observer import SILENT, Observer
from routec.runtime.signals.services import Services
from routec.runtime.signals.values import Pin, exact_type, pinned
from routec.runtime.signals.vectors import Vectors
from routec.runtime.signals.work import Work
from routec.safety.text import NORMALISER_VERSION

log = logging.getLogger(__name__)

Pins = Mapping[str, Pin]

_EMBED = STAGES["embed"]
_STAGE_NAMES = {rank: name for name, rank in STAGES.items()}


class Engine:
    """Decides requests by a program.

    Args:
        program: the program.
        services: what its signals need.
        observer: hears of what happens.
        hash: the program's hash; worked out unless given.

    Raises:
        ProgramError: the program cannot run here: another normaliser or embedder, a selection
            algorithm that is not there, conditions that nest too deep, a bad phrase or pattern.

    Attributes:
        program: the program.
        hash: its content hash.
        latencies: observed seconds by model, for selection; whoever observes them writes here.
    """

    def __init__(
        self,
        program: Program,
        services: Services,
        observer: Observer = SILENT,
        hash: str | None = None,
    ) -> None:
        _check(program, services)
        self.program = program
        self.hash = digest(program) if hash is None else hash
        self.latencies: dict[str, float] = {}
        self._services = services
        self._observer = observer
        self._conditions = Conditions(program)
        try:
            self._signals = Signals(program, services, observer)
        except (ValueError, KeyError) as error:
            raise ProgramError(
                "invalid-program", f"a signal cannot be computed: {error}"
            ) from error
        embedder = None if services.embedder is None else services.embedder.digest
        self._desk = (
            None
            if services.cache is None
            else CacheDesk(services.cache, program.categories, embedder)
        )
        self._models = {model.name: model for model in program.models}
        self._routes = tuple(
            (
                route,
                any(
                    self._models[m].context is not None for m in route.candidates + route.fallbacks
                ),
            )
            for route in program.routes
        )
        self._places = self._conditions.signals
        self._pin_types = tuple(exact_type(signal) for signal in program.signals)
        self._turns: dict[str, int] = {}
        self._tracer = Tracer(program, self._conditions)

    async def decide(
        self, requests: Sequence[Request], pins: Sequence[Pins] | None = None
    ) -> list[Decision]:
        """Decide a batch.

        Args:
            requests: the requests; their attributes are of their fields' types.
            pins: for each request the signals whose values are fixed; those are never computed.

        Returns:
            One decision a request, in order.

        Raises:
            ValueError: a pin names no signal, or is not a value of its signal's; or there are
                not as many pins as requests.
        """
        begin = perf_counter()
        given = [None] * len(requests) if pins is None else pins
        runs = [Run(self._work(r, p)) for r, p in zip(requests, given, strict=True)]
        known = Vectors(self._services.embedder)
        waiting: list[tuple[Run, int, int]] = []
        moving = runs
        while True:
            for run in moving:
                need = self._advance(run)
                if need is not None:
                    waiting.append((run, *need))
            if not waiting:
                break
            rank = min(entry[1] for entry in waiting)
            served = [entry for entry in waiting if entry[1] == rank]
            waiting = [entry for entry in waiting if entry[1] != rank]
            await self._serve(rank, served, known)
            moving = [entry[0] for entry in served]
        total = perf_counter() - begin
        # In order, because turns of round-robin routes are counted.
        return [self._finish(run, round(total * 1e6)) for run in runs]

    def store(self, ticket: Ticket, body: object, now: float) -> str | None:
        """Keep an answer where a decision's ticket says.

        Returns:
            Its entry's id, ``None`` if it is not kept.

        Args:
            ticket: of the decision that missed the cache.
            body: the response, plain JSON.
            now: event time, seconds.

        Raises:
            CacheError: the cache does not take it.
            TypeError: the body is not plain JSON.
        """
        return None if self._desk is None else self._desk.store(ticket, body, now)

    def cached_entries(self) -> dict[str, int]:
        """Entries of the cache by category; empty without a cache."""
        return {} if self._desk is None else self._desk.entries()

    def close(self) -> None:
        """Stop what the cache does in the background; it may still be asked."""
        if self._services.cache is not None:
            self._services.cache.close()

    def _work(self, request: Request, pins: Pins | None) -> Work:
        work = Work(request, len(self.program.signals))
        if pins:
            places = []
            for name, pin in pins.items():
                at = self._places.get(name)
                if at is None:
                    raise ValueError(f"there is no signal `{name}` to pin")
                places.append(at)
                # Most pins are plainly of their signal's type.
                if type(pin) is self._pin_types[at]:
                    work.values[at] = pin
                else:
                    work.values[at] = pinned(self.program.signals[at], pin)
            work.pins = frozenset(places)
        return work

    # --- one request ------------------------------------------------------------

    def _advance(self, run: Run) -> tuple[int, int] | None:
        """Go on until decided (``None``) or until a signal is needed (its stage and index)."""
        work = run.work
        if not run.guarded:
            need = self._guards(run, work)
            if need is not None or run.reject is not None:
                return need
            run.guarded = True
        if run.route is None:
            need = self._route(run, work)
            if need is not None:
                return need
        if not run.categorised:
            need = self._category(run, work)
            if need is not None:
                return need
            run.categorised = True
            if run.category is not None and self._desk is not None and self._ask(run):
                return (_EMBED, -1)
        return None

    def _guards(self, run: Run, work: Work) -> tuple[int, int] | None:
        guards, nodes = self.program.guards, self._conditions.nodes
        while run.at < len(guards):
            guard = guards[run.at]
            holds = nodes[guard.when](work)
            if holds is None:
                return self._conditions.wanted(guard.when, work)
            if holds:
                for name in guard.redact:
                    at = self._conditions.signals[name]
                    if work.values[at] is None:
                        return (self._conditions.rank[at], at)
                run.redact.update(dict.fromkeys(guard.redact))
                run.tags.update(dict.fromkeys(guard.tags))
                run.headers.update(guard.headers)
            run.path.append(guard.when)
            run.at += 1
            if holds and guard.reject is not None:
                run.reject = Reject(guard.name, guard.reject.status, guard.reject.reason)
                return None
        run.at = 0
        return None

    def _route(self, run: Run, work: Work) -> tuple[int, int] | None:
        nodes = self._conditions.nodes
        while True:
            route, _ = self._routes[run.at]
            holds = nodes[route.when](work)
            if holds is None:
                return self._conditions.wanted(route.when, work)
            run.path.append(route.when)
            if holds:
                break
            run.at += 1
        run.route = run.at
        run.at = 0
        return None

    def _category(self, run: Run, work: Work) -> tuple[int, int] | None:
        assert run.route is not None
        route, _ = self._routes[run.route]
        if route.cache == "off":
            return None
        if route.cache == "force":
            run.category = route.category
            return None
        categories, nodes = self.program.categories, self._conditions.nodes
        while run.at < len(categories):
            category = categories[run.at]
            holds = nodes[category.when](work)
            if holds is None:
                return self._conditions.wanted(category.when, work)
            run.path.append(category.when)
            if holds:
                run.category = category.name
                return None
            run.at += 1
        return None

    # --- the cache --------------------------------------------------------------

    def _ask(self, run: Run) -> bool:
        """Ask the exact tier; whether the semantic one has to be asked as well."""
        assert self._desk is not None
        assert run.category is not None
        if not self._mask(run):
            return False
        question = self._desk.question(run.category, run.work.request, run.spans)
        if question is None:
            return False
        run.question = question
        answer = self._desk.exact(question)
        if answer is None and question.text is not None:
            return True
        self._answered(run, answer or CacheAnswer("miss", reason="absent"))
        return False

    def _mask(self, run: Run) -> bool:
        """Find what must be masked; whether that is known, so that something may leave."""
        if not run.redact:
            return True
        spans, known = self._tracer.spans(self._signals, run)
        run.spans = spans
        return known

    def _answered(self, run: Run, answer: CacheAnswer) -> None:
        assert run.category is not None
        run.cache = answer
        self._observer.looked_up(run.category, answer.status)

    async def _serve(
        self, rank: int, served: Sequence[tuple[Run, int, int]], known: Vectors
    ) -> None:
        """Serve what was gathered of one stage."""
        begin = perf_counter()
        needs = [(run.work, at) for run, _, at in served if at >= 0]
        asking = [run for run, _, at in served if at < 0]
        texts = [run.question.text or "" for run in asking if run.question is not None]
        await self._signals.compute(needs, known, texts)
        if asking:
            self._nearest(asking, known)
        spent = round((perf_counter() - begin) * 1e6)
        stage = _STAGE_NAMES[rank]
        for run, _, _ in served:
            timing = run.work.timing_us
            timing[stage] = timing.get(stage, 0) + spent

    def _nearest(self, runs: Sequence[Run], known: Vectors) -> None:
        assert self._desk is not None
        questions = [run.question for run in runs if run.question is not None]
        vectors = [known.get(question.text or "") for question in questions]
        answers = self._desk.nearest(questions, vectors, self._services.load())
        for run, question, vector, answer in zip(runs, questions, vectors, answers, strict=True):
            question.ticket = replace(question.ticket, vector=vector)
            self._answered(run, answer)

    # --- the outcome ------------------------------------------------------------

    def _finish(self, run: Run, total_us: int) -> Decision:
        self._mask(run)
        trace = self._tracer.trace(run, total_us)
        if run.reject is not None:
            self._observer.decided("reject", None)
            return Decision("reject", reject=run.reject, **trace)
        assert run.route is not None
        route, measured = self._routes[run.route]
        run.tags.update(dict.fromkeys(route.tags))
        run.headers.update(route.headers)
        trace["tags"] = tuple(run.tags)
        if run.cache.status == "hit":
            self._observer.decided("cached", route.name)
            return Decision(
                "cached",
                route=route.name,
                parameters=route.parameters,
                category=run.category,
                cache=run.cache,
                **trace,
            )
        request = run.work.request
        limit = route.parameters.get("max_tokens", request.max_tokens)
        answer = limit if isinstance(limit, int) and not isinstance(limit, bool) else None
        # Only contexts and prices ask for the number of tokens.
        counted = measured or route.by in ("cost", "balanced")
        tokens = self._signals.count_tokens(run.work) if counted else 0
        key = request.id if route.sticky is None else key_text(request.attributes[route.sticky])
        turn = self._turns.get(route.name, 0)
        choice = choose(
            route, self._models, Size(tokens, answer), key, turn=turn, latencies=self.latencies
        )
        if choice is None:
            self._observer.decided("reject", None)
            return Decision("reject", reject=Reject(None, 413, "context_overflow"), **trace)
        if choice.by == "round_robin":
            self._turns[route.name] = turn + 1
        self._observer.decided("route", route.name)
        return Decision(
            "route",
            route=route.name,
            model=choice.model,
            fallbacks=choice.fallbacks,
            parameters=route.parameters,
            category=run.category,
            cache=run.cache,
            selection=Selection(choice.by, choice.candidates, choice.propensity),
            shadow=shadow(route, request.id),
            ticket=None if run.question is None else run.question.ticket,
            **trace,
        )


def _check(program: Program, services: Services) -> None:
    if program.normaliser and program.normaliser != NORMALISER_VERSION:
        raise ProgramError(
            "other-normaliser",
            f"the program was checked with the normaliser `{program.normaliser}`, this engine has "
            f"`{NORMALISER_VERSION}`: compile it again with this version",
        )
    embedder = services.embedder
    if program.embedder and embedder is not None and embedder.digest != program.embedder:
        raise ProgramError(
            "other-embedder",
            f"the program's thresholds are meant for the embedder `{program.embedder}`, "
            f"in use is `{embedder.digest}`",
        )
    for route in program.routes:
        if route.by not in ALGORITHMS:
            raise ProgramError(
                "unknown-selection",
                f"route `{route.name}` selects by `{route.by}`, which is not known",
            )
    for signal in program.signals:
        if signal.stage not in STAGES and signal.stage != "derived":
            raise ProgramError(
                "unknown-stage", f"signal `{signal.name}` is of the unknown stage `{signal.stage}`"
            )
