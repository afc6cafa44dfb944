"""Making the three questions of a program, each as its plan says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from routec.compiler.program import Plan, Program
from routec.runtime.engine.code import Code
from routec.runtime.engine.conditions import Conditions
from routec.runtime.engine.index import Index
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


def planned(
    program: Program,
    conditions: Conditions,
    code: Code | None,
    index: Index | None,
) -> Questions:
    """The questions as the plan has them.

    Its diagrams leave out what no request can be, so they are for values that were computed.

    Args:
        program: the program.
        conditions: its conditions.
        code: makes its functions; ``None`` to do without.
        index: of its routes, where there are many.
    """
    return Questions(
        _guards(program, conditions, code),
        _routes(program, conditions, code, index),
        _categories(program, conditions, code),
        _cases(program, conditions, code),
    )


def unplanned(
    program: Program, conditions: Conditions, code: Code | None, index: Index | None
) -> Questions:
    """The questions for any values, such as a caller fixes: together they may be impossible."""
    plan = program.plan
    kept = Plan(order=plan.order, vertices=plan.vertices, dispatch=plan.dispatch)
    return planned(msgspec.structs.replace(program, plan=kept), conditions, code, index)


def _guards(program: Program, conditions: Conditions, code: Code | None) -> Question:
    root = program.plan.guards
    if root is not None:
        walk = Walk(program, conditions, root, guards=True)
        return Question(walk, None if code is None else code.diagram(root, guards=True))
    guards = [(guard.when, guard.reject is not None) for guard in program.guards]
    return Question(acting(conditions, guards), None if code is None else code.acting(guards))


def _routes(
    program: Program, conditions: Conditions, code: Code | None, index: Index | None
) -> Question:
    plan = program.plan
    live = plan.routes or tuple(range(len(program.routes)))
    cases = [(program.routes[at].when, at) for at in live]
    question = _first(program, conditions, code, cases, plan.route)
    if plan.route is not None or index is None:
        return question
    among = sum(1 << at for at in live)
    careful = first_of(conditions, lambda work: index.possible(work, among))
    dispatch = None
    if code is not None and plan.dispatch is not None:
        dispatch = code.diagram(plan.dispatch)
    return Question(careful, dispatch or question.fast)


def _cases(program: Program, conditions: Conditions, code: Code | None) -> Question | None:
    cases = [(case.when, case.category) for case in program.plan.cases]
    if not cases:
        return None
    return _first(program, conditions, code, cases, program.plan.category)


def _categories(program: Program, conditions: Conditions, code: Code | None) -> Question:
    cases = [(category.when, at) for at, category in enumerate(program.categories)]
    return _first(program, conditions, code, cases, None, otherwise=-1)


def _first(
    program: Program,
    conditions: Conditions,
    code: Code | None,
    cases: Sequence[tuple[int, int]],
    root: int | None,
    otherwise: int | None = None,
) -> Question:
    if root is not None:
        walk = Walk(program, conditions, root)
        return Question(walk, None if code is None else code.diagram(root))
    careful = first_of(conditions, lambda work: cases, otherwise)
    return Question(careful, None if code is None else code.first(cases, otherwise))
