"""An engine that is told, when it asks for a signal, what was recorded of it.

Recorded values could be fixed beforehand, as pins are. But what is known from the start leads to
other questions than what is found out on the way, and so to another trace of the same decision. So
they are given where they would be computed, and a replay asks what the first decision asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from routec.compiler.program import Category, Program
from routec.runtime.engine import Engine
from routec.runtime.engine.ask import Questions
from routec.runtime.engine.caching import CacheDesk, Question
from routec.runtime.engine.run import Run
from routec.runtime.events.decision import CacheAnswer, Decision, Failure, Span, Ticket
from routec.runtime.events.request import Request
from routec.runtime.replay.recorded import Recorded
from routec.runtime.signals.compute import Need, Signals
from routec.runtime.signals.services import Services
from routec.runtime.signals.values import Pin, pinned
from routec.runtime.signals.vectors import MEASURED, Vectors
from routec.runtime.signals.work import Unknown, Work
from routec.semcache.terms import Partition

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RecallingEngine(Engine):
    """Decides by recorded values of signals and answers of the cache.

    Signals that were not recorded are computed; the cache says nothing of what was not recorded.

    Args:
        program: the program.
        services: what computing takes.
        hash: the program's hash.

    Raises:
        ProgramError: the program cannot run here.
    """

    def __init__(self, program: Program, services: Services, hash: str) -> None:
        super().__init__(program, services, hash=hash)
        self._recalling = _Recalling(program, services)
        self._signals = self._recalling
        self._remembered = _RememberedCache(program.categories)
        self._settled: dict[int, int] = {}
        # Values that a caller fixes may be impossible together; recorded ones were computed.
        self._unplanned = self.questions

    async def decide_recorded(
        self,
        requests: Sequence[Request],
        recorded: Sequence[Mapping[str, Pin]],
        failures: Sequence[Mapping[str, str]],
    ) -> list[Decision]:
        """Decide a batch.

        Args:
            requests: the requests, each another object.
            recorded: values of its signals by name, for each.
            failures: why a recorded value was that of a failure, by signal, for each.

        Raises:
            ValueError: a value is none of its signal's.
        """
        self._recalling.remember(requests, recorded, failures)
        try:
            return await self.decide(requests)
        finally:
            self._recalling.remember((), (), ())

    async def decide_as_then(
        self,
        requests: Sequence[Request],
        recorded: Sequence[Mapping[str, Pin]],
        decisions: Sequence[Recorded],
    ) -> list[Decision]:
        """Decide a batch of which the whole decisions are recorded.

        Args:
            requests: the requests, each another object.
            recorded: values of its signals by name, for each. They are known from the start: one
                embedding gives the values of several signals, and so what was asked for then may
                not be among those that a decision has read.
            decisions: what was decided of each.

        Raises:
            ValueError: a value is none of its signal's.
        """
        self._remembered.remember(requests, decisions)
        self._settled = dict(self._categories(requests, decisions))
        self.desk = self._remembered if self.program.categories else None
        try:
            return await self.decide(requests, recorded)
        finally:
            self._remembered.remember((), ())
            self._settled = {}
            self.desk = None

    def _categories(
        self, requests: Sequence[Request], decisions: Sequence[Recorded]
    ) -> Iterator[tuple[int, int]]:
        """The categories that this policy has settled on, -1 for none.

        Where the cache answered, what the route depends on is not recorded, and the category may
        depend on the route.
        """
        places = {category.name: at for at, category in enumerate(self.program.categories)}
        for request, recorded in zip(requests, decisions, strict=True):
            decision = recorded.decision
            if recorded.hash == self.hash and decision.outcome != "reject":
                yield id(request), places.get(decision.category or "", -1)

    def _settle_category(self, run: Run, questions: Questions) -> int:
        settled = self._settled.get(id(run.request))
        if settled is None:
            return super()._settle_category(run, questions)
        run.category = settled
        return -1


class _Recalling(Signals):
    """Signals whose values are recalled where they were recorded."""

    def __init__(self, program: Program, services: Services) -> None:
        super().__init__(program, services)
        self._program = program
        self._recorded: dict[int, tuple[Mapping[int, Pin], Mapping[str, str]]] = {}

    def remember(
        self,
        requests: Sequence[Request],
        recorded: Sequence[Mapping[str, Pin]],
        failures: Sequence[Mapping[str, str]],
    ) -> None:
        """What was recorded of the requests of the next batch."""
        signals = self._program.signals
        self._recorded = {}
        for request, values, reasons in zip(requests, recorded, failures, strict=True):
            own = {
                at: pinned(signal, values[signal.name])
                for at, signal in enumerate(signals)
                if signal.name in values
            }
            self._recorded[id(request)] = (own, reasons)

    async def compute(
        self, needs: Sequence[Need], known: Vectors, also: Sequence[str] = ()
    ) -> None:
        """Give each request the value of the signal it needs: that recorded, or compute it."""
        left = [need for need in needs if not self._recall(*need)]
        await super().compute(left, known, also)

    def _recall(self, work: Work, at: int) -> bool:
        values, reasons = self._recorded.get(id(work.request), ({}, {}))
        if at not in values:
            return False
        signals = self._program.signals
        # One embedding gives all of these, so what was recorded of them was known together.
        together = signals[at].kind in MEASURED
        for other, value in values.items():
            alike = other == at or (together and signals[other].kind in MEASURED)
            if alike and isinstance(work.values[other], Unknown):
                work.learn(other, value)
                name = signals[other].name
                if name in reasons:
                    work.failures = (*work.failures, Failure(name, reasons[name]))
        return True


class _RememberedCache(CacheDesk):
    """A cache that says what it said then.

    A semantic hit that is now below its category's similarity is a miss. What missed then misses
    now: which answer would have been near enough is not recorded.
    """

    def __init__(self, categories: Sequence[Category]) -> None:
        self._similarities = {category.name: category.similarity for category in categories}
        self._answers: dict[int, tuple[str, CacheAnswer]] = {}

    def remember(self, requests: Sequence[Request], decisions: Sequence[Recorded]) -> None:
        """What was said of the requests of the next batch."""
        self._answers = {
            id(request): (recorded.decision.category, recorded.decision.cache)
            for request, recorded in zip(requests, decisions, strict=True)
            if recorded.decision.category is not None
            and recorded.decision.cache.status != "skipped"
        }

    def question(self, category: str, request: Request, spans: Sequence[Span]) -> Question | None:
        """What was asked; ``None`` where this category was not."""
        asked, answer = self._answers.get(id(request), (None, None))
        if asked != category or answer is None:
            return None
        return _Remembered(self._now(category, answer))

    def exact(self, question: Question) -> CacheAnswer | None:
        """What was answered."""
        assert isinstance(question, _Remembered)
        return question.answer

    def nearest(
        self,
        questions: Sequence[Question],
        vectors: Sequence[NDArray[np.float32] | None],
        load: float,
    ) -> list[CacheAnswer]:
        """Nothing more than what was answered at once."""
        return [CacheAnswer("miss")] * len(questions)

    def entries(self) -> dict[str, int]:
        """It holds none."""
        return {}

    def _now(self, category: str, answer: CacheAnswer) -> CacheAnswer:
        least = self._similarities[category]
        if answer.status != "hit" or answer.tier == "exact" or answer.similarity is None:
            return answer
        if least is not None and answer.similarity >= least:
            return answer
        reason = "closed" if least is None else "below"
        return CacheAnswer("miss", answer.similarity, reason=reason)


class _Remembered(Question):
    __slots__ = ("answer",)

    def __init__(self, answer: CacheAnswer) -> None:
        super().__init__(Ticket(Partition("", "", b""), b""), None, 0.0)
        self.answer = answer
