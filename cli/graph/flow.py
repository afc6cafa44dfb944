"""How a question is answered, step by step, whether by a diagram or by a list of rules.

A step is a key: ``("vertex", i)`` of the plan's diagram, ``("rule", i)`` and ``("does", i)`` for
the condition and the effect of row i of a list, and ``("none", i)`` where it has no effect; beyond
the last row that is where no rule holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routec.cli.graph.model import Answer, Question
from routec.cli.graph.words import edge_labels
from routec.compiler.program import Node, Program

Key = tuple[str, int]
_ALWAYS = Node("const", value=True)


@dataclass(frozen=True, slots=True)
class Way:
    """One way on from a step: where to, what it stands for, and what is written on it."""

    to: Key
    answer: Answer
    label: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a list: node index of its condition, and the index of its rule (-1: none)."""

    when: int
    rule: int


@dataclass(frozen=True, slots=True)
class Flow:
    """The steps of one question.

    Attributes:
        question: which.
        planned: whether a diagram answers it.
        start: the first step.
        ways: for each step the ways on; none at an end.
        rows: of a list, in order.
        outcomes: rule indices by the steps at which they act or apply.
    """

    question: Question
    planned: bool
    start: Key
    ways: Mapping[Key, tuple[Way, ...]]
    rows: tuple[Row, ...]
    outcomes: Mapping[Key, int]


def flows(program: Program) -> tuple[Flow, ...]:
    """The questions that a program has rules for, in the order in which they are answered."""
    plan = program.plan
    found: list[Flow] = []
    if program.guards:
        rows = [Row(guard.when, at) for at, guard in enumerate(program.guards)]
        found.append(_flow(program, "guards", plan.guards, rows))
    if program.categories:
        rows = [Row(case.when, case.category) for case in plan.cases] or [
            Row(category.when, at) for at, category in enumerate(program.categories)
        ]
        found.append(_flow(program, "category", plan.category, rows))
    live = plan.routes or range(len(program.routes))
    rows = [Row(program.routes[at].when, at) for at in live]
    found.append(_flow(program, "route", plan.route, rows))
    return tuple(found)


def _flow(program: Program, question: Question, root: int | None, rows: Sequence[Row]) -> Flow:
    if root is None:
        return _list(program, question, rows)
    ways: dict[Key, tuple[Way, ...]] = {}
    outcomes: dict[Key, int] = {}
    waiting = [root]
    while waiting:
        at = waiting.pop()
        key: Key = ("vertex", at)
        if key in ways:
            continue
        vertex = program.plan.vertices[at]
        ways[key] = tuple(
            Way(("vertex", to), _answer(vertex.kind, label), label)
            for to, label in edge_labels(vertex)
        )
        if vertex.kind == "act":
            assert vertex.guard is not None
            outcomes[key] = vertex.guard
        elif vertex.kind == "leaf" and vertex.outcome is not None and vertex.outcome >= 0:
            outcomes[key] = vertex.outcome
        waiting += vertex.to
    return Flow(question, True, ("vertex", root), ways, (), outcomes)


def _answer(kind: str, label: str) -> Answer:
    if kind == "test" and label:
        return "yes" if label == "true" else "no"
    return "value" if label else "next"


def _list(program: Program, question: Question, rows: Sequence[Row]) -> Flow:
    ways: dict[Key, tuple[Way, ...]] = {}
    outcomes: dict[Key, int] = {}

    def entry(at: int) -> Key:
        """Where row `at` begins; a last rule that always holds needs no question."""
        if at == len(rows):
            return ("none", at)
        last = at == len(rows) - 1 and question != "guards"
        return effect(at) if last and program.nodes[rows[at].when] == _ALWAYS else ("rule", at)

    def effect(at: int) -> Key:
        return ("does" if rows[at].rule >= 0 else "none", at)

    for at, row in enumerate(rows):
        does, after = effect(at), entry(at + 1)
        if entry(at) == ("rule", at):
            ways[("rule", at)] = (Way(does, "yes", "yes"), Way(after, "no", ""))
        goes_on = question == "guards" and program.guards[row.rule].reject is None
        ways[does] = (Way(after, "next"),) if goes_on else ()
        if row.rule >= 0:
            outcomes[does] = row.rule
    ways |= {way.to: () for each in list(ways.values()) for way in each if way.to not in ways}
    return Flow(question, False, entry(0), ways, tuple(rows), outcomes)
