"""Making the three questions of a program, each as its plan says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from routec.compiler.program import Plan, Program
from routec.runtime.engine.code import Chooser, Code
from routec.runtime.engine.conditions import Conditions
from routec.runtime.engine.index import FROM, Index
from routec.runtime.engine.questions import Question, Walk, acting, first_of


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of a program.

    Attributes:
        guards: which guards act, as bits, up to the first that rejects.
        route: which route holds.
        categories: which category a route has that leaves it open.
        cases: which category applies whatever the route; ``None`` where only the route tells.
    """

    guards: Question
    route: Question
    categories: Question
    cases: Question | None


def planned(program: Program, conditions: Conditions, code: Code, generated: bool) -> Questions:
    """The questions as the plan has them.

    Its diagrams leave out what no request can be, so they are for values that were computed.
    """
    return Questions(
        _guards(program, conditions, code, generated),
        _routes(program, conditions, code, generated),
        _categories(program, conditions, code, generated),
        _cases(program, conditions, code, generated),
    )


def unplanned(program: Program, conditions: Conditions, code: Code, generated: bool) -> Questions:
    """The questions for any values, such as a caller fixes: together they may be impossible."""
    open_plan = msgspec.structs.replace(program, plan=Plan(order=program.plan.order))
    return planned(open_plan, conditions, code, generated)


def _guards(program: Program, conditions: Conditions, code: Code, generated: bool) -> Question:
    """Which guards act, as bits, up to the first that rejects."""
    root = program.plan.guards
    if root is not None:
        walk = Walk(program, conditions, root, guards=True)
        return Question(walk, code.diagram(root, guards=True) if generated else None)
    guards = [(guard.when, guard.reject is not None) for guard in program.guards]
    return Question(acting(conditions, guards), code.acting(guards) if generated else None)


def _routes(program: Program, conditions: Conditions, code: Code, generated: bool) -> Question:
    """Which route holds."""
    routes = program.plan.routes or range(len(program.routes))
    cases = [(program.routes[at].when, at) for at in routes]
    return _first(program, conditions, code, cases, program.plan.route, generated)


def _cases(
    program: Program, conditions: Conditions, code: Code, generated: bool
) -> Question | None:
    """Which category applies whatever the route; ``None`` where only the route tells."""
    cases = [(case.when, case.category) for case in program.plan.cases]
    if not cases:
        return None
    return _first(program, conditions, code, cases, program.plan.category, generated)


def _categories(program: Program, conditions: Conditions, code: Code, generated: bool) -> Question:
    """Which category a route has that leaves it open."""
    cases = [(category.when, at) for at, category in enumerate(program.categories)]
    return _first(program, conditions, code, cases, None, generated, otherwise=-1)


def _first(
    program: Program,
    conditions: Conditions,
    code: Code,
    cases: Sequence[tuple[int, int]],
    root: int | None,
    generated: bool,
    otherwise: int | None = None,
) -> Question:
    if root is not None:
        walk = Walk(program, conditions, root)
        return Question(walk, code.diagram(root) if generated else None)
    if len(cases) < FROM or otherwise is not None:
        fast: Chooser | None = code.first(cases, otherwise) if generated else None
        return Question(first_of(conditions, lambda work: cases, otherwise), fast)
    index = Index(program, code, cases)
    return Question(first_of(conditions, index.possible), index.first if generated else None)
