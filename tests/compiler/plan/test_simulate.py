"""The simulation: what the engine would compute, over many requests at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler.plan.costs import costs_of
from routec.compiler.plan.kleene import Conditions
from routec.compiler.plan.ledger import Expected
from routec.compiler.plan.rows import rows_of
from routec.compiler.plan.simulate import Simulation
from tests.compiler.policies import Made, policies

from .plainly import plainly
from .support import BACKENDS, program_of, shuffled, some_hits, with_cases


def same(one: Expected, other: Expected) -> None:
    assert one.cost_us == pytest.approx(other.cost_us)
    assert one.calls == pytest.approx(other.calls)
    assert one.embeddings == pytest.approx(other.embeddings)
    assert one.lookups == pytest.approx(other.lookups)


@settings(max_examples=150, deadline=None)
@given(policies(), st.integers(0, 2**32), st.booleans())
def test_it_costs_what_deciding_one_request_after_another_costs(
    made: Made, seed: int, early: bool
) -> None:
    program = with_cases(program_of(made)) if early else program_of(made)
    rows = rows_of(program, count=24)
    costs, hits = costs_of(program, None, BACKENDS), some_hits(program, seed)
    order = shuffled(program, seed)
    simulation = Simulation(Conditions(program, rows), costs, hits)
    expected = plainly(program, rows.columns, order, costs, hits)
    same(simulation.run(order), expected)
    same(simulation.run(order), expected)  # nothing is left behind by the first time
