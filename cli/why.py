"""Why a request was decided as it was, and why not otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from routec.cli.describe import Plain, condition_text, value_text, variable_text
from routec.compiler.program import Program, Variable
from routec.runtime.events.decision import Decision
from routec.runtime.events.request import Request

Source = Literal["computed", "pinned", "skipped"]
_MOST = 3
"""Parts of a disjunction that a reason names."""


@dataclass(frozen=True, slots=True)
class Step:
    """A test on the way to the decision.

    Attributes:
        rule: whose condition it is part of, such as ``guard no_attacks``.
        node: index of the test in the program.
        test: the test, such as ``refund >= 0.8``.
        value: what it read; ``None`` where that was not needed.
        holds: whether it holds; ``None`` where the value is unknown.
        source: where the value came from.
    """

    rule: str
    node: int
    test: str
    value: Plain | None
    holds: bool | None
    source: Source


class Reasons:
    """What is known of one decided request.

    Args:
        program: the program.
        request: the request.
        decision: its decision.
        pinned: signals whose values were fixed.
    """

    def __init__(
        self, program: Program, request: Request, decision: Decision, pinned: Mapping[str, object]
    ) -> None:
        self._program = program
        self._request = request
        self._decision = decision
        self._pinned = pinned
        self._truths: dict[int, bool | None] = {}

    def value(self, variable: Variable) -> Plain | None:
        """What a variable read; ``None`` where nothing needed it."""
        if variable.source == "field":
            return self._request.attributes.get(variable.name)
        key = variable.name if variable.member is None else f"{variable.name}.{variable.member}"
        return self._decision.signals.get(key)

    def holds(self, at: int) -> bool | None:
        """Whether the condition at a node holds; ``None`` where that is not known."""
        if at not in self._truths:
            self._truths[at] = self._evaluate(at)
        return self._truths[at]

    def because(self, at: int) -> str:
        """Why the condition at a node is true or false: its first part that settles it."""
        return self._because(at, self.holds(at))

    def path(self) -> list[Step]:
        """Every test that was looked at, in order of meaning."""
        steps: list[Step] = []
        for rule, at in self._consulted():
            steps += [self._step(rule, atom) for atom in self._atoms(at)]
        return steps

    def why_not(self) -> list[tuple[str, str]]:
        """Each route that comes before the one taken, and why it was not."""
        routes, decision = self._program.routes, self._decision
        if decision.route is not None:
            names = [route.name for route in routes]
            return [
                (route.name, self.because(route.when))
                for route in routes[: names.index(decision.route)]
            ]
        assert decision.reject is not None
        guard = decision.reject.guard
        if guard is not None:
            return [(route.name, f"guard `{guard}` rejects first") for route in routes]
        because: list[tuple[str, str]] = []
        for route in routes:
            if self.holds(route.when):
                return [*because, (route.name, "none of its models can hold the request")]
            because.append((route.name, self.because(route.when)))
        return because

    def _consulted(self) -> Iterator[tuple[str, int]]:
        program, decision = self._program, self._decision
        for guard in program.guards:
            yield f"guard {guard.name}", guard.when
            if decision.reject is not None and decision.reject.guard == guard.name:
                return
        for route in program.routes:
            yield f"route {route.name}", route.when
            if self.holds(route.when):
                if route.cache != "auto":
                    return
                break
        for category in program.categories:
            if decision.category is None and self.holds(category.when) is None:
                return
            yield f"category {category.name}", category.when
            if self.holds(category.when):
                return

    def _atoms(self, at: int) -> Iterator[int]:
        """The tests of a condition up to the one that settled it."""
        node = self._program.nodes[at]
        if node.variable is not None:
            yield at
        settling = {"and": False, "or": True}.get(node.op)
        for part in node.of:
            yield from self._atoms(part)
            if settling is not None and self.holds(part) is settling:
                return

    def _step(self, rule: str, at: int) -> Step:
        node = self._program.nodes[at]
        assert node.variable is not None
        variable = self._program.variables[node.variable]
        value = self.value(variable)
        source: Source = "computed"
        if value is None:
            source = "skipped"
        elif variable.source == "signal" and variable.name in self._pinned:
            source = "pinned"
        return Step(rule, at, condition_text(self._program, at), value, self.holds(at), source)

    def _because(self, at: int, holds: bool | None) -> str:
        node = self._program.nodes[at]
        if node.op == "const":
            return f"it is always {'true' if node.value else 'false'}"
        if node.op == "not":
            return self._because(node.of[0], self.holds(node.of[0]))
        if node.variable is not None:
            return self._atom(at)
        if holds is (node.op == "or"):
            return self._because(next(p for p in node.of if self.holds(p) is holds), holds)
        parts = [self._because(part, holds) for part in node.of if self.holds(part) is holds]
        more = len(parts) - _MOST
        return "; ".join(parts[:_MOST]) + (f"; and {more} more" if more > 0 else "")

    def _atom(self, at: int) -> str:
        node = self._program.nodes[at]
        assert node.variable is not None
        variable = self._program.variables[node.variable]
        value = self.value(variable)
        test, name = condition_text(self._program, at), variable_text(variable)
        if value is None:
            return f"`{test}` is not known"
        truth = "true" if self.holds(at) else "false"
        if node.op == "truth":
            return f"`{test}` is {truth}"
        shown = f"`{test}` is {truth}: `{name}` is {value_text(value)}"
        if isinstance(value, int | float) and isinstance(node.value, int | float):
            shown += f", {value_text(abs(float(value) - float(node.value)))} away"
        return shown

    def _evaluate(self, at: int) -> bool | None:
        node = self._program.nodes[at]
        if node.op == "const":
            return bool(node.value)
        if node.op == "not":
            inner = self.holds(node.of[0])
            return None if inner is None else not inner
        if node.variable is None:
            settling = node.op == "or"
            truths = [self.holds(part) for part in node.of]
            if settling in truths:
                return settling
            return None if None in truths else not settling
        value = self.value(self._program.variables[node.variable])
        return None if value is None else _test(node.op, value, node.value)


def _test(op: str, value: Plain, constant: object) -> bool:
    if op == "truth":
        return value is True
    if isinstance(value, frozenset):
        return not value if op == "empty" else constant in value
    if op == "is":
        return value == constant
    assert isinstance(value, int | float)
    assert isinstance(constant, int | float)
    bound = float(constant)
    match op:
        case "lt":
            return value < bound
        case "le":
            return value <= bound
        case "gt":
            return value > bound
        case "ge":
            return value >= bound
        case _:
            return value == bound
