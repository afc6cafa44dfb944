"""In which order to ask signals, so that deciding costs least.

Stages come one after another, because the engine gathers what a whole batch needs of a stage.
Inside a stage calls are first ranked by cost over pruning power, as filters are (Hellerstein and
Stonebraker, "Predicate migration: optimizing queries with expensive predicates", 1993), and then
moved and swapped for as long as that makes the simulated requests cheaper.

The effort is counted in nodes evaluated, never by the clock, so that the same program and rows
give the same order everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from routec.compiler.plan.costs import STAGES, Costs
from routec.compiler.plan.kleene import Conditions
from routec.compiler.plan.ledger import call_of
from routec.compiler.plan.simulate import Simulation

EFFORT = 3_000_000
"""Evaluations of a node over all rows that climbing may take, some microseconds each at most."""

WORTHWHILE = 1e-9
"""Least share of the cost by which an order must be cheaper to count as better."""

NEIGHBOURS = 4_000
"""Most changes of an order that are tried before one is taken."""

Call = tuple[int, ...]
"""Signals that one call computes."""


def best_order(conditions: Conditions, costs: Costs, simulation: Simulation) -> tuple[int, ...]:
    """A cheap order of all computed signals: local optimum, or the best found within the effort.

    Args:
        conditions: of the program, over the requests.
        costs: what calls cost.
        simulation: of the program, over the same requests.
    """
    stages = ranked(conditions, costs)
    return _flat(_climbed(stages, conditions, simulation))


def _flat(stages: Sequence[Sequence[Call]]) -> tuple[int, ...]:
    return tuple(signal for stage in stages for call in stage for signal in call)


def calls_of(conditions: Conditions) -> list[list[Call]]:
    """The calls of each stage, in order of declaration."""
    stages: list[dict[str, list[int]]] = [{} for _ in STAGES]
    for at, signal in enumerate(conditions.program.signals):
        if signal.stage in STAGES:
            stages[STAGES.index(signal.stage)].setdefault(call_of(signal), []).append(at)
    return [[tuple(call) for call in stage.values()] for stage in stages]


def ranked(conditions: Conditions, costs: Costs) -> list[list[Call]]:
    """The calls of each stage by cost over pruning power, those that settle nothing last.

    The power of a call is the share of requests of which it settles some condition that they come
    to, when everything of cheaper stages is known and nothing else of its own.
    """
    program = conditions.program
    readers: dict[int, list[tuple[int, int]]] = {}
    for node, rows in _reached(conditions):
        for signal in conditions.reads(node):
            readers.setdefault(signal, []).append((node, rows))
    known = [0] * len(program.signals)
    stages: list[list[Call]] = []
    for stage in calls_of(conditions):
        ranks: dict[Call, float] = {}
        for call in stage:
            asking = dict(pair for signal in call for pair in readers.get(signal, ()))
            with_it = list(known)
            for signal in call:
                with_it[signal] = conditions.full
            power = 0
            for node, rows in asking.items():
                before = conditions.evaluate(node, rows, known)[node]
                after = conditions.evaluate(node, rows, with_it)[node]
                settled = (after[0] | after[1]) & ~(before[0] | before[1])
                power += (rows & settled).bit_count()
            cost = costs.scan if program.signals[call[0]].stage == "scan" else 0.0
            cost += sum(costs.signals[signal] for signal in call)
            ranks[call] = cost / power if power else float("inf")
        stages.append(sorted(stage, key=lambda call: (ranks[call], call)))
        for call in stage:
            for signal in call:
                known[signal] = conditions.full
    return stages


def _reached(conditions: Conditions) -> Iterator[tuple[int, int]]:
    """Every rule's condition and the requests that come to it in the order of meaning."""
    program = conditions.program
    rows = conditions.full
    for guard in program.guards:
        yield guard.when, rows
        if guard.reject is not None:
            rows &= ~conditions.truth(guard.when)
    left = rows
    for category in program.categories:
        yield category.when, left
        left &= ~conditions.truth(category.when)
    places = program.plan.routes or range(len(program.routes))
    for at in places:
        yield program.routes[at].when, rows
        rows &= ~conditions.truth(program.routes[at].when)


def _climbed(
    stages: list[list[Call]], conditions: Conditions, simulation: Simulation
) -> list[list[Call]]:
    """Take the first change that makes things cheaper, until none does or the effort is spent."""
    limit = conditions.spent + EFFORT
    best = stages
    least = simulation.run(_flat(best)).cost_us
    rng = Random("routec plan order")
    improved = True
    while improved and conditions.spent < limit:
        improved = False
        # Dear stages first: there is most to gain.
        for number in reversed(range(len(best))):
            for other in _neighbours(best[number], rng):
                if conditions.spent >= limit:
                    break
                changed = [*best[:number], other, *best[number + 1 :]]
                cost = simulation.run(_flat(changed)).cost_us
                if cost < least * (1 - WORTHWHILE):
                    best, least, improved = changed, cost, True
                    break
    return best


def _neighbours(calls: Sequence[Call], rng: Random) -> Iterator[list[Call]]:
    """The same calls with two of them swapped or one of them moved.

    All of these where they are few; else neighbours swapped, and random moves.
    """
    count = len(calls)
    for at in range(count - 1):
        yield _swapped(calls, at, at + 1)
    if count * count <= NEIGHBOURS:
        for at in range(count):
            for to in range(count):
                if abs(at - to) > 1:
                    yield _moved(calls, at, to)
                if to > at + 1:
                    yield _swapped(calls, at, to)
        return
    for _ in range(NEIGHBOURS):
        at, to = int(rng.random() * count), int(rng.random() * count)
        if at != to:
            yield _moved(calls, at, to)


def _swapped(calls: Sequence[Call], one: int, other: int) -> list[Call]:
    found = list(calls)
    found[one], found[other] = found[other], found[one]
    return found


def _moved(calls: Sequence[Call], at: int, to: int) -> list[Call]:
    found = list(calls)
    found.insert(to, found.pop(at))
    return found
