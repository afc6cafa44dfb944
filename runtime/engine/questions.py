"""The three questions of a decision, each with a fast and a careful way to its answer.

Fast is generated code that takes everything for known. Where something is not, the careful
way reasons with what is, and either answers all the same or names the signal to ask next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from routec.compiler.program import Program, Vertex
from routec.runtime.engine.code import Chooser
from routec.runtime.engine.conditions import Conditions
from routec.runtime.signals.work import NotKnown, Work

NEED = -2
"""Answers at or below it are needs: `NEED` minus the index of the signal to ask."""


class Careful(Protocol):
    """Answers by what is known, or says what to ask."""

    def __call__(self, work: Work) -> int:
        """An outcome, at least -1, or a need."""
        ...


class Question:
    """One question.

    Attributes:
        careful: answers by what is known.
        fast: answers as if everything were known, or raises `NotKnown`.
    """

    __slots__ = ("careful", "fast")

    def __init__(self, careful: Careful, fast: Chooser | None) -> None:
        self.careful = careful
        self.fast = _unable if fast is None else fast

    def ask(self, work: Work) -> int:
        """An outcome, at least -1, or a need."""
        try:
            return self.fast(work.values, work.attributes)
        except NotKnown:
            return self.careful(work)


def _unable(values: Sequence[Any], attributes: Mapping[str, Any]) -> int:
    raise NotKnown


def first_of(
    conditions: Conditions,
    cases: Callable[[Work], Sequence[tuple[int, int]]],
    otherwise: int | None = None,
) -> Careful:
    """The outcome of the first case that holds, conditions looked at in order of meaning.

    Args:
        conditions: the program's conditions.
        cases: condition nodes and outcomes that a request's attributes leave possible.
        otherwise: the outcome where none holds; ``None`` if the last always does.
    """
    nodes = conditions.nodes

    def careful(work: Work) -> int:
        for node, outcome in cases(work):
            holds = nodes[node](work)
            if holds:
                return outcome
            if holds is None:
                return NEED - conditions.wanted(node, work)
        assert otherwise is not None, "the last case always holds"
        return otherwise

    return careful


def acting(conditions: Conditions, guards: Sequence[tuple[int, bool]]) -> Careful:
    """The guards that act, as bits, up to the first that rejects.

    Args:
        conditions: the program's conditions.
        guards: of each its condition node, and whether it rejects.
    """
    nodes = conditions.nodes

    def careful(work: Work) -> int:
        bits = 0
        for at, (node, rejects) in enumerate(guards):
            holds = nodes[node](work)
            if holds is None:
                return NEED - conditions.wanted(node, work)
            if holds:
                bits |= 1 << at
                if rejects:
                    break
        return bits

    return careful


class Walk:
    """Follows a decision diagram.

    Args:
        program: the program.
        conditions: its conditions.
        root: the root vertex.
        guards: whether it is that of the guards; its outcome is then those that act, as bits.
    """

    __slots__ = ("_conditions", "_guards", "_root", "_vertices")

    def __init__(
        self, program: Program, conditions: Conditions, root: int, *, guards: bool = False
    ) -> None:
        self._vertices = program.plan.vertices
        self._conditions = conditions
        self._root = root
        self._guards = guards

    def __call__(self, work: Work) -> int:
        """An outcome, at least -1, or a need."""
        bits = 0
        at = self._root
        while True:
            vertex = self._vertices[at]
            match vertex.kind:
                case "leaf":
                    assert vertex.outcome is not None
                    if not self._guards:
                        return vertex.outcome
                    return bits if vertex.outcome < 0 else bits | 1 << vertex.outcome
                case "act":
                    assert vertex.guard is not None
                    bits |= 1 << vertex.guard
                    at = vertex.to[0]
                case "test":
                    assert vertex.node is not None
                    holds = self._conditions.nodes[vertex.node](work)
                    if holds is None:
                        return NEED - self._conditions.wanted(vertex.node, work)
                    at = vertex.to[holds]
                case _:
                    assert vertex.variable is not None
                    value = self._conditions.readers[vertex.variable](work)
                    targets = (
                        {vertex.to[_place(vertex, value)]}
                        if value is not None
                        else self._reachable(vertex, vertex.variable, work)
                    )
                    if len(targets) != 1:
                        return NEED - self._conditions.wanted_by(vertex.variable, work)
                    at = targets.pop()

    def _reachable(self, vertex: Vertex, variable: int, work: Work) -> set[int]:
        """Where the values that an unknown variable can still have would lead."""
        if vertex.kind == "bisect":
            low, high = self._conditions.bounds.of(variable, work)
            return set(vertex.to[_place(vertex, low) : _place(vertex, high) + 1])
        names = self._conditions.bounds.bands(variable, work)
        if names is None:
            return set()
        return {vertex.to[_place(vertex, name)] for name in names}


def _place(vertex: Vertex, value: Any) -> int:
    """Index of the target that a value of a switch or a bisection takes."""
    if vertex.kind == "switch":
        return vertex.labels.index(value) if value in vertex.labels else len(vertex.labels)
    return place_of(value, vertex.bounds, vertex.inclusive)


def place_of(number: float, bounds: Sequence[float], inclusive: Sequence[bool]) -> int:
    """Index of the first bound that a number lies below, or at, where it is inclusive."""
    for at, bound in enumerate(bounds):
        if number < bound or (inclusive[at] and number == bound):
            return at
    return len(bounds)
