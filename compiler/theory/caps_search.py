"""The search for a point of the sphere through the cases of an assignment.

Bounds of signals become rows of a `Sphere`. Where the nearest of several examples counts, that is
a choice between cases; cases are tried only where the point found so far meets none of them, and
those first that it misses least. A signal that a score reads has a value that is linear only where
it is known which examples are the nearest: that is a choice too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

import numpy as np

from routec.compiler.theory.arithmetic import Posed
from routec.compiler.theory.encoding import Key
from routec.compiler.theory.regions import Region
from routec.compiler.theory.sphere import TOLERANCE, Array, Blocked, Point, Row, Sphere

NODES = 400
"""Cases that are tried for one assignment."""

_CHOICES = 1 << 62

Case = list[Row]
Choice = str | list[Case]
"""Cases, or a signal whose nearest examples are to be chosen."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The value of a signal is at least (or at most) a number because a literal is true.

    Attributes:
        name: the signal.
        lower: whether at least.
        value: the number.
        margin: how much more is asked of a point.
        literal: the literal; 0 for none.
    """

    name: str
    lower: bool
    value: float
    margin: float
    literal: int


class Search:
    """Looks for a point that gives signals values within bounds; made for one question.

    Args:
        sphere: where the examples lie.
        regions: the signals.
        free: other numbers of the constraints, with their greatest absolute values.
        nodes: how many cases may be tried.
    """

    def __init__(
        self,
        sphere: Sphere,
        regions: Mapping[str, Region],
        free: Mapping[Key, float],
        nodes: int = NODES,
    ) -> None:
        self._sphere = sphere
        self._regions = regions
        self._free = {key: at for at, key in enumerate(free)}
        self._limits: Array = np.array([*free.values()], np.float64)
        self._left = nodes
        self._choices: list[Choice] = []
        self._sums: list[Posed] = []
        self._easy: list[Row] = []
        self._directions: Array = np.empty((0, 0))
        self._bounds: Array = np.empty(0)

    def run(self, bounds: Iterable[Bound], posed: Iterable[Posed]) -> Point | Blocked:
        """A point within all bounds that also meets linear constraints.

        The values that scores have there are not worked out; the reasons of `Blocked` are literals.
        """
        rows: list[Row] = []
        for bound in bounds:
            cases = self._cases(bound)
            if len(cases) == 1:
                rows += cases[0]
            else:
                self._choices.append(cases)
        self._sums = self._expanded(list(posed))
        linear: dict[Key, Array] = {}
        read = (key[0] for s in self._sums for key in s.terms if key not in self._free)
        for name in dict.fromkeys(read):
            region = self._regions[name]
            if region.linear:
                linear[(name, None)] = region.difference(0, 0)
            else:
                self._choices.append(name)
        self._easy = [row for row in rows if row.bound + row.margin <= 0]
        if self._easy:
            self._directions = np.array([row.direction for row in self._easy])
            self._bounds = np.array([row.bound + row.margin for row in self._easy])
        rows = [row for row in rows if row.bound + row.margin > 0]
        sums, choices = [*range(len(self._sums))], [*range(len(self._choices))]
        found = self._step(rows, linear, sums, choices)
        if isinstance(found, Point):
            return found
        return Blocked(frozenset(x for x in found.reasons if x < _CHOICES), found.proved)

    # --- the cases ----------------------------------------------------------------------

    def _cases(self, bound: Bound) -> list[Case]:
        region = self._regions[bound.name]
        reasons = frozenset({bound.literal} - {0})
        sign = 1.0 if bound.lower else -1.0

        def row(i: int, j: int) -> Row:
            direction = sign * region.difference(i, j)
            return self._row(direction, sign * bound.value, bound.margin, reasons)

        ups, downs = range(len(region.high)), range(len(region.low))
        if bound.lower:
            return [[row(i, j) for j in downs] for i in ups]
        return [[row(i, j) for i in ups] for j in downs]

    def _row(self, direction: Array, bound: float, margin: float, reasons: frozenset[int]) -> Row:
        return Row(direction, np.zeros(len(self._limits)), bound, margin, TOLERANCE, reasons)

    def _pieces(self, name: str, x: Array) -> Iterator[tuple[Case, dict[Key, Array]]]:
        """Where which examples are the nearest, and the value there; those nearest to `x` first."""
        region = self._regions[name]
        ups = np.argsort(-(region.high @ x), kind="stable")
        downs = np.argsort(-(region.low @ x), kind="stable")
        for i, j in product(ups, downs):
            up, down = region.high[i], region.low[j]
            others = [up - other for at, other in enumerate(region.high) if at != i]
            others += [down - other for at, other in enumerate(region.low) if at != j]
            case = [self._row(direction, 0.0, 0.0, frozenset()) for direction in others]
            yield case, {(name, None): up - down}

    # --- sums -----------------------------------------------------------------------------

    def _expanded(self, posed: list[Posed]) -> list[Posed]:
        """Constraints with every score replaced by what it adds up."""
        scores: dict[Key, Posed] = {}
        rest: list[Posed] = []
        for constraint in posed:
            own = [k for k in constraint.terms if self._is_score(k) and k not in scores]
            # Scores are defined in an order in which each follows what it reads.
            if constraint.relation == "==" and own:
                scores[own[0]] = constraint
            else:
                rest.append(constraint)
        return [self._without(scores, c) for c in rest]

    def _is_score(self, key: Key) -> bool:
        return key not in self._free and not (key[1] is None and key[0] in self._regions)

    def _without(self, scores: Mapping[Key, Posed], constraint: Posed) -> Posed:
        terms, bound = dict(constraint.terms), constraint.bound
        literals = set(constraint.literals)
        while (score := next((k for k in terms if self._is_score(k)), None)) is not None:
            definition = scores[score]
            share = terms.pop(score) / definition.terms[score]
            bound -= share * definition.bound
            literals.update(definition.literals)
            for key, coefficient in definition.terms.items():
                if key != score:
                    terms[key] = terms.get(key, Fraction(0)) - share * coefficient
        kept = {k: c for k, c in terms.items() if c}
        return Posed(kept, constraint.relation, bound, tuple(sorted(literals)))

    def _rows_of(self, sums: list[Posed], linear: Mapping[Key, Array]) -> list[Row]:
        """The rows of constraints; two that leave a narrow gap halve it between their margins."""
        made: list[tuple[dict[Key, Fraction], float, frozenset[int], bool]] = []
        for constraint in sums:
            terms, bound = dict(constraint.terms), float(constraint.bound)
            reasons, exact = frozenset(constraint.literals), constraint.relation == "=="
            if exact or constraint.relation in (">", ">="):
                made.append((terms, bound, reasons, exact))
            if exact or constraint.relation in ("<", "<="):
                made.append(({k: -c for k, c in terms.items()}, -bound, reasons, exact))
        ends: dict[frozenset[tuple[Key, Fraction]], float] = {}
        for terms, bound, _, _ in made:
            side = frozenset(terms.items())
            ends[side] = max(ends.get(side, bound), bound)
        rows = []
        for terms, bound, reasons, exact in made:
            direction, free, size = np.zeros(self._sphere.rank), np.zeros(len(self._limits)), 0.0
            for key, coefficient in terms.items():
                if key in self._free:
                    free[self._free[key]] = float(coefficient)
                else:
                    direction = direction + float(coefficient) * linear[key]
                    size += abs(float(coefficient))
            margin = 0.0 if exact else size * TOLERANCE
            opposite = ends.get(frozenset((k, -c) for k, c in terms.items()))
            if opposite is not None:
                margin = min(margin, max(0.0, (-opposite - bound) / 2))
            rows.append(Row(direction, free, bound, margin, max(size, 1e-3) * TOLERANCE, reasons))
        return rows

    # --- the search ---------------------------------------------------------------------

    def _step(
        self, rows: list[Row], linear: dict[Key, Array], sums: list[int], choices: list[int]
    ) -> Point | Blocked:
        """Among the reasons returned a number from `_CHOICES` up stands for a choice."""
        ready = [
            at for at in sums if all(k in self._free or k in linear for k in self._sums[at].terms)
        ]
        rows = [*rows, *self._rows_of([self._sums[at] for at in ready], linear)]
        sums = [at for at in sums if at not in ready]
        self._left -= 1
        found = self._meet(rows)
        if isinstance(found, Blocked):
            return found
        unmet = [at for at in choices if not self._met(self._choices[at], found.x)]
        if not unmet:
            return found
        chosen = min(unmet, key=lambda at: len(self._choices[at]))
        mark = _CHOICES + chosen
        rest = [at for at in choices if at != chosen]
        blame: set[int] = set()
        proved = True
        for case, pieces in self._ordered(self._choices[chosen], found.x):
            if self._left <= 0:
                return Blocked(
                    frozenset(blame).union(*(row.reasons for row in [*rows, *self._easy])), False
                )
            marked = [replace(row, reasons=row.reasons | {mark}) for row in case]
            answer = self._step([*rows, *marked], linear | pieces, sums, rest)
            # What stands in the way whatever is chosen here needs no other case.
            if isinstance(answer, Point) or (mark not in answer.reasons and not pieces):
                return answer
            blame |= answer.reasons
            proved = proved and answer.proved
        return Blocked(frozenset(blame - {mark}), proved)

    def _meet(self, rows: list[Row]) -> Point | Blocked:
        """A point that meets rows and the easy ones, which the origin meets.

        Easy ones are many and seldom stand in the way: first without them.
        """
        found = self._sphere.meet(rows, self._limits)
        if not self._easy or (isinstance(found, Blocked) and found.proved):
            return found
        if isinstance(found, Point) and np.all(self._directions @ found.x >= self._bounds):
            return found
        return self._sphere.meet([*rows, *self._easy], self._limits)

    def _met(self, choice: Choice, x: Array) -> bool:
        """Whether a point already is as some case asks; nearest examples have to be chosen."""
        return not isinstance(choice, str) and any(_gap(case, x) <= 0 for case in choice)

    def _ordered(self, choice: Choice, x: Array) -> Iterator[tuple[Case, dict[Key, Array]]]:
        if isinstance(choice, str):
            yield from self._pieces(choice, x)
        else:
            for case in sorted(choice, key=lambda case: _gap(case, x)):
                yield case, {}


def _gap(case: Case, x: Array) -> float:
    """By how much a point misses the worst of some rows; not positive where it meets all."""
    return max(r.bound + r.margin - float(r.direction @ x) for r in case)
