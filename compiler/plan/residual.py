"""What is left of conditions, and of lists of them, once some atoms are known.

Conditions are conjunctions and complements over atoms, hash-consed: an and-inverter graph
(Kuehlmann and Krohm, "Equivalence checking using cuts and heaps", 1997) of which conjunctions
have any number of operands. A number stands for each; the complement of `f` is ``f ^ 1``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from routec.compiler.program import Program

FALSE, TRUE = 0, 1

EMPTY = 0
"""The list that nothing is left of."""


class Overrun(Exception):
    """More steps were needed than allowed."""


@dataclass(frozen=True, slots=True)
class Known:
    """Atoms that are known, as bits.

    Attributes:
        mask: the atoms.
        true: those of them that are true.
    """

    mask: int
    true: int


@dataclass(frozen=True, slots=True)
class Entry:
    """The head of a list.

    Attributes:
        condition: the condition.
        outcome: what it leads to.
        goes_on: whether the rest of the list counts where the condition holds.
        rest: the list behind it.
    """

    condition: int
    outcome: int
    goes_on: bool
    rest: int


class Residuals:
    """Makes conditions and lists; equal ones have equal numbers.

    Attributes:
        left: steps that are still allowed.
        parts: for each condition the operands of its conjunction; empty for an atom.
        reads: for each condition the atoms that it reads, as bits; it has the number of the
            condition shifted right by one.
        entries: for each list its head; ``None`` for the empty one.
        below: for each list the atoms that it reads, as bits.
    """

    def __init__(self) -> None:
        self.left = 0
        self.parts: list[tuple[int, ...]] = [()]
        self.reads: list[int] = [0]
        self.entries: list[Entry | None] = [None]
        self.below: list[int] = [0]
        self._conjunctions: dict[tuple[int, ...], int] = {}
        self._atoms: dict[int, int] = {}
        self._lists: dict[Entry, int] = {}
        self._conditions: dict[Known, dict[int, int]] = {}
        self._shorter: dict[Known, dict[int, int]] = {}

    def step(self, count: int) -> None:
        """Count steps.

        Raises:
            Overrun: no more are left.
        """
        self.left -= count
        if self.left < 0:
            raise Overrun

    # --- conditions -------------------------------------------------------------------

    def atom(self, at: int) -> int:
        """The condition that an atom is true."""
        if at not in self._atoms:
            self._atoms[at] = self._new((), 1 << at)
        return self._atoms[at]

    def _new(self, parts: tuple[int, ...], reads: int) -> int:
        self.parts.append(parts)
        self.reads.append(reads)
        return 2 * len(self.parts) - 2

    def all(self, parts: Iterable[int]) -> int:
        """Conjunction, without what its other parts make superfluous."""
        found: set[int] = set()
        waiting = list(parts)
        while waiting:
            part = waiting.pop()
            if part == TRUE or part in found:
                continue
            if part == FALSE or part ^ 1 in found:
                return FALSE
            inner = () if part & 1 else self.parts[part >> 1]
            if inner:
                self.step(len(inner))
                waiting.extend(inner)
            else:
                found.add(part)
        while True:
            shorter = self._resolved(found)
            if shorter is None:
                break
            before, after = shorter
            found.discard(before)
            for part in self.parts[after >> 1] if self._joins(after) else (after,):
                if part == FALSE or part ^ 1 in found:
                    return FALSE
                if part != TRUE:
                    found.add(part)
        return self._conjunction(found)

    def any(self, parts: Iterable[int]) -> int:
        """Disjunction."""
        return self.all([part ^ 1 for part in parts]) ^ 1

    def _joins(self, condition: int) -> bool:
        return not condition & 1 and bool(self.parts[condition >> 1])

    def _resolved(self, found: set[int]) -> tuple[int, int] | None:
        """An alternative among these that the others settle or shorten, and what is left of it."""
        for part in sorted(found):
            if not part & 1:
                continue
            inner = self.parts[part >> 1]
            self.step(1 + len(inner))
            if any(x ^ 1 in found for x in inner):
                return part, TRUE
            left = [x for x in inner if x not in found]
            if len(left) < len(inner):
                return part, self._conjunction(left) ^ 1
        return None

    def _conjunction(self, parts: Iterable[int]) -> int:
        """Of parts that nothing is superfluous of."""
        key = tuple(sorted(parts))
        if len(key) < 2:
            return key[0] if key else TRUE
        found = self._conjunctions.get(key)
        if found is None:
            reads = 0
            for part in key:
                reads |= self.reads[part >> 1]
            self.step(len(key))
            found = self._conjunctions[key] = self._new(key, reads)
        return found

    def given(self, condition: int, known: Known) -> int:
        """What is left of a condition."""
        if not self.reads[condition >> 1] & known.mask:
            return condition
        done = self._conditions.setdefault(known, {})
        top = condition & ~1
        stack = [top]
        while stack:
            part = stack[-1]
            if part in done:
                stack.pop()
                continue
            inner = self.parts[part >> 1]
            if not inner:
                done[part] = TRUE if self.reads[part >> 1] & known.true else FALSE
                continue
            waiting = [x & ~1 for x in inner if self._open(x & ~1, known, done)]
            if waiting:
                stack.extend(waiting)
                continue
            self.step(len(inner))
            done[part] = self.all([done.get(x & ~1, x & ~1) ^ (x & 1) for x in inner])
        return done[top] ^ (condition & 1)

    def _open(self, part: int, known: Known, done: dict[int, int]) -> bool:
        return part not in done and bool(self.reads[part >> 1] & known.mask)

    # --- lists ------------------------------------------------------------------------

    def entry(self, condition: int, outcome: int, rest: int, goes_on: bool = False) -> int:
        """A list with a further head. One that cannot hold is left out, and so is what is behind
        one that always holds; neighbours of one outcome are one."""
        if condition == FALSE:
            return rest
        head = self.entries[rest]
        if not goes_on:
            if head is not None and head.outcome == outcome and not head.goes_on:
                condition, rest = self.any((condition, head.condition)), head.rest
            if condition == TRUE:
                rest = EMPTY
        key = Entry(condition, outcome, goes_on, rest)
        found = self._lists.get(key)
        if found is None:
            found = self._lists[key] = len(self.entries)
            self.entries.append(key)
            self.below.append(self.reads[condition >> 1] | self.below[rest])
        return found

    def heads(self, top: int) -> Iterator[Entry]:
        """The entries of a list, first to last."""
        while (entry := self.entries[top]) is not None:
            yield entry
            top = entry.rest

    def first(self, top: int, known: Known) -> int:
        """A list of which only the head has been told."""
        entry = self.entries[top]
        assert entry is not None, "the empty list has no head"
        condition = self.given(entry.condition, known)
        self.step(1)
        return self.entry(condition, entry.outcome, entry.rest, entry.goes_on)

    def rest(self, top: int, known: Known) -> int:
        """What is left of a list."""
        done = self._shorter.setdefault(known, {})
        path: list[tuple[int, Entry]] = []
        at = top
        while at not in done:
            entry = self.entries[at]
            if entry is None or not self.below[at] & known.mask:
                done[at] = at
                break
            path.append((at, entry))
            at = entry.rest
        self.step(1 + len(path))
        found = done[at]
        for at, entry in reversed(path):
            condition = self.given(entry.condition, known)
            found = done[at] = self.entry(condition, entry.outcome, found, entry.goes_on)
        return found


class Conditions:
    """The conditions of a program's nodes, made when they are asked for.

    Args:
        program: the program.
        residuals: where they are made.
        same: for each atom the one that stands for it.
    """

    def __init__(self, program: Program, residuals: Residuals, same: Mapping[int, int]) -> None:
        self._nodes = program.nodes
        self._residuals = residuals
        self._same = same
        self._made: dict[int, int] = {}

    def of(self, node: int) -> int:
        """The condition of a node.

        Raises:
            Overrun: it takes too many steps to make.
        """
        made = self._made
        stack = [node]
        while stack:
            at = stack[-1]
            waiting = [] if at in made else [i for i in self._nodes[at].of if i not in made]
            if waiting:
                stack.extend(reversed(waiting))
                continue
            stack.pop()
            if at not in made:
                made[at] = self._make(at)
        return made[node]

    def _make(self, at: int) -> int:
        node = self._nodes[at]
        parts = [self._made[i] for i in node.of]
        match node.op:
            case "const":
                return TRUE if node.value else FALSE
            case "not":
                return parts[0] ^ 1
            case "and":
                return self._residuals.all(parts)
            case "or":
                return self._residuals.any(parts)
            case _:
                return self._residuals.atom(self._same[at])
