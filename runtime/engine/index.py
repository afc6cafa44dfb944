"""Finding the first of many cases without looking at each.

A request's enum, string and bool fields rule most cases out at once: for each value that some
case names there is a bit mask of the cases that it leaves possible (the bit vectors of packet
classifiers: Lakshman and Stiliadis, SIGCOMM 1998). What is left after that is grouped by a
keyword or regex that must have matched, and only groups whose signal is true are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from operator import itemgetter
from typing import Any

from routec.compiler.program import Constant, Node, Program
from routec.runtime.engine.code import Code
from routec.runtime.signals.work import Work

FROM = 32
"""Cases from which on an index is made."""

_GROUPED = 16
"""Most cases that are looked at one after another without grouping."""

_REMEMBERED = 4096

_OTHER = object()
"""A field's value that no case names."""


class Chain:
    """The cases that some values of fields leave possible, by their positions.

    Attributes:
        all: positions in order of meaning.
        rest: positions of those that need no one keyword.
        groups: positions of those that need one, by keyword.
        keywords: reads whether these keywords matched.
    """

    __slots__ = ("all", "groups", "keywords", "rest")

    def __init__(self, all: Sequence[int], needs: Sequence[int | None]) -> None:
        self.all = tuple(all)
        groups: dict[int, list[int]] = {}
        rest = []
        for at in all:
            need = needs[at] if len(all) > _GROUPED else None
            if need is None:
                rest.append(at)
            else:
                groups.setdefault(need, []).append(at)
        self.rest = rest
        self.groups = tuple(groups.values())
        # With one item, `itemgetter` gives it bare.
        places = [*groups, *groups] if len(groups) == 1 else [*groups]
        self.keywords: Callable[[Any], tuple[Any, ...]] | None = (
            itemgetter(*places) if places else None
        )


class Index:
    """First-match over many cases.

    Args:
        program: the program.
        code: its generated functions.
        cases: condition nodes and outcomes, the last of a node that always holds.
    """

    def __init__(self, program: Program, code: Code, cases: Sequence[tuple[int, int]]) -> None:
        self._cases = tuple(cases)
        self._outcomes = tuple(outcome for _, outcome in cases)
        self._tests = code.conditions([node for node, _ in cases])
        facts = _Facts(program)
        self._everything = (1 << len(cases)) - 1
        self._fields = tuple(
            (name, table.get, other)
            for name, (table, other) in _masks(program, facts, cases).items()
        )
        self._needs = _needs(program, facts, cases)
        self._chains: dict[int, Chain] = {}

    def first(self, values: Sequence[Any], attributes: Mapping[str, Any]) -> int:
        """The outcome of the first case that holds.

        Raises:
            NotKnown: some value that it takes is not known yet.
        """
        chain = self._chain(attributes)
        found = chain.rest
        if chain.keywords is not None:
            for group in compress(chain.groups, chain.keywords(values)):
                found = found + group
            if found is not chain.rest:
                found.sort()
        tests = self._tests
        for at in found:
            if tests[at](values, attributes):
                return self._outcomes[at]
        raise AssertionError("the last case always holds")

    def possible(self, work: Work) -> Sequence[tuple[int, int]]:
        """The cases that a request's fields leave possible, in order of meaning."""
        return [self._cases[at] for at in self._chain(work.attributes).all]

    def _chain(self, attributes: Mapping[str, Any]) -> Chain:
        mask = self._everything
        for name, get, other in self._fields:
            mask &= get(attributes[name], other)
        chain = self._chains.get(mask)
        if chain is None:
            if len(self._chains) >= _REMEMBERED:
                self._chains.clear()
            positions = [at for at in range(len(self._cases)) if mask >> at & 1]
            chain = self._chains[mask] = Chain(positions, self._needs)
        return chain


class _Facts:
    """What single values rule out."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def atoms(self, node: int) -> list[Node]:
        """The tests that a condition consists of; derived signals are not looked into."""
        nodes = self._program.nodes
        found: dict[int, None] = {}
        stack = [node]
        while stack:
            at = stack.pop()
            if at in found:
                continue
            found[at] = None
            stack += nodes[at].of
        return [nodes[at] for at in found if nodes[at].variable is not None]

    def refutes(self, node: int, variable: int, value: object) -> bool:
        """Whether a condition is false as soon as a variable has this value."""
        nodes = self._program.nodes
        known: dict[int, bool | None] = {}

        def holds(at: int) -> bool | None:
            if at not in known:
                part = nodes[at]
                if part.op == "const":
                    known[at] = bool(part.value)
                elif part.op == "not":
                    inner = holds(part.of[0])
                    known[at] = None if inner is None else not inner
                elif part.op in ("and", "or"):
                    inners = [holds(of) for of in part.of]
                    settles = part.op == "or"
                    known[at] = (
                        settles if settles in inners else None if None in inners else not settles
                    )
                elif part.variable != variable:
                    known[at] = None
                else:
                    known[at] = value is True if part.op == "truth" else part.value == value
            return known[at]

        return holds(node) is False


def _masks(
    program: Program, facts: _Facts, cases: Sequence[tuple[int, int]]
) -> dict[str, tuple[dict[Constant, int], int]]:
    """By field: the cases that each value leaves possible, and those that any other value does."""
    fields = {
        at: variable.name
        for at, variable in enumerate(program.variables)
        if variable.source == "field" and variable.type in ("string", "enum", "bool")
    }
    # By variable and position: the values that a case names, and whether each rules it out.
    named: dict[int, list[tuple[int, dict[Constant, bool], bool]]] = {at: [] for at in fields}
    for position, (node, _) in enumerate(cases):
        values: dict[int, set[Constant]] = {}
        for atom in facts.atoms(node):
            if atom.variable in fields and atom.op in ("is", "truth"):
                value: Any = True if atom.op == "truth" else atom.value
                values.setdefault(atom.variable, set()).add(value)
        for at, mentioned in values.items():
            refuted = {value: facts.refutes(node, at, value) for value in mentioned}
            named[at].append((position, refuted, facts.refutes(node, at, _OTHER)))
    masks: dict[str, tuple[dict[Constant, int], int]] = {}
    for at, name in fields.items():
        other = (1 << len(cases)) - 1
        for position, _, refuted_else in named[at]:
            other &= ~(int(refuted_else) << position)
        table: dict[Constant, int] = {}
        for position, refuted, _ in named[at]:
            for value, no in refuted.items():
                mask = table.get(value, other)
                bit = 1 << position
                table[value] = mask & ~bit if no else mask | bit
        if any(refuted_else or any(refuted.values()) for _, refuted, refuted_else in named[at]):
            masks[name] = (table, other)
    return masks


def _needs(
    program: Program, facts: _Facts, cases: Sequence[tuple[int, int]]
) -> tuple[int | None, ...]:
    """For each case a keyword or regex that must have matched; the least used one of several."""
    signals = {signal.name: at for at, signal in enumerate(program.signals)}
    of_case: list[list[int]] = []
    uses: dict[int, int] = {}
    for node, _ in cases:
        found = []
        for atom in facts.atoms(node):
            assert atom.variable is not None
            variable = program.variables[atom.variable]
            if atom.op != "truth" or variable.source != "signal":
                continue
            place = signals[variable.name]
            if program.signals[place].kind not in ("keyword", "regex"):
                continue
            if facts.refutes(node, atom.variable, False):
                found.append(place)
                uses[place] = uses.get(place, 0) + 1
        of_case.append(found)
    return tuple(min(found, key=lambda at: (uses[at], at), default=None) for found in of_case)
