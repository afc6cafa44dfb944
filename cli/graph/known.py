"""Following a request through a program's questions, by what is known of its values."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routec.cli.describe import Plain
from routec.cli.graph.flow import Flow, Key
from routec.compiler.program import Program, Vertex
from routec.runtime.engine.conditions import Conditions
from routec.runtime.events.request import Request
from routec.runtime.signals.values import Scores
from routec.runtime.signals.work import UNKNOWN, Work


@dataclass(frozen=True, slots=True)
class Trail:
    """The steps that a request takes through one question.

    Attributes:
        steps: from the first on.
        ended: whether the last one answers the question; else a value is not known there.
    """

    steps: tuple[Key, ...]
    ended: bool


class Values:
    """What is known of one request.

    Args:
        conditions: the program's conditions.
        work: its values.
    """

    def __init__(self, conditions: Conditions, work: Work) -> None:
        self._conditions = conditions
        self._work = work

    def holds(self, node: int) -> bool | None:
        """Whether a condition holds; ``None`` where that is not known."""
        return self._conditions.nodes[node](self._work)

    def value(self, variable: int) -> Plain | None:
        """What a variable reads; ``None`` where that is not known."""
        value: Plain | None = self._conditions.readers[variable](self._work)
        return value


class Follower:
    """Follows requests through a program.

    Args:
        program: the program.

    Raises:
        ProgramError: its conditions nest too deep.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._conditions = Conditions(program)

    def values(self, attributes: Mapping[str, Any], signals: Mapping[str, Any]) -> Values:
        """What is known of a request.

        Args:
            attributes: every field by name.
            signals: known signals by name, and scores as ``NAME.LABEL``, as decisions record
                them; or answers with a ``label`` and ``scores``.
        """
        work = Work(Request("", attributes), [UNKNOWN] * len(self._program.signals))
        for at, signal in enumerate(self._program.signals):
            if signal.kind in ("classifier", "language"):
                value = _answer(signal.name, signals)
            else:
                value = signals.get(signal.name)
            if value is not None:
                work.learn(at, value)
        return Values(self._conditions, work)

    def trail(self, flow: Flow, values: Values) -> Trail:
        """The way of a request through one question."""
        steps = [flow.start]
        while flow.ways[steps[-1]]:
            to = self._next(flow, steps[-1], values)
            if to is None:
                return Trail(tuple(steps), False)
            steps.append(to)
        return Trail(tuple(steps), True)

    def rejecting(self, flow: Flow, key: Key) -> bool:
        """Whether a request that ends here is rejected."""
        rule = flow.outcomes.get(key)
        ends = flow.question == "guards" and rule is not None and not flow.ways[key]
        return ends and self._program.guards[rule or 0].reject is not None

    def _next(self, flow: Flow, key: Key, values: Values) -> Key | None:
        kind, at = key
        ways = flow.ways[key]
        if kind == "rule":
            holds = values.holds(flow.rows[at].when)
            return None if holds is None else ways[0 if holds else 1].to
        if kind == "vertex":
            to = _target(self._program.plan.vertices[at], values)
            return None if to is None else ("vertex", to)
        return ways[0].to


def _target(vertex: Vertex, values: Values) -> int | None:
    if vertex.kind == "test":
        assert vertex.node is not None
        holds = values.holds(vertex.node)
        return None if holds is None else vertex.to[holds]
    if vertex.kind == "act":
        return vertex.to[0]
    assert vertex.variable is not None
    value = values.value(vertex.variable)
    if value is None:
        return None
    if vertex.kind == "switch":
        labels = vertex.labels
        return vertex.to[labels.index(str(value)) if value in labels else len(labels)]
    assert isinstance(value, int | float)
    at = bisect_left(vertex.bounds, value)
    while at < len(vertex.bounds) and not (
        value < vertex.bounds[at] or (value == vertex.bounds[at] and vertex.inclusive[at])
    ):
        at += 1
    return vertex.to[at]


class _Partial(dict[str, float]):
    """Scores of which some are not known."""

    def __missing__(self, label: str) -> None:
        return None


def _answer(name: str, signals: Mapping[str, Any]) -> Any:
    """A classifier's answer as far as it is known; ``None`` where nothing of it is."""
    given = signals.get(name)
    if given is not None and hasattr(given, "scores"):
        return Scores(given.label, _Partial(given.scores))
    # A label that was never read is not known either; its readers take `None` for that.
    label: Any = given
    prefix = f"{name}."
    scores = {key[len(prefix) :]: v for key, v in signals.items() if key.startswith(prefix)}
    if label is None and not scores:
        return None
    return Scores(label, _Partial(scores))
