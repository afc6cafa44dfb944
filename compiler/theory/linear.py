"""Linear arithmetic over the rationals, exact.

Feasibility of conjunctions of linear constraints, strict ones included, by the
general simplex method of Dutertre and de Moura ("A Fast Linear-Arithmetic
Solver for DPLL(T)", CAV 2006): a tableau of slack variables, Bland's rule for
termination, strict bounds by an infinitesimal. Integers by branching.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Literal

Relation = Literal["<=", "<", ">=", ">", "=="]

_ZERO = Fraction(0)
_BRANCHES = 200


@dataclass(frozen=True, slots=True)
class Constraint:
    """``sum(coefficient * variable) relation bound``.

    Attributes:
        terms: variables and their coefficients; each variable once.
        relation: how the sum stands to the bound.
        bound: the constant.
        reason: whatever the caller needs to know the constraint again in a conflict.
    """

    terms: tuple[tuple[int, Fraction], ...]
    relation: Relation
    bound: Fraction
    reason: int


@dataclass(frozen=True, slots=True)
class Feasible:
    """A solution: the value of every variable that occurs."""

    values: Mapping[int, Fraction]


@dataclass(frozen=True, slots=True)
class Infeasible:
    """Reasons of constraints that cannot hold together; minimal up to the simplex's choice."""

    reasons: frozenset[int]


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Branching on integers took too many steps."""


Answer = Feasible | Infeasible | Exhausted


@dataclass(frozen=True, slots=True, order=True)
class _Value:
    """A rational plus a multiple of an infinitesimal."""

    real: Fraction
    small: Fraction = _ZERO

    def plus(self, other: _Value, factor: Fraction) -> _Value:
        return _Value(self.real + factor * other.real, self.small + factor * other.small)

    def less(self, other: _Value) -> _Value:
        return _Value(self.real - other.real, self.small - other.small)

    def over(self, divisor: Fraction) -> _Value:
        return _Value(self.real / divisor, self.small / divisor)


_Bound = tuple[_Value, int]


def solve(constraints: Sequence[Constraint], integers: frozenset[int] = frozenset()) -> Answer:
    """Whether the constraints can hold together, with whole numbers for `integers`."""
    answer = _Simplex(constraints).solve()
    if not integers or not isinstance(answer, Feasible):
        return answer
    return _branch(list(constraints), integers, answer, [_BRANCHES])


def _branch(
    constraints: list[Constraint], integers: frozenset[int], found: Feasible, left: list[int]
) -> Answer:
    broken = next(
        (v for v in sorted(integers) if found.values.get(v, _ZERO).denominator != 1), None
    )
    if broken is None:
        return found
    below = Fraction(floor(found.values[broken]))
    reasons: set[int] = set()
    sides: tuple[tuple[Relation, Fraction], ...] = (("<=", below), (">=", below + 1))
    for relation, bound in sides:
        left[0] -= 1
        if left[0] < 0:
            return Exhausted()
        extra = Constraint(((broken, Fraction(1)),), relation, bound, 0)
        answer = _Simplex([*constraints, extra]).solve()
        if isinstance(answer, Feasible):
            answer = _branch([*constraints, extra], integers, answer, left)
        if not isinstance(answer, Infeasible):
            return answer
        reasons |= answer.reasons
    return Infeasible(frozenset(reasons))


class _Simplex:
    def __init__(self, constraints: Iterable[Constraint]) -> None:
        self.rows: dict[int, dict[int, Fraction]] = {}
        self.value: dict[int, _Value] = {}
        self.lower: dict[int, _Bound] = {}
        self.upper: dict[int, _Bound] = {}
        self.originals: set[int] = set()
        self.conflict: frozenset[int] | None = None
        slack = -1
        known: dict[tuple[tuple[int, Fraction], ...], int] = {}
        for constraint in constraints:
            terms = tuple(sorted((v, c) for v, c in constraint.terms if c))
            for variable, _ in terms:
                self.originals.add(variable)
                self.value.setdefault(variable, _Value(_ZERO))
            if not terms:
                if not _holds(_ZERO, constraint.relation, constraint.bound):
                    self.conflict = frozenset({constraint.reason})
                continue
            if len(terms) == 1:
                subject, factor = terms[0]
            elif terms in known:
                subject, factor = known[terms], Fraction(1)
            else:
                subject, factor = slack, Fraction(1)
                known[terms] = slack
                self.rows[slack] = dict(terms)
                self.value[slack] = _Value(_ZERO)
                slack -= 1
            self._bound(subject, constraint, factor)

    def _bound(self, subject: int, constraint: Constraint, factor: Fraction) -> None:
        relation, bound = constraint.relation, constraint.bound / factor
        if factor < 0:
            flipped: dict[Relation, Relation] = {
                "<=": ">=", "<": ">", ">=": "<=", ">": "<", "==": "==",
            }  # fmt: skip
            relation = flipped[relation]
        if relation in ("<=", "<", "=="):
            value = _Value(bound, Fraction(-1) if relation == "<" else _ZERO)
            if subject not in self.upper or value < self.upper[subject][0]:
                self.upper[subject] = (value, constraint.reason)
        if relation in (">=", ">", "=="):
            value = _Value(bound, Fraction(1) if relation == ">" else _ZERO)
            if subject not in self.lower or value > self.lower[subject][0]:
                self.lower[subject] = (value, constraint.reason)
        if subject in self.lower and subject in self.upper:
            low, high = self.lower[subject], self.upper[subject]
            if low[0] > high[0]:
                self.conflict = frozenset({low[1], high[1]})

    def solve(self) -> Answer:
        if self.conflict is not None:
            return Infeasible(self.conflict - {0})
        for variable in list(self.value):
            if variable not in self.rows:
                self._settle(variable)
        while True:
            basic = self._violated()
            if basic is None:
                return Feasible(self._concrete())
            row = self.rows[basic]
            low = basic in self.lower and self.value[basic] < self.lower[basic][0]
            target = self.lower[basic] if low else self.upper[basic]
            for other in sorted(row):
                rising = (row[other] > 0) == low
                if self._can_move(other, rising):
                    self._pivot(basic, other, target[0])
                    break
            else:
                reasons = {target[1]}
                for other, factor in row.items():
                    rising = (factor > 0) == low
                    reasons.add((self.upper if rising else self.lower)[other][1])
                return Infeasible(frozenset(reasons) - {0})

    def _settle(self, variable: int) -> None:
        """Bring a non-basic variable within its bounds."""
        value = self.value[variable]
        if variable in self.lower and value < self.lower[variable][0]:
            self._move(variable, self.lower[variable][0])
        elif variable in self.upper and value > self.upper[variable][0]:
            self._move(variable, self.upper[variable][0])

    def _move(self, variable: int, value: _Value) -> None:
        change = value.less(self.value[variable])
        self.value[variable] = value
        for basic, row in self.rows.items():
            factor = row.get(variable)
            if factor:
                self.value[basic] = self.value[basic].plus(change, factor)

    def _violated(self) -> int | None:
        for basic in sorted(self.rows):
            value = self.value[basic]
            if basic in self.lower and value < self.lower[basic][0]:
                return basic
            if basic in self.upper and value > self.upper[basic][0]:
                return basic
        return None

    def _can_move(self, variable: int, rising: bool) -> bool:
        bounds = self.upper if rising else self.lower
        if variable not in bounds:
            return True
        value = self.value[variable]
        return value < bounds[variable][0] if rising else value > bounds[variable][0]

    def _pivot(self, basic: int, other: int, target: _Value) -> None:
        """Exchange the two and give the leaving one its bound's value."""
        row = self.rows.pop(basic)
        factor = row.pop(other)
        change = target.less(self.value[basic]).over(factor)
        self.value[basic] = target
        self.value[other] = self.value[other].plus(change, Fraction(1))
        new = {variable: -coefficient / factor for variable, coefficient in row.items()}
        new[basic] = 1 / factor
        for name, line in self.rows.items():
            share = line.pop(other, None)
            if share is None:
                continue
            self.value[name] = self.value[name].plus(change, share)
            for variable, coefficient in new.items():
                total = line.get(variable, _ZERO) + share * coefficient
                if total:
                    line[variable] = total
                else:
                    line.pop(variable, None)
        self.rows[other] = new

    def _concrete(self) -> dict[int, Fraction]:
        """Values with the infinitesimal made a number small enough for every strict bound."""
        size = Fraction(1)
        for variable, value in self.value.items():
            for bounds, sign in ((self.lower, 1), (self.upper, -1)):
                if variable not in bounds:
                    continue
                bound = bounds[variable][0]
                gap = sign * (value.real - bound.real)
                pull = sign * (bound.small - value.small)
                if pull > 0 and gap > 0:
                    size = min(size, gap / pull)
        return {
            variable: value.real + size * value.small
            for variable, value in self.value.items()
            if variable in self.originals
        }


def _holds(left: Fraction, relation: str, right: Fraction) -> bool:
    match relation:
        case "<=":
            return left <= right
        case "<":
            return left < right
        case ">=":
            return left >= right
        case ">":
            return left > right
        case _:
            return left == right
