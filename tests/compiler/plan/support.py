"""Programs and plans to test the planner with."""

from __future__ import annotations

from random import Random

import msgspec

from routec.compiler.lower import lower
from routec.compiler.plan.ledger import Hits
from routec.compiler.program import Case, Node, Plan, Program
from tests.compiler.policies import Made

BACKENDS = ("topic", "multi")
"""Classifiers of the random policies that are taken to read embeddings; `bad` is not."""


def program_of(made: Made) -> Program:
    """The program of a random policy, without a plan."""
    return lower(made.policy, normaliser="1")


def with_cases(program: Program) -> Program:
    """A program whose routes all leave the category to the request, so that cases settle it."""
    routes = tuple(msgspec.structs.replace(r, cache="auto", category=None) for r in program.routes)
    last = Node("const", value=True)
    cases = [Case(category.when, at) for at, category in enumerate(program.categories)]
    return msgspec.structs.replace(
        program,
        routes=routes,
        nodes=(*program.nodes, last),
        plan=Plan(cases=(*cases, Case(len(program.nodes), -1))),
    )


def shuffled(program: Program, seed: int) -> tuple[int, ...]:
    """Some order of the signals, with the stages one after another."""
    rng = Random(seed)
    stages = ("scan", "light", "embed", "model")
    computed = [at for at, s in enumerate(program.signals) if s.stage != "derived"]
    rng.shuffle(computed)
    return tuple(sorted(computed, key=lambda at: stages.index(program.signals[at].stage)))


def some_hits(program: Program, seed: int) -> tuple[Hits, ...]:
    """Shares of lookups that are answered, quarters, so that sums are exact."""
    rng = Random(seed)
    return tuple(
        Hits(rng.choice((0.0, 0.25, 0.5)), rng.choice((0.0, 0.25, 1.0))) for _ in program.categories
    )
