"""How a state is expanded by one variable: its branches, what is known in each, and the vertex."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from routec.compiler.plan.atoms import HIGHEST, LOWEST, Atoms, Cut, Fact
from routec.compiler.plan.residual import Known
from routec.compiler.program import Vertex


@dataclass(frozen=True, slots=True)
class Split:
    """The branches of a state.

    Attributes:
        known: what is known in each.
        vertex: makes the vertex from the branches' vertices; where these make no difference it
            is one of them.
    """

    known: tuple[Known, ...]
    vertex: Callable[[Sequence[int]], Vertex | int]


class Branches:
    """Splits by the variables of a program, without branches that cannot be.

    Args:
        atoms: the program's atoms.
        implied: what atoms say of those of other variables.
    """

    def __init__(self, atoms: Atoms, implied: Mapping[Fact, tuple[Fact, ...]]) -> None:
        self._atoms = atoms
        self._nodes = atoms.program.nodes
        self._implied = implied
        self._closed: dict[Fact, Known | None] = {}
        self._splits: dict[tuple[int, tuple[int, ...]], Split] = {}
        self._comparisons: dict[tuple[int, Cut], int] = {}
        self._equalities: dict[tuple[int, Cut, Cut], int] = {}
        self._labels: dict[tuple[int, str], int] = {}
        for variable, of in enumerate(atoms.of):
            for at in of:
                node = self._nodes[at]
                if node.op == "is":
                    self._labels[variable, str(node.value)] = at
                elif node.op == "eq":
                    self._equalities.setdefault((variable, *atoms.stretch(at)), at)
                elif node.op in ("lt", "le", "gt", "ge"):
                    self._comparisons.setdefault((variable, self._cut(at)), at)

    def tests_one(self, variable: int) -> bool:
        """Whether the atoms of a variable are tested one by one: those of a set."""
        return self._atoms.program.variables[variable].type == "set"

    def dispatches(self, variable: int) -> bool:
        """Whether a variable can tell many cases apart at once: a string, enum or label."""
        return self._atoms.program.variables[variable].type in ("string", "enum")

    def split(self, variable: int, relevant: Sequence[int]) -> Split:
        """The branches by a variable.

        Args:
            variable: the variable.
            relevant: its atoms to settle, ascending.
        """
        key = (variable, tuple(relevant))
        found = self._splits.get(key)
        if found is None:
            found = self._splits[key] = self._split(variable, relevant)
        return found

    def _split(self, variable: int, relevant: Sequence[int]) -> Split:
        if len(relevant) == 1:
            return self._test(relevant[0])
        if self._nodes[relevant[0]].op == "is":
            return self._switch(variable, relevant)
        return self._bisect(variable, relevant)

    # --- what is known ----------------------------------------------------------------

    def closure(self, atom: int, value: bool) -> Known | None:
        """Everything that one atom implies, itself included; ``None`` if it cannot have the
        value."""
        fact = (atom, value)
        if fact not in self._closed:
            self._closed[fact] = self._close(fact)
        return self._closed[fact]

    def _close(self, fact: Fact) -> Known | None:
        found: dict[int, bool] = {}
        waiting = [(fact, True)]
        while waiting:
            (atom, value), alone = waiting.pop()
            atom = self._atoms.same[atom]
            if atom in found:
                if found[atom] is not value:
                    return None
                continue
            found[atom] = value
            # What follows within the variable is all there: following it again finds no more.
            if alone:
                waiting.extend((other, False) for other in self._atoms.follows(atom, value))
            waiting.extend((other, True) for other in self._implied.get((atom, value), ()))
        mask = true = 0
        for atom, value in found.items():
            mask |= 1 << atom
            true |= value << atom
        return Known(mask, true)

    def _all(self, facts: Iterable[Fact]) -> Known | None:
        mask = true = 0
        for fact in facts:
            known = self.closure(*fact)
            if known is None or (true ^ known.true) & mask & known.mask:
                return None
            mask |= known.mask
            true |= known.true
        return Known(mask, true)

    # --- kinds of splits --------------------------------------------------------------

    def _possible(self, branches: Sequence[Sequence[Fact]]) -> tuple[list[int], tuple[Known, ...]]:
        """Which branches can be, and what is known in them; all of them if none can."""
        found = [(at, known) for at, facts in enumerate(branches) if (known := self._all(facts))]
        if not found:
            found = [(at, _plain(facts)) for at, facts in enumerate(branches)]
        return [at for at, _ in found], tuple(known for _, known in found)

    def _test(self, atom: int) -> Split:
        _, known = self._possible([[(atom, False)], [(atom, True)]])

        def vertex(to: Sequence[int]) -> Vertex | int:
            if to[0] == to[-1]:
                return to[0]
            return Vertex("test", to=(to[0], to[1]), node=atom)

        return Split(known, vertex)

    def _switch(self, variable: int, relevant: Sequence[int]) -> Split:
        labels = [str(self._nodes[at].value) for at in relevant]
        branches: list[list[Fact]] = [[(at, True)] for at in relevant]
        other: list[Fact] = [(at, False) for at in relevant]
        domain = self._atoms.domain(variable)
        left = None if domain is None else [value for value in domain if value not in labels]
        if left is not None and len(left) == 1 and (variable, left[0]) in self._labels:
            other.append((self._labels[variable, left[0]], True))
        if left is None or left:
            branches.append(other)
        which, known = self._possible(branches)

        def vertex(to: Sequence[int]) -> Vertex | int:
            ways = {labels[at]: to[i] for i, at in enumerate(which) if at < len(labels)}
            if which[-1] == len(labels):
                rest = to[-1]
            else:
                # No other value occurs: the way that most labels go saves most of them.
                rest = Counter(ways.values()).most_common(1)[0][0]
            ways = {label: way for label, way in ways.items() if way != rest}
            if not ways:
                return rest
            if len(ways) == 1:
                ((label, way),) = ways.items()
                return Vertex("test", to=(rest, way), node=self._labels[variable, label])
            return Vertex(
                "switch", to=(*ways.values(), rest), variable=variable, labels=tuple(ways)
            )

        return Split(known, vertex)

    def _bisect(self, variable: int, relevant: Sequence[int]) -> Split:
        atoms = self._atoms
        places = {cut for at in relevant for cut in atoms.stretch(at)} - {LOWEST, HIGHEST}
        cuts = sorted(places)
        branches: list[list[Fact]] = []
        for stretch in zip((LOWEST, *cuts), (*cuts, HIGHEST), strict=True):
            settled = ((at, atoms.within(at, stretch)) for at in atoms.of[variable])
            branches.append([(at, value) for at, value in settled if value is not None])
        which, known = self._possible(branches)

        def vertex(to: Sequence[int]) -> Vertex | int:
            ways = [to[0]]
            kept: list[Cut] = []
            for at, way in zip(which[1:], to[1:], strict=True):
                if way != ways[-1]:
                    kept.append(cuts[at - 1])
                    ways.append(way)
            return ways[0] if not kept else self._numbers(variable, kept, ways)

        return Split(known, vertex)

    def _numbers(self, variable: int, cuts: Sequence[Cut], ways: Sequence[int]) -> Vertex:
        """A test where one atom tells as much, else a bisection."""
        if len(cuts) == 1 and (variable, cuts[0]) in self._comparisons:
            atom = self._comparisons[variable, cuts[0]]
            below, above = ways
            upwards = self._nodes[atom].op in ("gt", "ge")
            return Vertex("test", to=(below, above) if upwards else (above, below), node=atom)
        if len(cuts) == 2 and ways[0] == ways[2]:
            equal = self._equalities.get((variable, cuts[0], cuts[1]))
            if equal is not None:
                return Vertex("test", to=(ways[0], ways[1]), node=equal)
        return Vertex(
            "bisect",
            to=tuple(ways),
            variable=variable,
            bounds=tuple(value for value, _ in cuts),
            inclusive=tuple(bool(above) for _, above in cuts),
        )

    def _cut(self, atom: int) -> Cut:
        low, high = self._atoms.stretch(atom)
        return high if low == LOWEST else low


def _plain(facts: Iterable[Fact]) -> Known:
    mask = true = 0
    for atom, value in facts:
        mask |= 1 << atom
        true |= value << atom
    return Known(mask, true)
