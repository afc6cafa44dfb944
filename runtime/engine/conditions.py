"""Conditions as three-valued functions, and what would settle an unknown one.

Kleene's strong logic: a conjunction with a false operand is false whatever the others
are. Unknown is ``None``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from routec.compiler.program import Node, Program, ProgramError, Signal, Summand
from routec.runtime.signals.derived import band, score
from routec.runtime.signals.work import Work

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
        nodes: a function for each node: true, false, or ``None`` while unknown.
        readers: a function for each variable: its value, or ``None`` while unknown.
        signals: index of each signal by name.
        rank: rank of each signal's stage; -1 for derived ones.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.signals = {signal.name: at for at, signal in enumerate(program.signals)}
        self.rank = tuple(STAGES.get(signal.stage, -1) for signal in program.signals)
        _check_depth(program, self.signals)
        shared = _shared(program)
        self.readers: tuple[Reader, ...] = ()
        self.nodes: tuple[Condition, ...] = ()
        self.readers = tuple(self._reader(at) for at in range(len(program.variables)))
        made: list[Condition] = []
        for at, node in enumerate(program.nodes):
            condition = self._condition(node, made)
            if node.op in ("and", "or") and at in shared:
                condition = _remembered(at, condition)
            made.append(condition)
        self.nodes = tuple(made)
        self.variables_of = self._variables_of()

    def wanted(self, node: int, work: Work) -> tuple[int, int]:
        """The signal to compute next for an unknown condition.

        Among the signals that can still matter it is one of the cheapest stage, of these
        the first as written.

        Args:
            node: index of a node that is unknown.
            work: the request.

        Returns:
            Rank of its stage and its index.
        """
        best = (len(STAGES), -1)
        seen: set[int] = set()
        stack = [node]
        nodes = self._program.nodes
        while stack:
            at = stack.pop()
            if at < 0:
                signal = -at - 1
                rank = self.rank[signal]
                if rank < best[0]:
                    best = (rank, signal)
                continue
            if at in seen or self.nodes[at](work) is not None:
                continue
            seen.add(at)
            part = nodes[at]
            if part.variable is None:
                stack.extend(reversed(part.of))
            else:
                stack.extend(reversed(list(self._unknown(part.variable, work))))
        return best

    def _unknown(self, variable: int, work: Work) -> list[int]:
        """What an unknown variable waits for: nodes, and signals as -1 - index."""
        if self.readers[variable](work) is not None:
            return []
        at = self.signals[self._program.variables[variable].name]
        signal = self._program.signals[at]
        if self.rank[at] >= 0:
            return [-1 - at]
        if signal.source is not None:
            return self._unknown(signal.source, work)
        found: list[int] = []
        for summand in signal.summands:
            if summand.node is not None:
                found.append(summand.node)
            elif summand.variable is not None:
                found.extend(self._unknown(summand.variable, work))
        return found

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
                return None if value is None else value.scores[member]

            return read_member
        if signal.kind in ("classifier", "language"):

            def read_label(work: Work) -> Any:
                value = work.values[index]
                return None if value is None else value.label

            return read_label
        return lambda work: work.values[index]

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
            if value is None:
                terms = [(coefficient, part(work)) for coefficient, part in parts]
                if all(term is not None for _, term in terms):
                    value = work.values[index] = score(constant, terms)
            return value

        return read

    def _bands(self, index: int, signal: Signal) -> Reader:
        source, bands = signal.source, signal.bands
        assert source is not None

        def read(work: Work) -> Any:
            value = work.values[index]
            if value is None:
                number = self.readers[source](work)
                if number is not None:
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
        plain = variable.member is None and self._plain(variable.name, variable.source)
        if plain:
            index = self.signals[variable.name]

            def known(work: Work) -> bool | None:
                value = work.values[index]
                return None if value is None else compare(value, constant)

            return known
        return lambda work: None if (value := read(work)) is None else compare(value, constant)

    def _plain(self, name: str, source: str) -> bool:
        if source != "signal":
            return False
        signal = self._program.signals[self.signals[name]]
        return signal.kind not in ("classifier", "language", "score", "bands")

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
        work.memo[at] = work.version if value is None else value
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
