"""What planning is worth, in the simulation that is held to the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.plan import Expected, Optimised, optimise
from routec.compiler.plan.costs import COSTLY
from tests.compiler.policies import Made, policies

from .support import program_of

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "policies").glob("*.route"))
BOUND = ("topic", "jailbreak", "code_task", "sensitivity", "clinical")


def costly(planned: Optimised, expected: Expected) -> float:
    """Computations of costly signals per 1,000 requests."""
    signals = planned.program.signals
    return sum(expected.calls[s.name] for s in signals if s.stage in COSTLY)


def test_random_policies_need_far_fewer_costly_signals_than_in_priority_order() -> None:
    found: list[tuple[float, float, float]] = []

    @seed(20261122)
    @settings(
        max_examples=160,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(policies())
    def gather(made: Made) -> None:
        planned = optimise(made.policy, program_of(made))
        assert planned.expected.cost_us <= planned.evaluate_all.cost_us * (1 + 1e-9)
        calls = tuple(
            costly(planned, each)
            for each in (planned.expected, planned.priority_order, planned.evaluate_all)
        )
        if calls[2]:
            found.append(calls)  # type: ignore[arg-type]

    gather()
    plan, priority, everything = (sum(column) for column in zip(*found, strict=True))
    print(
        f"{len(found)} policies: {plan / everything:.3f} of evaluating everything, "
        f"{plan / priority:.3f} of the order of priority"
    )
    assert len(found) >= 40
    assert plan <= 0.6 * everything
    assert plan <= 0.9 * priority


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_no_example_costs_more_than_by_a_simpler_rule(path: Path) -> None:
    checked = check_bytes(str(path), path.read_bytes())
    assert checked.policy is not None
    planned = optimise(
        checked.policy, lower(checked.policy, normaliser="1"), on_vectors=frozenset(BOUND)
    )
    assert planned.expected.cost_us < planned.evaluate_all.cost_us
    # Stage after stage a few scans are made that a walk from left to right would spare.
    assert planned.expected.cost_us <= planned.priority_order.cost_us * 1.01
