"""Following a request through a program's questions, by what is known of its values."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routec.cli.describe import Plain
from routec.cli.graph.flow import Flow, Key
from routec.compiler.plan.rows import OTHER
from routec.compiler.program import Program, Vertex
from routec.runtime.engine.conditions import Conditions
from routec.runtime.events.request import Request
from routec.runtime.signals.values import Scores
from routec.runtime.signals.work import UNKNOWN, Work


@dataclass(frozen=True, slots=True)
class Trail:
    """The steps that a request takes through one question.

    A value that is not known may not matter: then all ways on are taken, and end alike.

    Attributes:
        steps: the first one, and all that follow from what is known.
        ways: the ways taken between them.
        ends: where the steps end.
        ended: whether they all answer the question, and alike; else values are missing.
    """

    steps: tuple[Key, ...]
    ways: tuple[tuple[Key, Key], ...]
    ends: tuple[Key, ...]
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
                them; or whole answers with a ``label`` (``None`` for one that the policy never
                mentions) and ``scores``.
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
        steps: dict[Key, None] = {flow.start: None}
        ways: list[tuple[Key, Key]] = []
        ends: list[Key] = []
        certain: tuple[int, int] | None = None
        waiting = [flow.start]
        while waiting:
            key = waiting.pop()
            on = self._next(flow, key, values)
            if not on:
                ends.append(key)
            if len(on) > 1 and certain is None:
                certain = (len(steps), len(ways))
            ways += [(key, to) for to in on]
            new = [to for to in on if to not in steps]
            steps.update(dict.fromkeys(new))
            waiting += new
        path = tuple(steps)
        if len({self._answer(flow, key) for key in ends}) == 1:
            return Trail(path, tuple(ways), tuple(ends), True)
        assert certain is not None, "known values lead to one end"
        sure = path[: certain[0]]
        return Trail(sure, tuple(ways[: certain[1]]), sure[-1:], False)

    def rejects(self, flow: Flow, trail: Trail) -> bool:
        """Whether a request that takes these steps is rejected."""
        if flow.question != "guards" or not trail.ended:
            return False
        rule = flow.outcomes.get(trail.ends[0])
        return rule is not None and self._program.guards[rule].reject is not None

    def _answer(self, flow: Flow, key: Key) -> int:
        return flow.outcomes.get(key, -1)

    def _next(self, flow: Flow, key: Key, values: Values) -> tuple[Key, ...]:
        """Where a request may go from a step, by what is known; nowhere from an end."""
        kind, at = key
        ways = flow.ways[key]
        if kind == "rule":
            holds = values.holds(flow.rows[at].when)
            return (ways[0].to, ways[1].to) if holds is None else (ways[0 if holds else 1].to,)
        if kind == "vertex" and ways:
            to = _target(self._program.plan.vertices[at], values)
            return tuple(way.to for way in ways) if to is None else (("vertex", to),)
        return tuple(way.to for way in ways)


def _target(vertex: Vertex, values: Values) -> int | None:
    """The target that a vertex's value leads to; ``None`` where that is not known."""
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


class _Whole(dict[str, float]):
    """Scores of which those that are left out are 0."""

    def __missing__(self, label: str) -> float:
        return 0.0


class _Partial(dict[str, float]):
    """Scores of which some are not known."""

    def __missing__(self, label: str) -> None:
        return None


def _answer(name: str, signals: Mapping[str, Any]) -> Any:
    """A classifier's answer as far as it is known; ``None`` where nothing of it is."""
    given = signals.get(name)
    if given is not None and hasattr(given, "scores"):
        label = OTHER if given.label is None else given.label
        return Scores(label, _Whole(given.scores))
    # A label that was never read is not known either; its readers take `None` for that.
    known: Any = given
    prefix = f"{name}."
    scores = {key[len(prefix) :]: v for key, v in signals.items() if key.startswith(prefix)}
    if known is None and not scores:
        return None
    return Scores(known, _Partial(scores))
