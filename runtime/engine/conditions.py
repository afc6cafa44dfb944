"""Conditions as three-valued functions, and what would settle an unknown one.

Kleene's strong logic: a conjunction with a false operand is false whatever the others
are. Unknown is ``None``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from routec.compiler.program import Node, Program, ProgramError, Signal, Summand
from routec.runtime.engine.bounds import Bounds
from routec.runtime.signals.derived import band, score
from routec.runtime.signals.work import UNKNOWN, Unknown, Work

Condition = Callable[[Work], bool | None]
Reader = Callable[[Work], Any]

MAX_DEPTH = 200
"""Most conditions inside each other; more would exhaust the stack."""

STAGES = {"scan": 0, "light": 1, "embed": 2, "model": 3, "remote": 4}
"""Ranks of the stages by cost; derived signals have those of what they read."""

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "is": operator.eq,
    "has": operator.contains,
}


class Conditions:
    """A program's conditions, ready to be asked.

    Args:
        program: the program.

    Raises:
        ProgramError: conditions nest deeper than `MAX_DEPTH`.

    Attributes:
        bounds: what is known of scores while they are unknown.
        nodes: a function for each node: true, false, or ``None`` while unknown.
        readers: a function for each variable: its value, or ``None`` while unknown.
        signals: index of each signal by name.
        rank: rank of each signal's stage; -1 for derived ones.
        turn: place of each signal in the order of asking.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.signals = {signal.name: at for at, signal in enumerate(program.signals)}
        self.rank = tuple(STAGES.get(signal.stage, -1) for signal in program.signals)
        self.turn = _turns(program, self.rank)
        _check_depth(program, self.signals)
        shared = _shared(program)
        self.readers: tuple[Reader, ...] = ()
        self.nodes: tuple[Condition, ...] = ()
        self.bounds = Bounds(program, self.signals, self)
        self.readers = tuple(self._reader(at) for at in range(len(program.variables)))
        made: list[Condition] = []
        for at, node in enumerate(program.nodes):
            condition = self._condition(node, made)
            if node.op in ("and", "or") and at in shared:
                condition = _remembered(at, condition)
            made.append(condition)
        self.nodes = tuple(made)
        self.variables_of = self._variables_of()

    def wanted(self, node: int, work: Work) -> int:
        """The signal to compute next for an unknown condition.

        Args:
            node: index of a node that is unknown.
            work: the request.

        Returns:
            Of the signals that can still change it, the index of the one to ask first.
        """
        return self._first(work, [node], [])

    def wanted_by(self, variable: int, work: Work) -> int:
        """The signal to compute next for a variable that is unknown."""
        return self._first(work, [], [variable])

    def _first(self, work: Work, nodes: list[int], variables: list[int]) -> int:
        best = -1
        seen: set[int] = set()
        while nodes or variables:
            if variables:
                at = variables.pop()
                if self.readers[at](work) is not None:
                    continue
                index = self.signals[self._program.variables[at].name]
                if self.rank[index] >= 0:
                    if best < 0 or self.turn[index] < self.turn[best]:
                        best = index
                    continue
                below, under = _reads(self._program, self.signals, at)
                variables += below
                nodes += under
                continue
            at = nodes.pop()
            if at in seen or self.nodes[at](work) is not None:
                continue
            seen.add(at)
            part = self._program.nodes[at]
            if part.variable is None:
                nodes += part.of
            else:
                variables.append(part.variable)
        return best

    def _reader(self, at: int) -> Reader:
        variable = self._program.variables[at]
        name, member = variable.name, variable.member
        if variable.source == "field":
            return lambda work: work.attributes[name]
        index = self.signals[name]
        signal = self._program.signals[index]
        if signal.kind == "score":
            return self._score(index, signal)
        if signal.kind == "bands":
            return self._bands(index, signal)
        if member is not None:

            def read_member(work: Work) -> Any:
                value = work.values[index]
                return None if value is UNKNOWN else value.scores[member]

            return read_member
        if signal.kind in ("classifier", "language"):

            def read_label(work: Work) -> Any:
                value = work.values[index]
                return None if value is UNKNOWN else value.label

            return read_label
        if signal.kind == "tokens":
            # Until it is counted, its bound stands in its place.
            return lambda work: None if isinstance(value := work.values[index], Unknown) else value
        return lambda work: None if (value := work.values[index]) is UNKNOWN else value

    def _score(self, index: int, signal: Signal) -> Reader:
        def summand(part: Summand) -> Reader:
            at = part.variable if part.variable is not None else part.node
            assert at is not None
            if part.variable is not None:
                return lambda work: self.readers[at](work)
            return lambda work: self.nodes[at](work)

        constant = signal.constant
        parts = tuple((part.coefficient, summand(part)) for part in signal.summands)

        def read(work: Work) -> Any:
            value = work.values[index]
            if value is not UNKNOWN:
                return value
            terms = [(coefficient, part(work)) for coefficient, part in parts]
            if any(term is None for _, term in terms):
                return None
            value = work.values[index] = score(constant, terms)
            return value

        return read

    def _bands(self, index: int, signal: Signal) -> Reader:
        source, bands = signal.source, signal.bands
        assert source is not None

        def read(work: Work) -> Any:
            value = work.values[index]
            if value is not UNKNOWN:
                return value
            number = self.readers[source](work)
            if number is None:
                return None
            value = work.values[index] = band(bands, number)
            return value

        return read

    def _condition(self, node: Node, made: list[Condition]) -> Condition:
        if node.op == "const":
            value = bool(node.value)
            return lambda work: value
        if node.variable is None:
            return _connective(node.op, tuple(made[at] for at in node.of))
        return self._atom(node)

    def _atom(self, node: Node) -> Condition:
        assert node.variable is not None
        read = self.readers[node.variable]
        variable = self._program.variables[node.variable]
        constant: Any = node.value
        if node.op in ("lt", "le", "gt", "ge", "eq"):
            constant = float(constant)
        if node.op == "truth":
            return read
        if node.op == "empty":
            return lambda work: None if (value := read(work)) is None else not value
        compare = _COMPARE[node.op]
        if variable.source == "signal" and self._bounded(self.signals[variable.name]):
            return self._bounded_atom(node, compare, constant)
        return lambda work: None if (value := read(work)) is None else compare(value, constant)

    def _bounded(self, signal: int) -> bool:
        """Whether more is known of a signal than its kind before its value is."""
        return self.rank[signal] < 0 or self._program.signals[signal].kind == "tokens"

    def _bounded_atom(
        self, node: Node, compare: Callable[[Any, Any], bool], constant: Any
    ) -> Condition:
        """A test of a score, a band or a size, settled as soon as the bounds leave no doubt."""
        assert node.variable is not None
        read, settled = self.readers[node.variable], self.bounds.settles(node)

        def known(work: Work) -> bool | None:
            value = read(work)
            return settled(work) if value is None else compare(value, constant)

        return known

    def _variables_of(self) -> tuple[frozenset[int], ...]:
        """The variables each node reads, those of derived signals included."""
        program = self._program
        nodes: dict[int, frozenset[int]] = {}
        inside: dict[int, frozenset[int]] = {}

        def behind(at: int) -> frozenset[int]:
            if at not in inside:
                reads = frozenset({at})
                below, under = _reads(program, self.signals, at)
                inside[at] = reads.union(*map(behind, below), *map(of, under))
            return inside[at]

        def of(at: int) -> frozenset[int]:
            if at not in nodes:
                node = program.nodes[at]
                parts = map(of, node.of) if node.variable is None else [behind(node.variable)]
                nodes[at] = frozenset[int]().union(*parts)
            return nodes[at]

        return tuple(of(at) for at in range(len(program.nodes)))


def _turns(program: Program, rank: tuple[int, ...]) -> tuple[int, ...]:
    """Place of each signal in the plan's order; without one by stage, then as declared."""
    count = len(program.signals)
    order = program.plan.order or sorted(range(count), key=lambda at: (rank[at], at))
    turn = [count] * count
    for place, at in enumerate(order):
        turn[at] = place
    return tuple(turn)


def _reads(program: Program, signals: Mapping[str, int], at: int) -> tuple[list[int], list[int]]:
    """The variables and the nodes that a derived variable is worked out from."""
    variable = program.variables[at]
    if variable.source == "field":
        return [], []
    signal = program.signals[signals[variable.name]]
    below = [part.variable for part in signal.summands if part.variable is not None]
    if signal.source is not None:
        below.append(signal.source)
    return below, [part.node for part in signal.summands if part.node is not None]


def _connective(op: str, parts: tuple[Condition, ...]) -> Condition:
    if op == "not":
        part = parts[0]
        return lambda work: None if (value := part(work)) is None else not value
    settles = op == "or"

    def connective(work: Work) -> bool | None:
        result: bool | None = not settles
        for part in parts:
            value = part(work)
            if value is settles:
                return value
            if value is None:
                result = None
        return result

    return connective


def _remembered(at: int, condition: Condition) -> Condition:
    """A condition used in several places, worked out once while nothing new is known."""

    def remembered(work: Work) -> bool | None:
        memo = work.memo.get(at)
        if memo is True or memo is False:
            return memo
        if memo == work.version:
            return None
        value = condition(work)
        work.remember(at, value)
        return value

    return remembered


def _shared(program: Program) -> frozenset[int]:
    used: dict[int, int] = {}
    uses = [guard.when for guard in program.guards]
    uses += [route.when for route in program.routes]
    uses += [category.when for category in program.categories]
    uses += [part.node for s in program.signals for part in s.summands if part.node is not None]
    uses += [at for node in program.nodes for at in node.of]
    for at in uses:
        used[at] = used.get(at, 0) + 1
    return frozenset(at for at, count in used.items() if count > 1)


def _check_depth(program: Program, signals: Mapping[str, int]) -> None:
    """Refuse what evaluation could not walk: too deep, or a score that reads itself."""
    depths: dict[tuple[str, int], int] = {}
    walking: set[tuple[str, int]] = set()

    def depth(kind: str, at: int) -> int:
        key = (kind, at)
        if key not in depths:
            if key in walking:
                raise ProgramError("invalid-program", "the program has a signal that reads itself")
            if len(walking) > MAX_DEPTH:
                raise _too_deep()
            walking.add(key)
            if kind == "node":
                node = program.nodes[at]
                below, under = [], list(node.of)
                if node.variable is not None:
                    below = [node.variable]
            else:
                below, under = _reads(program, signals, at)
            found = [depth("variable", part) for part in below]
            found += [depth("node", part) for part in under]
            walking.remove(key)
            depths[key] = 1 + max(found, default=0)
            if depths[key] > MAX_DEPTH:
                raise _too_deep()
        return depths[key]

    for at in range(len(program.nodes)):
        depth("node", at)


def _too_deep() -> ProgramError:
    return ProgramError(
        "invalid-program", f"the program nests conditions deeper than {MAX_DEPTH} levels"
    )
