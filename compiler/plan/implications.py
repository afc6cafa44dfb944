"""What the value of one variable says of others: which atoms force which.

Found are implications between single atoms, from what signals are: label and scores of one
classifier, bands and what they divide, a score and its summands, keywords and patterns over one
conversation. They hold of the numbers that a computer has, not only of exact ones: scores of an
exclusive classifier add up to 1 within `TOLERANCE`, and sums are what adding doubles up gives.
They also hold where a classifier or an embedder fails, but not of values that somebody has fixed
against them.

Left out is what the analyser takes for granted and only holds while nothing fails: that similarity
signals measure one vector, and that signals which are defined alike agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from routec.compiler import policy as p
from routec.compiler.dependencies import guarded_signals
from routec.compiler.plan.atoms import HIGHEST, LOWEST, Atoms, Fact, atoms_of
from routec.compiler.program import Node, Program, Signal, Summand
from routec.compiler.theory.text import TextSignal, TextTheory

TOLERANCE = 1e-5
"""How far each score of an exclusive classifier may be off."""

DIGITS = 12
"""Decimal places that sums are rounded to."""

MOST = 200_000
"""Pairs of atoms that are compared; what comes after them is not looked at."""

Bounds = tuple[float, float]
"""Least and greatest value."""


def implications(policy: p.Policy, program: Program) -> Mapping[Fact, tuple[Fact, ...]]:
    """Which atoms force which others, of other variables.

    Args:
        policy: a policy without errors.
        program: its program.

    Returns:
        For an atom (its index in ``program.nodes``) and a value of it, the atoms that it forces
        and their values, ascending; with every implication also the reverse one of the opposite
        values. What follows in several steps need not be listed.
    """
    found: dict[Fact, set[Fact]] = {}
    for (a, x), (b, y) in _Finder(policy, program).found():
        found.setdefault((a, x), set()).add((b, y))
        found.setdefault((b, not y), set()).add((a, not x))
    return {fact: tuple(sorted(found[fact])) for fact in sorted(found)}


class _Finder:
    def __init__(self, policy: p.Policy, program: Program) -> None:
        self._policy = policy
        self._program = program
        self._atoms = Atoms(program)
        self._left = MOST
        self._signals = {signal.name: signal for signal in program.signals}
        self._variables = {
            (v.name, v.member): at for at, v in enumerate(program.variables) if v.source == "signal"
        }

    def found(self) -> Iterator[tuple[Fact, Fact]]:
        """Implications, each in one direction."""
        yield from self._texts()
        for signal in self._program.signals:
            if signal.kind == "classifier":
                yield from self._classifier(signal)
            elif signal.kind == "bands":
                yield from self._bands(signal)
            elif signal.kind == "score":
                yield from self._score(signal)

    def _of(self, name: str, member: str | None = None) -> list[int]:
        """The atoms of a signal."""
        variable = self._variables.get((name, member))
        return [] if variable is None else self._atoms.of[variable]

    def _node(self, atom: int) -> Node:
        return self._program.nodes[atom]

    def _comparable(self) -> bool:
        self._left -= 1
        return self._left >= 0

    # --- texts ------------------------------------------------------------------------

    def _texts(self) -> Iterator[tuple[Fact, Fact]]:
        guarded = guarded_signals(self._policy)
        texts = [
            TextSignal(s.name, s.definition, decoded=s.name in guarded)
            for s in self._policy.signals.values()
            if isinstance(s.definition, p.Keyword | p.Regex) and self._of(s.name)
        ]
        if len(texts) < 2:
            return
        for (one, x), (other, y) in TextTheory(texts).implications():
            if one != other:
                for a in self._of(one):
                    for b in self._of(other):
                        yield (a, x), (b, y)

    # --- classifiers ------------------------------------------------------------------

    def _classifier(self, signal: Signal) -> Iterator[tuple[Fact, Fact]]:
        if not signal.exclusive or signal.stage == "derived":
            return
        count = len(signal.labels)
        off = TOLERANCE * count
        scores = {label: self._of(signal.name, label) for label in signal.labels}
        # The label has the greatest score: a fair share at least, the others a half at most.
        for a in self._of(signal.name):
            for label in signal.labels:
                own = label == self._node(a).value
                bounds = ((1 - off) / count, 1.0) if own else (0.0, (1 + off) / 2)
                for b in scores[label]:
                    settled = self._settled(b, bounds)
                    if settled is not None:
                        yield (a, True), (b, settled)
        for label in signal.labels:
            for a in scores[label]:
                for value in (False, True):
                    yield from self._share(signal, label, (a, value), off)

    def _share(
        self, signal: Signal, label: str, fact: Fact, off: float
    ) -> Iterator[tuple[Fact, Fact]]:
        """What one score leaves for the others, and for the label."""
        low, high = self._bounds(fact, (0.0, 1.0))
        if low > (1 + off) / 2:
            for b in self._of(signal.name):
                yield fact, (b, self._node(b).value == label)
        for other in signal.labels:
            if other != label:
                # Of two labels one has what the other leaves.
                least = 1 - off - high if len(signal.labels) == 2 else 0.0
                for b in self._of(signal.name, other):
                    if self._comparable():
                        settled = self._settled(b, (least, 1 + off - low))
                        if settled is not None:
                            yield fact, (b, settled)

    def _bounds(self, fact: Fact, bounds: Bounds) -> Bounds:
        """Bounds of a number of which one comparison is known."""
        stretch = self._atoms.known(*fact)
        if stretch is None:
            return bounds
        return max(bounds[0], stretch[0][0]), min(bounds[1], stretch[1][0])

    def _settled(self, atom: int, bounds: Bounds) -> bool | None:
        """Whether a comparison is settled by the bounds of its number, which belong to it."""
        return self._atoms.within(atom, ((bounds[0], 0), (bounds[1], 1)))

    # --- bands ------------------------------------------------------------------------

    def _bands(self, signal: Signal) -> Iterator[tuple[Fact, Fact]]:
        if signal.source is None:
            return
        whole = self._program.variables[signal.source].type == "int"
        lowest = LOWEST
        for band in signal.bands:
            highest = HIGHEST
            if band.bound is not None:
                # Places between whole numbers as the atoms have them.
                above = (float(math.floor(band.bound)), 1) if whole else (band.bound, 1)
                below = (math.ceil(band.bound) - 1.0, 1) if whole else (band.bound, 0)
                highest = above if band.inclusive else below
            band_atoms = [a for a in self._of(signal.name) if self._node(a).value == band.name]
            for a in band_atoms:
                for b in self._atoms.of[signal.source]:
                    if not self._comparable():
                        continue
                    settled = self._atoms.within(b, (lowest, highest))
                    if settled is not None:
                        yield (a, True), (b, settled)
                    for value in (False, True):
                        stretch = self._atoms.known(b, value)
                        if stretch and stretch[0] >= lowest and stretch[1] <= highest:
                            yield (b, value), (a, True)
            lowest = max(lowest, highest)

    # --- scores -----------------------------------------------------------------------

    def _score(self, signal: Signal) -> Iterator[tuple[Fact, Fact]]:
        """What one atom that a sum depends on leaves of the sum."""
        wanted = self._of(signal.name)
        if not wanted:
            return
        read: dict[int, None] = {}
        for summand in signal.summands:
            if summand.variable is not None:
                for a in self._atoms.of[summand.variable]:
                    read[a] = None
            if summand.node is not None:
                for a in atoms_of(self._program, summand.node):
                    read[self._atoms.same[a]] = None
        for a in read:
            for value in (False, True):
                known = dict(self._atoms.follows(a, value))
                known[a] = value
                bounds = self._sum(signal, known)
                for b in wanted:
                    if self._comparable():
                        settled = self._settled(b, bounds)
                        if settled is not None:
                            yield (a, value), (b, settled)

    def _sum(self, signal: Signal, known: Mapping[int, bool]) -> Bounds:
        """Bounds of a sum: added up as sums are, every step of which is monotone."""
        low = high = signal.constant
        for summand in signal.summands:
            if summand.coefficient != 0:
                ends = [summand.coefficient * end for end in self._range(summand, known)]
                low, high = low + min(ends), high + max(ends)
        return round(low, DIGITS), round(high, DIGITS)

    def _range(self, summand: Summand, known: Mapping[int, bool]) -> Bounds:
        if summand.node is not None:
            settled = self._kleene(summand.node, known)
            return (0.0, 1.0) if settled is None else (float(settled), float(settled))
        assert summand.variable is not None, "a summand has a node or a variable"
        bounds = self._type(summand.variable)
        for atom in self._atoms.of[summand.variable]:
            if atom in known:
                bounds = self._bounds((atom, known[atom]), bounds)
        return bounds

    def _type(self, variable: int) -> Bounds:
        """The values that a number can take."""
        read = self._program.variables[variable]
        if read.source == "signal":
            if read.member is not None:
                return 0.0, 1.0
            match self._signals[read.name].kind:
                case "similarity":
                    return -1 - TOLERANCE, 1 + TOLERANCE
                case "contrast":
                    return -2 - TOLERANCE, 2 + TOLERANCE
                case "tokens" | "turns" | "hour":
                    return 0.0, math.inf
        return -math.inf, math.inf

    def _kleene(self, node: int, known: Mapping[int, bool]) -> bool | None:
        """Whether a condition holds, as far as the known atoms tell."""
        values: dict[int, bool | None] = {}
        stack = [node]
        while stack:
            at = stack[-1]
            found = self._node(at)
            waiting = [i for i in found.of if i not in values]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            parts = [values[i] for i in found.of]
            match found.op:
                case "const":
                    values[at] = bool(found.value)
                case "not":
                    values[at] = None if parts[0] is None else not parts[0]
                case "and" | "or":
                    settles = found.op == "or"
                    left = [part for part in parts if part is not (not settles)]
                    values[at] = settles if settles in left else None if left else not settles
                case _:
                    values[at] = known.get(self._atoms.same[at])
        return values[node]
