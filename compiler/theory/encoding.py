"""The propositional core: conditions as clauses over hash-consed atoms.

Every condition gets a literal that is true exactly when the condition holds
(Tseitin, "On the complexity of derivation in propositional calculus", 1968).
Atoms of one variable are tied to each other: thresholds by order encoding
(Tamura et al., "Compiling finite linear CSP into SAT", 2009), members of an
enum by at-most-one, `empty` by the elements of its set. What ties different
variables together (scores, a classifier's scores, texts) is left to the
theories that look at finished assignments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import combinations

from routec.compiler import policy as p
from routec.compiler.expr import (
    And,
    Compare,
    Const,
    Contains,
    Empty,
    Equals,
    Expr,
    Not,
    Or,
    Truth,
    Variable,
    bottom_up,
    walk,
)
from routec.compiler.types import Kind, Scores

Clause = list[int]
Key = tuple[str, str | None]
"""Name and member of a variable: fields and signals share one namespace."""

Cut = tuple[Decimal, int]
"""A place on the number line: ``(c, 0)`` is just below `c`, ``(c, 1)`` just above it."""


def key_of(variable: Variable) -> Key:
    """The variable's key."""
    return (variable.name, variable.member)


@dataclass(slots=True)
class Number:
    """Cuts of one numeric variable, each with the literal "the value lies below it"."""

    variable: Variable
    cuts: dict[Cut, int] = field(default_factory=dict)

    def ordered(self) -> list[tuple[Cut, int]]:
        """Cuts from low to high."""
        return sorted(self.cuts.items())


@dataclass(slots=True)
class Members:
    """Literals of the mentioned members of one enum, string or set variable."""

    variable: Variable
    literals: dict[str, int] = field(default_factory=dict)
    empty: int | None = None


class Encoding:
    """Literals and clauses of the conditions of one policy (or of two, to compare them).

    Attributes:
        clauses: every clause so far; `take` hands out the new ones.
        numbers: numeric variables by key.
        members: enum, string and set variables by key.
        truths: literals of bool variables by key.
    """

    def __init__(self, signals: Mapping[str, p.Signal]) -> None:
        self._signals = signals
        self.clauses: list[Clause] = []
        self._handed = 0
        self._count = 1
        self.true = 1
        self.clauses.append([1])
        self.numbers: dict[Key, Number] = {}
        self.members: dict[Key, Members] = {}
        self.truths: dict[Key, int] = {}
        self._literals: dict[Expr, int] = {}
        self._atoms: list[Expr] = []

    @property
    def size(self) -> int:
        """Number of propositional variables."""
        return self._count

    def fresh(self) -> int:
        """A new propositional variable."""
        self._count += 1
        return self._count

    def add(self, clause: Iterable[int]) -> None:
        """Add a clause."""
        self.clauses.append(list(clause))

    def take(self) -> list[Clause]:
        """The clauses added since the last call."""
        new = self.clauses[self._handed :]
        self._handed = len(self.clauses)
        return new

    # --- declaring what will be asked ---------------------------------------------

    def declare(self, expressions: Iterable[Expr]) -> None:
        """Register the atoms of these conditions, and of all that derived signals read.

        Must be called before `finish`; atoms that are met only later would come too late
        for the clauses that tie the atoms of a variable together.
        """
        waiting = list(expressions)
        seen: set[Expr] = set()
        while waiting:
            for node in walk(waiting.pop()):
                if node in seen:
                    continue
                seen.add(node)
                if isinstance(node, Truth | Compare | Equals | Contains | Empty):
                    self._atoms.append(node)
                    waiting.extend(self._declare_atom(node))

    def _declare_atom(self, atom: Truth | Compare | Equals | Contains | Empty) -> Iterator[Expr]:
        variable = atom.variable
        key = key_of(variable)
        match atom:
            case Truth():
                if key not in self.truths:
                    self.truths[key] = self.fresh()
            case Compare():
                number = self._number(variable)
                for cut in _cuts(atom):
                    number.cuts.setdefault(cut, 0)
            case Equals():
                self._member(variable, atom.value)
            case Contains():
                self._member(variable, atom.value)
            case Empty():
                found = self._members(variable)
                if found.empty is None:
                    found.empty = self.fresh()
        if variable.source == "signal":
            yield from self._declare_signal(self._signals[variable.name])

    def _declare_signal(self, signal: p.Signal) -> Iterator[Expr]:
        definition = signal.definition
        if isinstance(definition, p.Bands):
            label = Variable("signal", signal.name, None, signal.type)
            number = self._number(definition.variable)
            for band in definition.bands:
                self._member(label, band.name)
                if band.bound is not None:
                    number.cuts.setdefault(band_cut(definition, band), 0)
            yield from self._declare_variable(definition.variable)
        elif isinstance(definition, p.Score):
            self._number(Variable("signal", signal.name, None, signal.type))
            for summand in definition.summands:
                if summand.variable is not None:
                    self._number(summand.variable)
                    yield from self._declare_variable(summand.variable)
                elif summand.condition is not None:
                    yield summand.condition
        elif isinstance(definition, p.Classifier):
            label = Variable("signal", signal.name, None, signal.type)
            for name in definition.labels:
                self._member(label, name)
        elif isinstance(definition, p.Entities):
            found = self._members(Variable("signal", signal.name, None, signal.type))
            for kind in definition.kinds:
                self._member(found.variable, kind)

    def _declare_variable(self, variable: Variable) -> Iterator[Expr]:
        if variable.source == "signal":
            yield from self._declare_signal(self._signals[variable.name])

    def _number(self, variable: Variable) -> Number:
        return self.numbers.setdefault(key_of(variable), Number(variable))

    def _members(self, variable: Variable) -> Members:
        return self.members.setdefault(key_of(variable), Members(variable))

    def _member(self, variable: Variable, value: str) -> None:
        literals = self._members(variable).literals
        if value not in literals:
            literals[value] = self.fresh()

    def finish(self) -> None:
        """Add the clauses that tie the atoms of each variable together."""
        self._same = list(self._twins())
        for one, other in self._same:
            cuts = (
                {**self.numbers[one].cuts, **self.numbers[other].cuts}
                if one in self.numbers
                else {}
            )
            for key in (one, other):
                if cuts:
                    self.numbers[key].cuts = dict.fromkeys(cuts, 0)
                if one in self.members:
                    both = (*self.members[one].literals, *self.members[other].literals)
                    for value in both:
                        self._member(self.members[key].variable, value)
        for number in self.numbers.values():
            self._finish_number(number)
        for members in self.members.values():
            self._finish_members(members)
        for members in self.members.values():
            self._finish_bands(members)
        self._finish_entities()
        for one, other in self._same:
            self._equate(one, other)
        # Every atom has its literal from the start, so that no model lacks one.
        for atom in self._atoms:
            self.literal(atom)

    def _finish_number(self, number: Number) -> None:
        kind = number.variable.type
        low: Cut | None = None if kind.low is None else (kind.low, 0)
        high: Cut | None = None if kind.high is None else (kind.high, 1)
        if kind.kind is Kind.INT:
            low = None if kind.low is None else (kind.low - 1, 1)
        previous: int | None = None
        for cut in sorted(number.cuts):
            if low is not None and cut <= low:
                number.cuts[cut] = -self.true
                continue
            if high is not None and cut >= high:
                number.cuts[cut] = self.true
                continue
            literal = self.fresh()
            number.cuts[cut] = literal
            if previous is not None:
                self.add((-previous, literal))
            previous = literal

    def _finish_members(self, members: Members) -> None:
        literals = members.literals
        kind = members.variable.type
        if kind.kind is not Kind.SET:
            for one, other in combinations(literals.values(), 2):
                self.add((-one, -other))
            if kind.members and len(literals) == len(kind.members):
                self.add(literals.values())
            return
        if members.empty is not None:
            for literal in literals.values():
                self.add((-members.empty, -literal))
            if kind.members and len(literals) == len(kind.members):
                self.add((members.empty, *literals.values()))

    def _finish_bands(self, members: Members) -> None:
        variable = members.variable
        if variable.source != "signal":
            return
        definition = self._signals[variable.name].definition
        if not isinstance(definition, p.Bands):
            return
        cuts = self.numbers[key_of(definition.variable)].cuts
        # A band holds what lies below its bound and below no earlier one.
        earlier: list[int] = []
        for band in definition.bands:
            literal = members.literals[band.name]
            below = self.true if band.bound is None else cuts[band_cut(definition, band)]
            self.add((-literal, below))
            for bound in earlier:
                self.add((-literal, -bound))
            self.add((literal, -below, *earlier))
            earlier.append(below)

    def _twins(self) -> Iterator[tuple[Key, Key]]:
        """Variables of signals that measure the same and fail to the same: their values are equal.

        Not those of keywords and regexes: what guards depend on also sees decoded views of the
        text, and the theory of texts knows which of them agree.
        """
        first: dict[tuple[str, p.Definition, object], str] = {}
        for name, signal in self._signals.items():
            if isinstance(signal.definition, p.Score | p.Bands | p.Keyword | p.Regex):
                continue
            failure = signal.on_error
            fails = failure.label if isinstance(failure, Scores) else failure
            other = first.setdefault((signal.kind, signal.definition, fails), name)
            if other == name:
                continue
            for table in (self.numbers, self.members, self.truths):
                for key in list(table):
                    if key[0] == name and (other, key[1]) in table:
                        yield (other, key[1]), key

    def _equate(self, one: Key, other: Key) -> None:
        pairs: list[tuple[int, int]] = []
        if one in self.numbers:
            cuts = self.numbers[other].cuts
            pairs += ((literal, cuts[cut]) for cut, literal in self.numbers[one].cuts.items())
        if one in self.members:
            literals = self.members[other].literals
            pairs += ((x, literals[value]) for value, x in self.members[one].literals.items())
        if one in self.truths:
            pairs.append((self.truths[one], self.truths[other]))
        for x, y in pairs:
            self.add((-x, y))
            self.add((x, -y))

    def _finish_entities(self) -> None:
        """Signals that look for the same kind of entity find it, or not, together."""
        first: dict[str, int] = {}
        for name, signal in self._signals.items():
            if isinstance(signal.definition, p.Entities) and (name, None) in self.members:
                for kind, literal in self.members[(name, None)].literals.items():
                    other = first.setdefault(kind, literal)
                    if other != literal:
                        self.add((-literal, other))
                        self.add((literal, -other))

    # --- asking -------------------------------------------------------------------

    def literal(self, expr: Expr) -> int:
        """The literal of a condition; its atoms must have been declared."""
        for part in bottom_up(expr, self._literals):
            self._literals[part] = self._encode(part)
        return self._literals[expr]

    def _encode(self, expr: Expr) -> int:
        match expr:
            case Const(value=value):
                return self.true if value else -self.true
            case Truth(variable=variable):
                return self.truths[key_of(variable)]
            case Compare():
                return self._compare(expr)
            case Equals(variable=variable, value=value) | Contains(variable=variable, value=value):
                return self.members[key_of(variable)].literals[value]
            case Empty(variable=variable):
                empty = self.members[key_of(variable)].empty
                assert empty is not None
                return empty
            case Not(operand=operand):
                return -self._literals[operand]
            case And(operands=operands):
                return self.conjunction([self._literals[o] for o in operands])
            case Or(operands=operands):
                return -self.conjunction([-self._literals[o] for o in operands])

    def conjunction(self, literals: list[int]) -> int:
        """A literal that is true exactly when all of these are."""
        literals = [x for x in dict.fromkeys(literals) if x != self.true]
        if -self.true in literals or any(-x in literals for x in literals):
            return -self.true
        if not literals:
            return self.true
        if len(literals) == 1:
            return literals[0]
        whole = self.fresh()
        for literal in literals:
            self.add((-whole, literal))
        self.add((whole, *(-x for x in literals)))
        return whole

    def disjunction(self, literals: Iterable[int]) -> int:
        """A literal that is true exactly when one of these is."""
        return -self.conjunction([-x for x in literals])

    def _compare(self, atom: Compare) -> int:
        cuts = self.numbers[key_of(atom.variable)].cuts
        places = _cuts(atom)
        if atom.op in ("<", "<="):
            return cuts[places[0]]
        if atom.op in (">", ">="):
            return -cuts[places[0]]
        if not places:
            return -self.true
        below, above = (cuts[place] for place in places)
        return self.conjunction([above, -below])


def _cuts(atom: Compare) -> tuple[Cut, ...]:
    """The cuts an atom speaks of: one, or for ``==`` those below and above (none if impossible)."""
    value = atom.value
    if atom.variable.type.kind is Kind.INT:
        down = value.to_integral_value(ROUND_FLOOR)
        up = value.to_integral_value(ROUND_CEILING)
        match atom.op:
            case "<" | ">=":
                return ((up - 1, 1),)
            case "<=" | ">":
                return ((down, 1),)
            case _:
                return ((value - 1, 1), (value, 1)) if down == up else ()
    match atom.op:
        case "<" | ">=":
            return ((value, 0),)
        case "<=" | ">":
            return ((value, 1),)
        case _:
            return ((value, 0), (value, 1))


def band_cut(bands: p.Bands, band: p.Band) -> Cut:
    """The cut of a band's bound."""
    assert band.bound is not None
    if bands.variable.type.kind is Kind.INT:
        if band.inclusive:
            return (band.bound.to_integral_value(ROUND_FLOOR), 1)
        return (band.bound.to_integral_value(ROUND_CEILING) - 1, 1)
    return (band.bound, int(band.inclusive))
