"""From a program to the program that runs: the same decisions, for less."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from routec.compiler import policy as p
from routec.compiler.plan.baselines import evaluate_all, priority_order
from routec.compiler.plan.cases import cases_of
from routec.compiler.plan.costs import costs_of
from routec.compiler.plan.diagram import build
from routec.compiler.plan.implications import implications
from routec.compiler.plan.kleene import Conditions
from routec.compiler.plan.ledger import Expected, hits_of
from routec.compiler.plan.live import live_routes
from routec.compiler.plan.order import best_order
from routec.compiler.plan.profile import Profile
from routec.compiler.plan.report import always_needed
from routec.compiler.plan.rows import rows_of
from routec.compiler.plan.simulate import Simulation
from routec.compiler.program import Plan, Program, Vertex

LIMIT = 4096
"""Most vertices of all decision diagrams together, but for dispatch."""

DISPATCH = 16
"""Most vertices for each route of the diagram that dispatches among all of them."""


@dataclass(frozen=True, slots=True)
class Optimised:
    """A program with its plan, and what is expected of it.

    Attributes:
        program: the program; it decides as the one that was given.
        expected: what requests cost by this plan.
        evaluate_all: what they cost if every signal is computed first.
        priority_order: what they cost if rules are looked at in order of meaning, each from
            left to right, up to what settles it.
        fallback: questions whose diagrams would be too large, so that their conditions are
            walked in order of meaning: ``guards category route``.
        why: for each costly signal that every request needs, the reason.
        measured: whether the requests come from a profile; else they are drawn from what is usual.
        assumed: costly signals of which the profile has no value, in order.
    """

    program: Program
    expected: Expected
    evaluate_all: Expected
    priority_order: Expected
    fallback: tuple[str, ...]
    why: Mapping[str, str]
    measured: bool
    assumed: tuple[str, ...]


def optimise(
    policy: p.Policy,
    program: Program,
    profile: Profile | None = None,
    *,
    limit: int = LIMIT,
    on_vectors: Collection[str] = (),
) -> Optimised:
    """Plan a program. The same arguments give the same program, byte for byte, on any machine.

    Args:
        policy: what the program was lowered from.
        program: the program, as `lower` made it.
        profile: measured traffic; without one, defaults stand for it (`rows` and `costs`).
        limit: most vertices of all decision diagrams together.
        on_vectors: names of the classifiers that are bound to something that reads embeddings.
    """
    replace = msgspec.structs.replace
    program = replace(program, plan=Plan(routes=live_routes(policy)))
    nodes, cases = cases_of(program)
    program = replace(program, nodes=nodes, plan=replace(program.plan, cases=cases))

    conditions = Conditions(program, rows_of(program, profile))
    costs = costs_of(program, profile, on_vectors)
    hits = hits_of(program, profile)
    lazy = Simulation(conditions, costs, hits)
    order = best_order(conditions, costs, lazy)
    why = always_needed(conditions, lazy.ledger(order))

    program = replace(program, plan=replace(program.plan, order=order))
    diagrams = build(program, implications(policy, program), limit)
    vertices, dispatch = diagrams.vertices, None
    if diagrams.route is None and limit:
        vertices, dispatch = _with_dispatch(program, vertices)
    plan = replace(
        program.plan,
        vertices=vertices,
        guards=diagrams.guards,
        category=diagrams.category,
        route=diagrams.route,
        dispatch=dispatch,
    )
    program = replace(program, plan=plan)
    planned = Conditions(program, conditions.rows)
    return Optimised(
        program,
        Simulation(planned, costs, hits).run(order),
        evaluate_all(conditions, costs, hits),
        priority_order(conditions, costs, hits),
        diagrams.refused,
        why,
        bool(profile is not None and profile.rows),
        conditions.rows.assumed,
    )


def _with_dispatch(
    program: Program, vertices: tuple[Vertex, ...]
) -> tuple[tuple[Vertex, ...], int | None]:
    """The vertices with those of a diagram of all routes for any values, and its root."""
    replace = msgspec.structs.replace
    routes = replace(program, guards=(), plan=Plan(order=program.plan.order))
    found = build(routes, {}, DISPATCH * len(program.routes), forget=True)
    if found.route is None:
        return vertices, None
    kept = {found.route}
    for at in range(found.route, -1, -1):
        if at in kept:
            kept.update(found.vertices[at].to)
    moved = {at: len(vertices) + place for place, at in enumerate(sorted(kept))}
    more = tuple(
        replace(found.vertices[at], to=tuple(moved[to] for to in found.vertices[at].to))
        for at in sorted(kept)
    )
    return vertices + more, moved[found.route]
