"""Orders of costly signals: the planner's, against the best of all.

The policies are random and small enough to try every order of their classifiers: each has two
keywords, two similarities, which one embedding gives together, and four or five classifiers whose
calls cost from 1 to 20 ms. The planner gets a profile: the same requests that the cost is taken
over, and the costs. What a request costs is read off the decision that the engine makes of it:
the sum over the calls that it was not spared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from random import Random
from statistics import fmean
from typing import Any

from msgspec.structs import replace

from routec.cli.bench.compiling import resolved
from routec.cli.bench.result import Outcome, Result, Target
from routec.compiler.lower import lower
from routec.compiler.plan import Profile, optimise
from routec.compiler.plan.costs import EMBEDDING
from routec.compiler.plan.profile import Seconds, row_of
from routec.compiler.program import Plan, Program, digest
from routec.runtime.events.request import Request
from routec.runtime.replay.recalling import RecallingEngine
from routec.runtime.signals.services import Services
from routec.runtime.signals.values import Scores
from routec.safety.text import NORMALISER_VERSION

WITHIN = 1.05
"""How many times the best cost the planner's may be, on average."""
ROWS = 128

_LABELS = ("yes", "no", "maybe")
_SIMILARITIES = ("s0", "s1")


def measure(quick: bool) -> Iterator[Outcome]:
    """The planner's cost and that of the order of declaration, over the best, on average."""
    policies, classifiers = (8, 4) if quick else (30, 5)
    planned, declared, worst = [], [], []
    for seed in range(policies):
        costs = asyncio.run(_costs(Random(f"routec bench {seed}"), classifiers))
        best = min(costs.orders)
        planned.append(costs.planned / best)
        declared.append(costs.orders[0] / best)
        worst.append(max(costs.orders) / best)
    yield Result(
        "plan/cost of random policies, to the best order",
        fmean(planned),
        "times best",
        fmean(declared),
        "the order of declaration, over the best order",
        (Target("<=", WITHIN),),
        f"{policies} policies of {classifiers} classifiers; the worst order of each takes "
        f"{fmean(worst):.2f} times the best, the planner at most {max(planned):.3f} times",
    )


class _Costs:
    """Mean microseconds of a request: as planned, and for each order of the classifiers."""

    def __init__(self, planned: float, orders: list[float]) -> None:
        self.planned = planned
        self.orders = orders


async def _costs(dice: Random, classifiers: int) -> _Costs:
    names = [f"c{at}" for at in range(classifiers)]
    policy = resolved(_text(dice, names))
    naive = lower(policy, normaliser=NORMALISER_VERSION)
    us = {name: dice.uniform(1e3, 2e4) for name in names}
    rows = _rows(dice, names)
    requests = [
        Request(str(at), {"tier": row["tier"], "paid": row["paid"]}) for at, row in enumerate(rows)
    ]
    values = [{k: v for k, v in row.items() if k not in ("tier", "paid")} for row in rows]
    profile = Profile(
        policy="bench",
        requests=len(rows),
        seconds=Seconds(
            embedding=EMBEDDING / 1e6, signals={name: us[name] / 1e6 for name in names}
        ),
        rows=tuple(row_of(naive, row) for row in rows),
    )
    planned = optimise(policy, naive, profile).program
    places = {signal.name: at for at, signal in enumerate(naive.signals)}
    cheap = [at for at, signal in enumerate(naive.signals) if signal.stage in ("scan", "light")]
    near = [places[name] for name in _SIMILARITIES]
    orders = []
    for order in permutations(names):
        plan = Plan(order=(*cheap, *near, *(places[name] for name in order)))
        orders.append(await _mean(replace(naive, plan=plan), requests, values, us))
    return _Costs(await _mean(planned, requests, values, us), orders)


async def _mean(
    program: Program,
    requests: Sequence[Request],
    values: Sequence[Mapping[str, Any]],
    us: Mapping[str, float],
) -> float:
    engine = RecallingEngine(program, Services(tokens=len), digest(program))
    decisions = await engine.decide_recorded(requests, values, [{}] * len(requests))
    total = 0.0
    for decision in decisions:
        spared = set(decision.skipped)
        total += sum(cost for name, cost in us.items() if name not in spared)
        if not spared.issuperset(_SIMILARITIES):
            total += EMBEDDING
    return total / len(requests)


def _text(dice: Random, names: Sequence[str]) -> str:
    labels = ", ".join(_LABELS)
    lines = [
        "policy bench",
        "request { tier: enum(free, pro, max), paid: bool }",
        *(f'signal {k} = keyword("{k}")' for k in ("k0", "k1")),
        *(f'signal {s} = similarity {{ examples: ["{s}"] }}' for s in _SIMILARITIES),
        *(f'signal {c} = classifier("{c}") {{ labels: [{labels}], on_error: no }}' for c in names),
        "model m { provider: p }",
        "model n { provider: q }",
        f'guard stop {{ when {_condition(dice, names)} reject 403 "no" }}',
    ]
    ways = dice.randint(4, 8)
    lines += [
        f"route r{at} priority {ways - at} {{ when {_condition(dice, names)} "
        f'to {dice.choice("mn")} tag "t{at}" }}'
        for at in range(ways)
    ]
    return "\n".join([*lines, "default route rest { to m }"]) + "\n"


def _condition(dice: Random, names: Sequence[str]) -> str:
    """Two or three clauses of one or two atoms each."""
    clauses = []
    for _ in range(dice.randint(2, 3)):
        atoms = [_atom(dice, names) for _ in range(dice.randint(1, 2))]
        clauses.append(f"({' or '.join(dict.fromkeys(atoms))})")
    return " and ".join(dict.fromkeys(clauses))


def _atom(dice: Random, names: Sequence[str]) -> str:
    pick = dice.random()
    if pick < 0.6:
        atom = f"{dice.choice(names)} == {dice.choice(_LABELS)}"
    elif pick < 0.75:
        atom = f"{dice.choice(_SIMILARITIES)} >= {dice.choice(('0.3', '0.5', '0.7'))}"
    elif pick < 0.85:
        atom = dice.choice(("k0", "k1"))
    elif pick < 0.95:
        atom = f"tier == {dice.choice(('free', 'pro', 'max'))}"
    else:
        atom = "paid"
    return f"not {atom}" if dice.random() < 0.25 else atom


def _rows(dice: Random, names: Sequence[str]) -> list[dict[str, Any]]:
    """Requests whose signals are the likelier alike the more they depend on a hidden mood."""
    leaning = {name: [dice.random() ** 2 + 0.05 for _ in _LABELS] for name in names}
    moody = {name: dice.random() for name in names}
    often = {name: dice.uniform(0.05, 0.5) for name in ("k0", "k1")}
    rows = []
    for _ in range(ROWS):
        mood = dice.choice(_LABELS)
        row: dict[str, Any] = {
            "tier": dice.choice(("free", "pro", "max")),
            "paid": dice.random() < 0.5,
            **{name: dice.random() < chance for name, chance in often.items()},
            **{name: round(dice.random(), 3) for name in _SIMILARITIES},
        }
        for name in names:
            label = mood
            if dice.random() >= moody[name] * 0.7:
                [label] = dice.choices(_LABELS, leaning[name])
            row[name] = Scores(label, {each: float(each == label) for each in _LABELS})
        rows.append(row)
    return rows
