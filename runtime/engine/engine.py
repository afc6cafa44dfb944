"""The engine: decides batches of requests, computing only what can change a decision.

Of every request three questions are asked: which guards act, which route holds, which
category's terms apply. Where what is known does not answer one, it names the signal to
ask next. The engine gathers what the whole batch waits for, serves the cheapest stage of
it with one call of each kind, and goes on, until every request is decided. The cache is
asked as soon as the category is settled, before costly signals that only the route needs.
There is no task or coroutine for a request.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import attrgetter
from time import perf_counter
from typing import Any

import msgspec

from routec.compiler.program import Program, ProgramError, digest
from routec.runtime.engine.ask import Questions, planned, unplanned
from routec.runtime.engine.caching import CacheDesk
from routec.runtime.engine.code import Code
from routec.runtime.engine.conditions import STAGES, Conditions
from routec.runtime.engine.index import FROM, Index
from routec.runtime.engine.masking import find_masks
from routec.runtime.engine.questions import NEED
from routec.runtime.engine.run import UNSETTLED, Run
from routec.runtime.engine.start import Pins, Start
from routec.runtime.engine.templates import Ending, Templates
from routec.runtime.events.decision import (
    NOT_ASKED,
    CacheAnswer,
    Decision,
    Outcome,
    Reject,
    Selection,
    Ticket,
    Value,
)
from routec.runtime.events.request import FieldValue, Request
from routec.runtime.selection import ALGORITHMS, Choice, Selector, Size, key_text, shadow
from routec.runtime.signals.compute import Signals
from routec.runtime.signals.observer import SILENT, Observer
from routec.runtime.signals.services import Services
from routec.runtime.signals.vectors import Vectors
from routec.runtime.signals.work import FIRST_VERSION, UNKNOWN, NotKnown, Work
from routec.safety.text import NORMALISER_VERSION

log = logging.getLogger(__name__)

_EMBED = STAGES["embed"]
_OUTCOME = attrgetter("outcome", "route")
_STAGE_NAMES = {rank: name for name, rank in STAGES.items()}


class Engine:
    """Decides requests by a program.

    Args:
        program: the program.
        services: what its signals need.
        observer: hears of what happens.
        hash: the program's hash; worked out unless given.
        generated: whether conditions run as generated code; without it they are interpreted,
            which is slower and decides the same.

    Raises:
        ProgramError: the program cannot run here: another normaliser or embedder, a selection
            algorithm that is not there, conditions that nest too deep, a bad phrase or pattern.

    Attributes:
        program: the program.
        hash: its content hash.
        latencies: observed seconds by model, for selection; whoever observes them writes here.
        services: what its signals need.
        conditions: the program's conditions.
        questions: the questions of a request of which nothing is fixed.
        selectors: by route.
        desk: asks the cache; ``None`` without one.
        texts: its keywords and regexes.
        index: of the routes, where there are many.
    """

    def __init__(
        self,
        program: Program,
        services: Services,
        observer: Observer = SILENT,
        hash: str | None = None,
        *,
        generated: bool = True,
    ) -> None:
        _check(program, services)
        self.program = program
        self.hash = digest(program) if hash is None else hash
        self.latencies: dict[str, float] = {}
        self.services = services
        self._observer = observer
        self.conditions = Conditions(program)
        try:
            self._signals = Signals(program, services, observer)
        except (ValueError, KeyError) as error:
            raise ProgramError(
                "invalid-program", f"a signal cannot be computed: {error}"
            ) from error
        self.texts = self._signals.texts
        embedder = None if services.embedder is None else services.embedder.digest
        self.desk = (
            None
            if services.cache is None
            else CacheDesk(services.cache, program.categories, embedder)
        )
        code = Code(program, self.conditions.signals, self.conditions.turn)
        self.index = Index(program) if len(program.routes) >= FROM else None
        functions = code if generated else None
        self._unplanned = unplanned(program, self.conditions, functions, self.index)
        self.questions = planned(program, self.conditions, functions, self.index)
        self._fast_guards = self._unplanned.guards.fast
        self._fast_route = self._unplanned.route.fast
        names = {category.name: at for at, category in enumerate(program.categories)}
        self._forced = tuple(
            names[route.category] if route.category is not None else -1 for route in program.routes
        )
        models = {model.name: model for model in program.models}
        self.selectors = [Selector(route, models) for route in program.routes]
        self._templates = Templates(program, self.conditions, code)
        # Endings without a guard, by route; none are kept where fields tell requests apart.
        self._plain: list[Ending | None] = [None] * len(program.routes)
        self._unguarded = None if program.guards else self._templates.guarded(0)
        self._caches = bool(program.categories)
        self._start = Start(program, self.conditions.signals, code.places)
        self._every = self._start.every
        self._turns: dict[str, int] = {}

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
        decided: list[Decision | None] = []
        note = decided.append
        runs: list[Run] = []
        timing: dict[str, int] = {}
        everything, at_once = self._start.everything, self._at_once
        for request, fixed in zip(requests, given, strict=True):
            values = everything(fixed) if fixed else None
            decision = None if values is None else at_once(request, values, timing)
            note(decision)
            if decision is None:
                runs.append(self._start.run(request, fixed, values))
        if runs:
            await self._settle(runs)
        total_us = timing["total"] = round((perf_counter() - begin) * 1e6)
        # In order, because turns of round-robin routes are counted.
        rest = iter(runs)
        decisions = [d or self._finish(next(rest), total_us) for d in decided]
        if self._observer is not SILENT:
            for (outcome, route), count in Counter(map(_OUTCOME, decisions)).items():
                self._observer.decided(outcome, route, count)
        return decisions

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
        return None if self.desk is None else self.desk.store(ticket, body, now)

    def cached_entries(self) -> dict[str, int]:
        """Entries of the cache by category; empty without a cache."""
        return {} if self.desk is None else self.desk.entries()

    def close(self) -> None:
        """Stop what the cache does in the background; it may still be asked."""
        if self.services.cache is not None:
            self.services.cache.close()

    async def _settle(self, runs: Sequence[Run]) -> None:
        """Bring requests to their decisions, the cheapest stage that some wait for first."""
        self._signals.read_off(runs)
        known = Vectors(self.services.embedder)
        waiting: list[tuple[Run, int, int]] = []
        moving = runs
        while True:
            for run in moving:
                need = self._advance(run)
                if need is not None:
                    waiting.append((run, *need))
            if not waiting:
                return
            rank = min(entry[1] for entry in waiting)
            served = [entry for entry in waiting if entry[1] == rank]
            waiting = [entry for entry in waiting if entry[1] != rank]
            await self._serve(rank, served, known)
            moving = [entry[0] for entry in served]

    # --- one request ------------------------------------------------------------

    def _at_once(
        self, request: Request, values: list[Any], timing: Mapping[str, int]
    ) -> Decision | None:
        """The decision of a request of which every signal is fixed.

        ``None`` if it takes more than that: the cache, masking, or choosing among models.

        Args:
            request: the request.
            values: the values of its signals.
            timing: what its batch takes, for all its decisions; known when that is at its end.
        """
        attributes = request.attributes
        try:
            bits = self._fast_guards(values, attributes) if self._unguarded is None else 0
            route = self._fast_route(values, attributes)
        except NotKnown:
            return None
        ending = None if bits else self._plain[route]
        if ending is None:
            mask = 0 if self.index is None else self.index.mask(attributes)
            ending = self._templates.ending(bits, route, -1, mask)
            if not bits and not mask:
                self._plain[route] = ending
        if not ending.direct:
            return None
        return Decision(
            "route",
            ending.name,
            ending.model,
            ending.fallbacks,
            ending.parameters,
            (),
            (),
            None,
            ending.tags,
            ending.headers,
            None,
            NOT_ASKED,
            ending.selection,
            None,
            ending.reading(values, attributes),
            self._templates.never,
            (),
            ending.path,
            timing,
            None,
            ending.thresholds,
        )

    def _advance(self, run: Run) -> tuple[int, int] | None:
        """Go on until decided (``None``) or until a signal is needed (its stage and index)."""
        questions = self._unplanned if run.pins else self.questions
        guarded = run.guarded
        if guarded is None and self._unguarded is not None:
            guarded = run.guarded = self._unguarded
        elif guarded is None:
            bits = questions.guards.ask(run)
            if bits <= NEED:
                return self._need(NEED - bits)
            guarded = self._templates.guarded(bits)
            for at in guarded.redacting:
                if run.values[at] is UNKNOWN:
                    return self._need(at)
            run.bits, run.guarded = bits, guarded
        if guarded.reject is not None:
            return None
        need = -1
        if run.route == UNSETTLED:
            route = questions.route.ask(run)
            if route <= NEED:
                need = NEED - route
            else:
                run.route = route
        if run.category == UNSETTLED and not self._caches:
            run.category = -1
        elif run.category == UNSETTLED:
            other = self._settle_category(run, questions)
            if other >= 0:
                if need < 0 or self.conditions.turn[other] < self.conditions.turn[need]:
                    need = other
                return self._need(need)
        if not run.asked and run.category >= 0:
            cheap = need >= 0 and self.conditions.rank[need] < _EMBED
            if not cheap:
                run.asked = True
                if self.desk is not None and self._ask(run):
                    return (_EMBED, -1)
        if need < 0 or run.cache.status == "hit":
            return None
        return self._need(need)

    def _need(self, signal: int) -> tuple[int, int]:
        return (self.conditions.rank[signal], signal)

    def _settle_category(self, run: Run, questions: Questions) -> int:
        """Settle the category if that can be done; the signal that it needs, or -1."""
        if run.route != UNSETTLED:
            route = self.program.routes[run.route]
            if route.cache != "auto":
                run.category = self._forced[run.route]
                return -1
            question = questions.categories
        elif questions.cases is not None and self.desk is not None:
            question = questions.cases
        else:
            return -1
        category = question.ask(run)
        if category <= NEED:
            return NEED - category
        run.category = category
        return -1

    # --- the cache --------------------------------------------------------------

    def _ask(self, run: Run) -> bool:
        """Ask the exact tier; whether the semantic one has to be asked as well."""
        assert self.desk is not None
        assert run.guarded is not None
        if run.guarded.redacting:
            run.masks, known = find_masks(self.program, self._signals, run, run.guarded.redacting)
            if not known:
                return False
        category = self.program.categories[run.category].name
        question = self.desk.question(category, run.request, run.masks)
        if question is None:
            return False
        run.question = question
        answer = self.desk.exact(question)
        if answer is None and question.text is not None:
            return True
        self._answered(run, answer or CacheAnswer("miss", reason="absent"))
        return False

    def _answered(self, run: Run, answer: CacheAnswer) -> None:
        run.cache = answer
        self._observer.looked_up(self.program.categories[run.category].name, answer.status, 1)

    async def _serve(
        self, rank: int, served: Sequence[tuple[Run, int, int]], known: Vectors
    ) -> None:
        """Serve what was gathered of one stage."""
        begin = perf_counter()
        needs: list[tuple[Work, int]] = [(run, at) for run, _, at in served if at >= 0]
        asking = [run for run, _, at in served if at < 0]
        texts = [run.question.text or "" for run in asking if run.question is not None]
        await self._signals.compute(needs, known, texts)
        if asking:
            self._nearest(asking, known)
        spent = round((perf_counter() - begin) * 1e6)
        stage = _STAGE_NAMES[rank]
        for run, _, _ in served:
            run.spent(stage, spent)

    def _nearest(self, runs: Sequence[Run], known: Vectors) -> None:
        assert self.desk is not None
        questions = [run.question for run in runs if run.question is not None]
        vectors = [known.get(question.text or "") for question in questions]
        answers = self.desk.nearest(questions, vectors, self.services.load())
        for run, question, vector, answer in zip(runs, questions, vectors, answers, strict=True):
            question.ticket = msgspec.structs.replace(question.ticket, vector=vector)
            self._answered(run, answer)

    # --- the outcome ------------------------------------------------------------

    def specimen(
        self,
        bits: int,
        route: int,
        category: int,
        choice: Choice | None,
        cache: CacheAnswer,
        values: Mapping[int, Value],
        attributes: Mapping[str, FieldValue],
        most_tokens: float,
    ) -> Decision:
        """A decision like all that end alike, but for what is the request's own.

        Args:
            bits: the guards that act, as bits.
            route: index of the route; -1 of a rejection, or where the cache answered.
            category: index of the category whose terms apply; -1 for none.
            choice: its model; ``None`` unless the outcome is ``route``.
            cache: what the cache said.
            values: of the signals that are known, by their indices; the others are not, but
                for those that are worked out from them.
            attributes: values of the fields.
            most_tokens: a bound of the tokens, while they are not counted.
        """
        run = self._start.run(Request("", attributes), None)
        for at, value in values.items():
            run.learn(at, value)
        run.most_tokens = most_tokens
        self._signals.bound_tokens(run)
        run.bits, run.guarded = bits, self._templates.guarded(bits)
        run.route, run.category, run.cache = route, category, cache
        return self._finish(run, 0, choice)

    def _finish(self, run: Run, total_us: int, choice: Choice | None = None) -> Decision:
        guarded = run.guarded
        assert guarded is not None
        if guarded.redacting and run.question is None:
            run.masks, _ = find_masks(self.program, self._signals, run, guarded.redacting)
        rejected, cached = guarded.reject is not None, run.cache.status == "hit"
        ending = self._templates.ending(
            run.bits,
            -1 if rejected or cached else run.route,
            -1 if rejected else run.category,
            0 if self.index is None else self.index.mask(run.attributes),
        )
        outcome: Outcome = "reject" if rejected else "cached" if cached else "route"
        reject = guarded.reject
        if outcome == "route" and ending.model is None and choice is None:
            choice = self._choose(run)
            if choice is None:
                outcome, reject = "reject", Reject(None, 413, "context_overflow")
        pins = run.pins
        fixed = len(pins & self._every) if pins and pins is not self._every else len(pins)
        if run.version - FIRST_VERSION + fixed >= len(self._every):
            signals = ending.reading(run.values, run.attributes)
            skipped = self._templates.never
        else:
            signals = {
                name: value for name, read in ending.readings if (value := read(run)) is not None
            }
            skipped = self._templates.skipped(run)
        timing = {"total": total_us}
        if run.timing_us:
            timing |= run.timing_us
        routed = outcome == "route"
        asked = outcome != "reject"
        return Decision(
            outcome,
            ending.name if routed else None,
            ending.model if choice is None else choice.model,
            ending.fallbacks if choice is None else choice.fallbacks,
            ending.parameters if routed else {},
            guarded.redact,
            run.masks,
            reject,
            ending.tags,
            ending.headers,
            ending.category if asked else None,
            run.cache if asked else NOT_ASKED,
            ending.selection
            if choice is None
            else Selection(choice.by, choice.candidates, choice.propensity),
            None if choice is None else shadow(self.program.routes[run.route], run.request.id),
            signals,
            skipped,
            run.failures,
            ending.path,
            timing,
            run.question.ticket if routed and run.question is not None else None,
            ending.thresholds,
        )

    def _choose(self, run: Run) -> Choice | None:
        """The model of a request whose route leaves it open; ``None`` if none can hold it."""
        route, request = self.program.routes[run.route], run.request
        limit = route.parameters.get("max_tokens", request.max_tokens)
        answer = limit if isinstance(limit, int) and not isinstance(limit, bool) else None
        selector, tokens = self.selectors[run.route], 0
        # Only prices and contexts ask for it, and it is mostly far from a context.
        if selector.depends_on_tokens(self._signals.most_tokens(run), answer):
            tokens = self._signals.count_tokens(run)
        key = request.id if route.sticky is None else key_text(request.attributes[route.sticky])
        turn = self._turns.get(route.name, 0)
        choice = selector.choose(Size(tokens, answer), key, turn=turn, latencies=self.latencies)
        if choice is not None and choice.by == "round_robin":
            self._turns[route.name] = turn + 1
        return choice


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
