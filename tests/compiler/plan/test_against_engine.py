"""The simulation computes what the engine computes, signal for signal, request for request."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.plan import optimise
from routec.compiler.plan.costs import costs_of
from routec.compiler.plan.kleene import Conditions
from routec.compiler.plan.ledger import Hits, call_of
from routec.compiler.plan.profile import Answer
from routec.compiler.plan.rows import OTHER, Rows, rows_of
from routec.compiler.plan.simulate import Simulation
from routec.compiler.program import Program, structural
from routec.runtime.engine import Engine
from routec.runtime.events import Message, Request
from routec.runtime.signals.values import Scores
from routec.runtime.signals.work import UNKNOWN
from routec.safety.text import NORMALISER_VERSION
from tests.compiler.policies import Made, policies
from tests.runtime.doubles import Embedder, cache_of, services

from .support import shuffled

PLANS = ("none", "order", "whole")

MASKING = """
policy masking
request { tenant: string = "acme" }
signal pii = entities(email)
model mini {}
guard closed { when tenant == "acme" redact pii reject 451 "pii" }
default route rest { to mini }
"""


class Given:
    """Stands in for the engine's signals: their values are those of the rows, and are counted."""

    def __init__(self, program: Program, rows: Rows) -> None:
        self._program, self._rows = program, rows
        self.computed: Counter[str] = Counter()

    def read_off(self, works: Sequence[Any]) -> None:
        for work in works:
            for at in structural(self._program):
                self._learn(work, at)

    def _learn(self, work: Any, at: int) -> None:
        name = self._program.signals[at].name
        value = self._rows.columns[name][int(work.request.id)]
        if isinstance(value, Answer):
            value = Scores(value.label or OTHER, value.scores)  # type: ignore[assignment]
        work.learn(at, value)
        self.computed[name] += 1

    async def compute(self, needs: Sequence[tuple[Any, int]], known: Any, also: Any = ()) -> None:
        for work, at in needs:
            call = call_of(self._program.signals[at])
            for other, signal in enumerate(self._program.signals):
                same = signal.stage != "derived" and call_of(signal) == call
                if same and work.values[other] is UNKNOWN:
                    self._learn(work, other)

    def find_spans(self, work: Any, at: int) -> tuple[()]:
        return ()

    def most_tokens(self, work: Any) -> float:
        return math.inf

    def count_tokens(self, work: Any) -> int:
        return 0


async def computed(program: Program, rows: Rows) -> Counter[str]:
    """How often the engine computes each signal, with a cache that holds nothing."""
    embedder = Embedder()
    engine = Engine(program, services(embedder=embedder, cache=cache_of(program, embedder)))
    given_ = Given(program, rows)
    engine._signals = given_  # type: ignore[assignment]
    requests = [
        Request(
            str(at),
            {field.name: rows.columns[field.name][at] for field in program.fields},  # type: ignore[misc]
            (Message("user", f"text {at}"),),
            body={"messages": [{"role": "user", "content": f"text {at}"}]},
        )
        for at in range(rows.count)
    ]
    await engine.decide(requests)
    engine.close()
    return given_.computed


@settings(max_examples=60, deadline=None)
@given(policies(), st.sampled_from(PLANS), st.integers(0, 2**32))
async def test_it_computes_what_the_engine_computes(made: Made, plan: str, seed: int) -> None:
    await compare(made, plan, seed)


@pytest.mark.parametrize("plan", PLANS)
async def test_a_guard_that_masks_and_rejects_looks_for_what_it_masks(plan: str) -> None:
    policy = check_bytes("masking.route", MASKING.encode()).policy
    assert policy is not None
    await compare(Made(MASKING, policy), plan, 0)


async def compare(made: Made, plan: str, seed: int) -> None:
    """Hold what the simulation of a plan computes against what the engine computes."""
    program = lower(made.policy, normaliser=NORMALISER_VERSION)
    if plan != "none":
        program = optimise(made.policy, program).program
    if plan == "order":  # the order and the cases without diagrams
        kept = msgspec.structs.replace(
            program.plan, vertices=(), guards=None, category=None, route=None
        )
        program = msgspec.structs.replace(program, plan=kept)
    order = program.plan.order or shuffled(program, seed)
    program = msgspec.structs.replace(
        program, plan=msgspec.structs.replace(program.plan, order=order)
    )
    rows = rows_of(program, count=16)
    simulation = Simulation(
        Conditions(program, rows), costs_of(program), [Hits()] * len(program.categories)
    )
    expected = simulation.run(order).calls
    found = await computed(program, rows)
    assert {name: count for name, count in found.items() if count} == {
        name: round(calls * rows.count / 1000) for name, calls in expected.items() if calls
    }
