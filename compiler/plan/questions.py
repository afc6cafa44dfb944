"""A program's three questions as steps from the first on, whatever answers them.

A question without a diagram is a chain of its conditions in order of meaning; one with a diagram
is that diagram, turned so that its root comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from routec.compiler.program import Program, Vertex


@dataclass(frozen=True, slots=True)
class Step:
    """One step; its targets are places of later steps.

    Attributes:
        kind: ``test switch bisect act leaf``, as of a `Vertex`; a test may be of any condition.
        to: targets.
        condition: index of the node that is tested.
        variable: index of the variable that is switched on or bisected.
        labels: of a switch.
        bounds: of a bisection.
        inclusive: of each bound.
        outcome: of a leaf, and the guard of an act.
        asker: which rule asks: its kind and name, such as ``guard no_attacks``.
    """

    kind: Literal["test", "switch", "bisect", "act", "leaf"]
    to: tuple[int, ...] = ()
    condition: int = -1
    variable: int = -1
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    inclusive: tuple[bool, ...] = ()
    outcome: int = -1
    asker: str = ""


Question = tuple[Step, ...]


def guards_of(program: Program, *, lazy: bool = False) -> Question:
    """Which guards act; its leaves name the guard that rejects, or -1.

    Args:
        program: the program.
        lazy: whether to pass over a diagram.
    """
    root = program.plan.guards
    if root is not None and not lazy:
        return _diagram(program.plan.vertices, root, "the guards")
    steps: list[Step] = []
    for at, guard in enumerate(program.guards):
        asker = f"guard {guard.name}"
        here = len(steps)
        if guard.reject is None:
            steps.append(Step("test", (here + 2, here + 1), guard.when, asker=asker))
            steps.append(Step("act", (here + 2,), outcome=at, asker=asker))
        else:
            steps.append(Step("test", (here + 3, here + 1), guard.when, asker=asker))
            steps.append(Step("act", (here + 2,), outcome=at, asker=asker))
            steps.append(Step("leaf", outcome=at))
    return (*steps, Step("leaf"))


def routes_of(program: Program, *, lazy: bool = False, every: bool = False) -> Question:
    """Which route holds.

    Args:
        program: the program.
        lazy: whether to pass over a diagram.
        every: whether to walk routes too that no request takes.
    """
    root = program.plan.route
    if root is not None and not lazy:
        return _diagram(program.plan.vertices, root, "the choice of a route")
    places: Sequence[int] = range(len(program.routes))
    if program.plan.routes and not every:
        places = program.plan.routes
    return _chain(
        (program.routes[at].when, at, f"route {program.routes[at].name}") for at in places
    )


def cases_of(program: Program, *, lazy: bool = False) -> Question:
    """Which category applies whatever the route; empty where only the route tells."""
    plan = program.plan
    if plan.category is not None and not lazy:
        return _diagram(plan.vertices, plan.category, "the choice of a category")
    if not plan.cases:
        return ()
    names = [category.name for category in program.categories]
    return _chain(
        (
            case.when,
            case.category,
            f"category {names[case.category]}"
            if case.category >= 0
            else "the choice of a category",
        )
        for case in plan.cases
    )


def categories_of(program: Program) -> Question:
    """Which category applies to a request whose route does not say."""
    return _chain(
        (category.when, at, f"category {category.name}")
        for at, category in enumerate(program.categories)
    )


def _chain(conditions: Iterable[tuple[int, int, str]]) -> Question:
    """Conditions, each with the outcome it leads to; -1 where none holds."""
    steps: list[Step] = []
    for when, outcome, asker in conditions:
        here = len(steps)
        steps.append(Step("test", (here + 2, here + 1), when, asker=asker))
        steps.append(Step("leaf", outcome=outcome))
    return (*steps, Step("leaf"))


def _diagram(vertices: Sequence[Vertex], root: int, asker: str) -> Question:
    """What is below a root. Targets come before what leads to them, so it is read backwards."""
    below = {root}
    for at in range(root, -1, -1):
        if at in below:
            below.update(vertices[at].to)
    places = {at: place for place, at in enumerate(sorted(below, reverse=True))}
    steps: list[Step] = []
    for at in places:
        vertex = vertices[at]
        outcome = vertex.guard if vertex.kind == "act" else vertex.outcome
        steps.append(
            Step(
                vertex.kind,
                tuple(places[to] for to in vertex.to),
                -1 if vertex.node is None else vertex.node,
                -1 if vertex.variable is None else vertex.variable,
                vertex.labels,
                vertex.bounds,
                vertex.inclusive,
                -1 if outcome is None else outcome,
                asker,
            )
        )
    return tuple(steps)
