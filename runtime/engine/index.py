"""Which of many routes a request's fields leave possible.

Enum, string and bool fields rule most routes out at once: for each value that some route names
there is a bit mask of the routes that it leaves possible (the bit vectors of packet classifiers:
Lakshman and Stiliadis, SIGCOMM 1998).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routec.compiler.program import Constant, Node, Program
from routec.runtime.signals.work import Work

FROM = 32
"""Routes from which on an index is made."""

_REMEMBERED = 4096

_OTHER = object()
"""A field's value that no route names."""


class Index:
    """The routes of a program by the fields of requests.

    Args:
        program: the program.
    """

    def __init__(self, program: Program) -> None:
        whens = [route.when for route in program.routes]
        self._everything = (1 << len(whens)) - 1
        self._cases = tuple((when, at) for at, when in enumerate(whens))
        self._fields = tuple(
            (name, table.get, other) for name, (table, other) in _masks(program, whens).items()
        )
        self._lists: dict[int, Sequence[tuple[int, int]]] = {}

    def mask(self, attributes: Mapping[str, Any]) -> int:
        """The routes that fields leave possible, as bits."""
        mask = self._everything
        for name, get, other in self._fields:
            mask &= get(attributes[name], other)
        return mask

    def possible(self, work: Work, among: int) -> Sequence[tuple[int, int]]:
        """Condition node and index of the routes that a request's fields leave possible.

        Args:
            work: the request.
            among: the routes that count, as bits.
        """
        mask = self.mask(work.attributes) & among
        found = self._lists.get(mask)
        if found is None:
            if len(self._lists) >= _REMEMBERED:
                self._lists.clear()
            found = tuple(case for case in self._cases if mask >> case[1] & 1)
            self._lists[mask] = found
        return found


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


def _masks(program: Program, whens: Sequence[int]) -> dict[str, tuple[dict[Constant, int], int]]:
    """By field: the routes that each value leaves possible, and those that any other value does."""
    facts = _Facts(program)
    fields = {
        at: variable.name
        for at, variable in enumerate(program.variables)
        if variable.source == "field" and variable.type in ("string", "enum", "bool")
    }
    # By variable and position: the values that a route names, and whether each rules it out.
    named: dict[int, list[tuple[int, dict[Constant, bool], bool]]] = {at: [] for at in fields}
    for position, node in enumerate(whens):
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
        other = (1 << len(whens)) - 1
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
