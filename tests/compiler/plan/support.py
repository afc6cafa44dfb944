"""Programs and plans to test the planner with."""

from __future__ import annotations

from random import Random

import msgspec

from routec.compiler.lower import lower
from routec.compiler.plan.simulate import Hits
from routec.compiler.program import Case, Node, Plan, Program
from tests.compiler.policies import Made

BACKENDS = ("topic", "multi")
"""Classifiers of the random policies that are taken to read embeddings; `bad` is not."""


def program_of(made: Made) -> Program:
    """The program of a random policy, without a plan."""
    return lower(made.policy, normaliser="1")


def with_cases(program: Program) -> Program:
    """With cases that say which category applies: for each route in turn what it makes of it."""
    nodes = list(program.nodes)

    def also(node: Node) -> int:
        nodes.append(node)
        return len(nodes) - 1

    names = [category.name for category in program.categories]
    cases: list[Case] = []
    for route in program.routes:
        if route.cache == "auto":
            cases += [
                Case(also(Node("and", of=(route.when, category.when))), at)
                for at, category in enumerate(program.categories)
            ]
        forced = route.cache == "force" and route.category is not None
        cases.append(Case(route.when, names.index(route.category or "") if forced else -1))
    cases.append(Case(also(Node("const", value=True)), -1))
    return msgspec.structs.replace(program, nodes=tuple(nodes), plan=Plan(cases=tuple(cases)))


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
        Hits(rng.choice((0.0, 0.25, 0.5)), rng.choice((0.0, 0.25, 1.0)))
        for _ in program.categories
    )
