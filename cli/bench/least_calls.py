"""The fewest costly calls that could decide a request, by whatever plan.

Every set of costly signals is tried, the fewest calls first, with all others unknown: the first
one by which guards, category and route are settled all the same. A plan would have to guess that
set beforehand, so this is a bound, and no plan need reach it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations
from typing import Any

from routec.cli.bench.without_plan import Calls, Texts
from routec.compiler.program import Program, Signal
from routec.runtime.engine.ask import planned
from routec.runtime.engine.conditions import Conditions
from routec.runtime.engine.questions import NEED
from routec.runtime.events.request import Request
from routec.runtime.signals.vectors import MEASURED
from routec.runtime.signals.work import UNKNOWN, Work

_COSTLY = frozenset({"embed", "model"})


class LeastCalls:
    """Finds the fewest calls for the requests of one policy.

    Args:
        program: its program.
        on_vectors: names of the classifiers that read an embedding rather than the text.
    """

    def __init__(self, program: Program, on_vectors: Collection[str]) -> None:
        self._program = program
        self._on_vectors = frozenset(on_vectors)
        conditions = Conditions(program)
        self._questions = planned(program, conditions, None, None)
        # What one embedding tells comes together.
        units: dict[str, list[int]] = {}
        for at, signal in enumerate(program.signals):
            if signal.stage in _COSTLY:
                units.setdefault("" if signal.kind in MEASURED else signal.name, []).append(at)
        self._units = list(units.values())

    def of(self, request: Request, values: Sequence[Any], texts: Texts, cached: bool) -> Calls:
        """The fewest calls.

        Args:
            request: the request.
            values: of all signals that are computed, in the program's order.
            texts: of the request.
            cached: whether the cache answers it.
        """
        found: list[Calls] = []
        for count in range(len(self._units) + 1):
            for units in combinations(self._units, count):
                known = [at for unit in units for at in unit]
                calls = self._calls(known, texts)
                least = min((one.total for one in found), default=None)
                if least is not None and calls.total >= least:
                    continue
                if self._settles(request, values, known, cached):
                    found.append(calls)
        return min(found, key=lambda one: one.total)

    def _settles(
        self, request: Request, values: Sequence[Any], known: Sequence[int], cached: bool
    ) -> bool:
        signals = self._program.signals
        work = Work(
            request,
            [
                value if at in known or signals[at].stage in ("scan", "light") else UNKNOWN
                for at, value in enumerate(values)
            ],
        )
        guards = self._questions.guards.careful(work)
        if guards <= NEED:
            return False
        rejecting = [guard.reject is not None for guard in self._program.guards]
        if any(guards >> at & 1 and rejects for at, rejects in enumerate(rejecting)):
            return True
        cases = self._questions.cases
        if cached and cases is not None and cases.careful(work) > NEED:
            return True
        route = self._questions.route.careful(work)
        if route <= NEED:
            return False
        if self._program.routes[route].cache != "auto":
            return True
        return self._questions.categories.careful(work) > NEED

    def _calls(self, known: Sequence[int], texts: Texts) -> Calls:
        embedded = set() if texts.asked is None else {texts.asked}
        classifiers: set[str] = set()
        for at in known:
            signal: Signal = self._program.signals[at]
            if signal.kind in MEASURED:
                embedded.add(texts.last)
            elif signal.kind == "repeated" and texts.earlier:
                embedded.update((texts.last, *texts.earlier))
            elif signal.kind == "classifier":
                classifiers.add(signal.backend)
                if signal.backend in self._on_vectors:
                    embedded.add(texts.last)
        return Calls(len(embedded), len(classifiers), int(texts.asked is not None))
