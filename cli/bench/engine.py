"""Deciding by pinned signals: against the same rules by hand in Python, and against Cedar.

No signal is computed, so only deciding is measured. Two comparisons are made with a function of
`if` statements, because it is not plain what "the same" is:

- *bare choice*: values in, the route out, on both sides;
- *whole decision*: a request and its pinned signals in; out comes a decision with route, model,
  fallbacks, parameters, tags, selection and the values of the signals read. Ours also says what
  was skipped, which conditions were consulted, and times.

Every comparison begins by checking that both sides give the same answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routec.cli.bench import cedar
from routec.cli.bench.by_hand import choose_by_hand, decide_by_hand
from routec.cli.bench.choosing import Slots, chooser
from routec.cli.bench.compiling import compiled
from routec.cli.bench.policies import large, small
from routec.cli.bench.result import Disagreement, LeftOut, Outcome, Result, Target
from routec.cli.bench.rules import Row, Rules
from routec.cli.bench.timing import alternate
from routec.compiler.program import Program
from routec.runtime.engine import Engine
from routec.runtime.events.decision import Decision
from routec.runtime.events.request import Request
from routec.runtime.signals.services import Services

BATCH = 100
"""Requests that are decided in a round, by the engine all together.

Few enough that their values stay in the processor's caches, as those of a batch do.
"""
BATCHES = 5
"""Batches in a round."""
MOST_US = 5.0
"""Microseconds that a decision of the small policy may take."""

_MICRO = 1e6
_AS_OFTEN = 3
"""Rounds of ours to one of Cedar's, so that both are on for about as long before they rest."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A policy, compiled, and requests to it."""

    rules: Rules
    program: Program
    rows: Sequence[Row]
    requests: Sequence[Request]
    pins: Sequence[Mapping[str, Any]]


def measure(quick: bool) -> Iterator[Outcome]:
    """The figures of the engine."""
    rounds = 20 if quick else 100
    of_25 = _case(small())
    of_1000 = _case(large())
    few = list(_against_hand("25 routes", of_25, rounds, most=MOST_US))
    yield from few
    many = list(_against_hand("1,000 routes", of_1000, rounds))
    yield from many
    yield from _growth(few, many)
    yield from _against_cedar(_case(small(crisp=True, atoms=60)), max(rounds // 4, 5))


def _case(rules: Rules) -> _Case:
    rows = rules.rows(BATCH)
    return _Case(
        rules,
        compiled(rules.text()),
        rows,
        [Request(str(at), row.attributes) for at, row in enumerate(rows)],
        [row.signals for row in rows],
    )


class _Choosing:
    """The bare choice of the engine."""

    def __init__(self, case: _Case) -> None:
        self._choose, self._make = chooser(case.program, case.requests, case.pins)
        self._slots: list[Slots] = []
        self.renew()

    def renew(self) -> None:
        self._slots = self._make()

    def names(self) -> list[str]:
        return [self._choose(given) for given in self._slots]

    def time(self) -> None:
        choose = self._choose
        for given in self._slots:
            choose(given)


class _Deciding:
    """The engine, asked from outside an event loop."""

    def __init__(self, case: _Case) -> None:
        # Nothing is computed, so no signal needs a service, and no model a number of tokens.
        self._engine = Engine(case.program, Services(tokens=len))
        self._case = case
        self._loop = asyncio.new_event_loop()

    def all(self) -> list[Decision]:
        case = self._case
        return self._loop.run_until_complete(self._engine.decide(case.requests, case.pins))

    def time(self) -> None:
        """Decide the batch as often as a worker decides batches: without a loop of its own each."""
        self._loop.run_until_complete(self._batches())

    async def _batches(self) -> None:
        for _ in range(BATCHES):
            await self._engine.decide(self._case.requests, self._case.pins)

    def close(self) -> None:
        self._loop.close()


def _against_hand(
    name: str, case: _Case, rounds: int, most: float | None = None
) -> Iterator[Result]:
    count = len(case.rows)
    values = [(*row.attributes.values(), *row.signals.values()) for row in case.rows]
    by_hand = choose_by_hand(case.rules)
    wanted = [by_hand(*row) for row in values]
    targets = () if most is None else (Target("<=", 2.0, "ratio"), Target("<", most))

    choosing = _Choosing(case)
    if choosing.names() != wanted:
        raise Disagreement("the compiled choice and the function by hand differ")

    def choose_theirs() -> None:
        for given in values:
            by_hand(*given)

    ours, theirs = alternate((choosing.time, choose_theirs), rounds, prepare=choosing.renew)
    yield Result(
        f"engine/choice, {name}",
        ours / count * _MICRO,
        "µs",
        theirs / count * _MICRO,
        "if/elif function by hand: values in, name of the route out",
        targets,
    )

    deciding = _Deciding(case)
    whole = decide_by_hand(case.rules)
    pairs = list(zip(case.requests, case.pins, strict=True))
    _hold_equal(deciding.all(), [whole(request, pins) for request, pins in pairs])

    def decide_theirs() -> None:
        for _ in range(BATCHES):
            [whole(request, pins) for request, pins in pairs]

    ours, theirs = alternate((deciding.time, decide_theirs), rounds)
    deciding.close()
    count *= BATCHES
    yield Result(
        f"engine/decision, {name}",
        ours / count * _MICRO,
        "µs",
        theirs / count * _MICRO,
        "if/elif function by hand that answers with a Decision",
        targets,
        f"a batch of {BATCH}; ours also names what was skipped, the path and times",
    )


def _hold_equal(ours: Sequence[Decision], theirs: Sequence[Decision]) -> None:
    """See that both decide the same, and read the same values where both read one.

    Raises:
        Disagreement: they do not.
    """
    for one, other in zip(ours, theirs, strict=True):
        if _compared(one) != _compared(other):
            raise Disagreement(f"decisions differ: {_compared(one)} and {_compared(other)}")
        for name, value in one.signals.items():
            if other.signals.get(name, value) != value:
                raise Disagreement(f"`{name}` was read differently")


def _compared(decision: Decision) -> tuple[object, ...]:
    return (
        decision.outcome,
        decision.route,
        decision.model,
        decision.fallbacks,
        dict(decision.parameters),
        decision.tags,
        decision.selection,
    )


def _growth(few: Sequence[Result], many: Sequence[Result]) -> Iterator[Outcome]:
    """What 40 times the routes cost, each policy measured by itself."""
    for before, after in zip(few, many, strict=True):
        yield Result(
            f"{after.name} to 25",
            after.value,
            after.unit,
            before.value,
            "the same of the policy of 25 routes",
            (Target("<=", 3.0, "ratio"),),
        )


def _against_cedar(case: _Case, rounds: int) -> Iterator[Outcome]:
    name = "engine/decision, 25 crisp routes"
    try:
        theirs = cedar.Cedar(case.rules)
    except ImportError:
        yield LeftOut(name, f"`{cedar.REQUIRED}` is not installed: `pip install {cedar.REQUIRED}`")
        return
    asked = [cedar.request(row) for row in case.rows]
    deciding = _Deciding(case)
    routes = [decision.route for decision in deciding.all()]
    if not routes == theirs.one_by_one(asked) == theirs.together(asked):
        raise Disagreement("the engine and Cedar do not decide the same")

    def ours_often() -> None:
        for _ in range(_AS_OFTEN):
            deciding.time()

    ours, single, batch = alternate(
        (ours_often, lambda: theirs.one_by_one(asked), lambda: theirs.together(asked)), rounds
    )
    deciding.close()
    ours /= _AS_OFTEN * BATCHES
    count = len(asked)
    faster = min(single, batch) / count * _MICRO
    yield Result(
        name,
        ours / count * _MICRO,
        "µs",
        faster,
        "cedarpy, policies parsed once, the faster of single and batch calls",
        (Target("<=", 1 / 20, "ratio"),),
        f"Cedar takes {faster * count / (ours * _MICRO):.1f} times as long; "
        f"{single / count * _MICRO:.1f} µs single, {batch / count * _MICRO:.1f} µs in one batch",
    )
