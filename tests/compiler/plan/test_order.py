"""The order of signals: close to the best there is."""

from __future__ import annotations

from itertools import permutations

from hypothesis import HealthCheck, Phase, given, seed, settings

from routec.compiler.plan.costs import STAGES, costs_of
from routec.compiler.plan.kleene import Conditions
from routec.compiler.plan.order import best_order, calls_of
from routec.compiler.plan.rows import rows_of
from routec.compiler.plan.simulate import Simulation
from routec.compiler.program import Program
from tests.compiler.policies import Made, policies

from .support import BACKENDS, program_of, some_hits, with_cases

MOST = 6
"""Most calls of a policy of which every order is tried, stages or not."""


def compared(program: Program) -> tuple[float, float] | None:
    """Costs of the planned and of the worst order, over that of the best of all orders.

    ``None`` where there is nothing to order, or too much.
    """
    conditions = Conditions(program, rows_of(program, count=64))
    costs = costs_of(program, None, BACKENDS)
    simulation = Simulation(conditions, costs, some_hits(program, 1))
    calls = [call for stage in calls_of(conditions) for call in stage]
    if not 2 <= len(calls) <= MOST:
        return None
    every = [
        simulation.run([signal for call in order for signal in call]).cost_us
        for order in permutations(calls)
    ]
    best = min(every)
    planned = simulation.run(best_order(conditions, costs, simulation)).cost_us
    assert planned >= best * (1 - 1e-9), "no order is better than the best"
    return (planned / best, max(every) / best) if best else None


def test_the_order_costs_at_most_5_percent_more_than_the_best_on_average() -> None:
    found: list[tuple[float, float]] = []

    @seed(20261122)
    @settings(
        max_examples=120,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(policies())
    def gather(made: Made) -> None:
        for program in (program_of(made), with_cases(program_of(made))):
            ratios = compared(program)
            if ratios is not None:
                found.append(ratios)

    gather()
    planned = sum(ratio for ratio, _ in found) / len(found)
    worst = sum(ratio for _, ratio in found) / len(found)
    print(
        f"{len(found)} programs: {planned:.4f} times the best order on average, "
        f"{max(found)[0]:.4f} at most; the worst order {worst:.4f} times"
    )
    assert len(found) >= 50
    assert worst > 1.05, "the order does not matter in these policies"
    assert planned <= 1.05


@settings(max_examples=40, deadline=None)
@given(policies())
def test_it_names_every_computed_signal_once_stage_after_stage(made: Made) -> None:
    program = program_of(made)
    conditions = Conditions(program, rows_of(program, count=32))
    costs = costs_of(program)
    order = best_order(conditions, costs, Simulation(conditions, costs, some_hits(program, 2)))
    assert sorted(order) == [at for at, s in enumerate(program.signals) if s.stage != "derived"]
    stages = [STAGES.index(program.signals[at].stage) for at in order]
    assert stages == sorted(stages)
