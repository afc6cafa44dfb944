"""What the atoms of one variable say of each other.

Numbers are IEEE doubles, as they are when a program runs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

from routec.compiler.program import Node, Program, Variable

Cut = tuple[float, int]
"""A place on the number line: ``(c, 0)`` is just below `c`, ``(c, 1)`` just above it."""

Stretch = tuple[Cut, Cut]
"""Numbers between two cuts."""

Fact = tuple[int, bool]
"""An atom (its node index) and whether it is true."""

LOWEST: Cut = (-math.inf, 0)
HIGHEST: Cut = (math.inf, 1)

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_EXACT = 2.0**53


class Atoms:
    """The atoms of a program, by the variables that they read.

    Attributes:
        program: the program.
        of: for each variable the indices of its atoms, each once.
        same: for each node that is an atom the index of the first that is equal to it.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.of: list[list[int]] = [[] for _ in program.variables]
        self.same: dict[int, int] = {}
        first: dict[Node, int] = {}
        for at, node in enumerate(program.nodes):
            if node.variable is not None:
                self.same[at] = first.setdefault(node, at)
                if self.same[at] == at:
                    self.of[node.variable].append(at)
        self._domains = [_domain(program, variable) for variable in program.variables]
        self._stretches: dict[int, Stretch] = {}
        self._follows: dict[Fact, tuple[Fact, ...]] = {}

    def domain(self, variable: int) -> tuple[str, ...] | None:
        """All values of a string, enum or label; ``None`` where they are not known."""
        return self._domains[variable]

    def stretch(self, atom: int) -> Stretch:
        """The numbers of which a comparison is true; both cuts alike where there are none."""
        found = self._stretches.get(atom)
        if found is None:
            node = self.program.nodes[atom]
            assert node.variable is not None, "comparisons read a variable"
            whole = self.program.variables[node.variable].type == "int"
            found = self._stretches[atom] = _stretch(node, whole)
        return found

    def known(self, atom: int, value: bool) -> Stretch | None:
        """The numbers of which a comparison has this value; ``None`` where they are not one
        stretch."""
        low, high = self.stretch(atom)
        if value:
            return low, high
        if low == high:
            return LOWEST, HIGHEST
        if low == LOWEST:
            return high, HIGHEST
        return (LOWEST, low) if high == HIGHEST else None

    def within(self, atom: int, stretch: Stretch) -> bool | None:
        """Whether a comparison is true of all numbers of a stretch, or of none; else ``None``."""
        low, high = self.stretch(atom)
        if stretch[0] >= high or stretch[1] <= low:
            return False
        return True if stretch[0] >= low and stretch[1] <= high else None

    def follows(self, atom: int, value: bool) -> tuple[Fact, ...]:
        """What one atom says of the others of its variable."""
        fact = (atom, value)
        found = self._follows.get(fact)
        if found is None:
            found = self._follows[fact] = tuple(self._following(atom, value))
        return found

    def _following(self, atom: int, value: bool) -> Iterator[Fact]:
        node = self.program.nodes[atom]
        assert node.variable is not None, "an atom reads a variable"
        others = [at for at in self.of[node.variable] if at != atom]
        if node.op == "is":
            domain = self._domains[node.variable]
            for other in others:
                if value:
                    yield other, False
                elif domain is not None and len(domain) == 2:
                    yield other, True
        elif node.op == "has":
            if value:
                yield from ((o, False) for o in others if self.program.nodes[o].op == "empty")
        elif node.op == "empty":
            if value:
                yield from ((other, False) for other in others)
        elif node.op != "truth":
            stretch = self.known(atom, value)
            if stretch is not None:
                for other in others:
                    settled = self.within(other, stretch)
                    if settled is not None:
                        yield other, settled


def atoms_of(program: Program, node: int) -> list[int]:
    """The atoms that a condition reads, each once."""
    found: dict[int, None] = {}
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if at not in seen:
            seen.add(at)
            waiting.extend(program.nodes[at].of)
            if program.nodes[at].variable is not None:
                found[at] = None
    return list(found)


def _stretch(node: Node, whole: bool) -> Stretch:
    assert isinstance(node.value, int | float), "comparisons have a number"
    try:
        value = float(node.value)
    except OverflowError:
        value = math.copysign(math.inf, node.value)
    if math.isinf(value):
        # No number lies beyond the greatest double.
        value = math.copysign(sys.float_info.max, value)
        below: Cut = (value, int(value > 0))
        above = below
    elif whole and abs(value) < _EXACT:
        below, above = (math.ceil(value) - 1.0, 1), (float(math.floor(value)), 1)
    else:
        below, above = (value, 0), (value, 1)
    match node.op:
        case "lt":
            return LOWEST, below
        case "le":
            return LOWEST, above
        case "gt":
            return above, HIGHEST
        case "ge":
            return below, HIGHEST
        case _:
            return below, max(below, above)


def _domain(program: Program, variable: Variable) -> tuple[str, ...] | None:
    if variable.member is not None or variable.type not in ("string", "enum"):
        return None
    if variable.source == "field":
        field = next(f for f in program.fields if f.name == variable.name)
        return field.members or None
    signal = next(s for s in program.signals if s.name == variable.name)
    match signal.kind:
        case "classifier":
            return signal.labels
        case "bands":
            return tuple(band.name for band in signal.bands)
        case "weekday":
            return WEEKDAYS
        case _:
            return None
