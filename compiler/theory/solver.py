"""Satisfiability of conditions: a SAT solver with the theories looking over its shoulder.

A query asks whether some literals can be true together. The SAT solver proposes an
assignment, each theory looks at it, and what it refuses comes back as a clause
("lazy" combination, as in DPLL(T)). The effort is counted in the solver's
conflicts and the theories' refusals, never by the clock, so that equal policies
always get equal answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from pysat.solvers import Solver

from routec.compiler import policy as p
from routec.compiler.expr import Expr
from routec.compiler.theory.arithmetic import Arithmetic
from routec.compiler.theory.encoding import Encoding, Key
from routec.compiler.theory.linear import Exhausted, Infeasible
from routec.compiler.theory.samples import Samples

Messages = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much effort an analysis may take.

    Attributes:
        query: conflicts of the SAT solver in one query.
        total: conflicts over all queries; once they are spent a query gets `last`.
        last: conflicts of a query after that.
        refusals: assignments that theories may refuse in one query.
    """

    query: int = 20_000
    total: int = 100_000
    last: int = 200
    refusals: int = 2_000

    def times(self, factor: int) -> Budget:
        """The budget raised by a factor."""
        return Budget(
            self.query * factor, self.total * factor, self.last * factor, self.refusals * factor
        )


class Model:
    """A possible request: an assignment that every theory agrees to.

    Attributes:
        numbers: values of the numbers that are tied to others.
        messages: a text that makes the text signals as they are; ``None`` where none is asked for.
    """

    __slots__ = ("_signs", "messages", "numbers")

    def __init__(
        self, signs: bytes, numbers: Mapping[Key, Fraction], messages: Messages | None
    ) -> None:
        self._signs = signs
        self.numbers = numbers
        self.messages = messages

    def holds(self, literal: int) -> bool:
        """Whether a literal of an atom is true."""
        return (self._signs[abs(literal)] > 0) is (literal > 0)


@dataclass(frozen=True, slots=True)
class Sat:
    """The literals can be true together."""

    model: Model


@dataclass(frozen=True, slots=True)
class Unsat:
    """They cannot; `core` are assumptions that already contradict each other."""

    core: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """The budget did not suffice, or a theory could not tell."""

    reason: str


Answer = Sat | Unsat | Unknown


@dataclass(frozen=True, slots=True)
class Agreed:
    """A theory agrees to an assignment, with the numbers and the text that it chose."""

    messages: Messages | None = None
    numbers: Mapping[Key, Fraction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """A theory refuses; the clause says what must change."""

    clause: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A theory cannot tell; the clause keeps the assignment from being proposed again."""

    clause: tuple[int, ...]
    reason: str


class Side(Protocol):
    """A theory that looks at finished assignments."""

    def clauses(self) -> list[list[int]]:
        """What it knows beforehand."""
        ...

    def look(self, holds: Model) -> Agreed | Refused | Doubtful:
        """What it says of an assignment."""
        ...


class Theory:
    """Decides questions about the conditions of some policies.

    Attributes:
        encoding: literals of conditions.
        samples: every model found so far, for answering later questions without the solver.
        spent: conflicts so far.
    """

    def __init__(
        self,
        signals: Mapping[str, p.Signal],
        conditions: Sequence[Expr],
        sides: Sequence[Side] = (),
        budget: Budget | None = None,
    ) -> None:
        self.budget = budget or Budget()
        self.encoding = Encoding(signals)
        self.encoding.declare(conditions)
        self.encoding.finish()
        self._arithmetic = Arithmetic(self.encoding, signals)
        # Variables of atoms come first; those of joined conditions follow from them.
        self._atoms = self.encoding.size
        self._sides: tuple[Side, ...] = ()
        self._solver = Solver(name="glucose4")
        self._preferred: list[int] = []
        self.samples = Samples(self.encoding)
        self.spent = 0
        self.queries = 0
        self._undecided: dict[tuple[int, ...], Answer] = {}
        self.watch(sides)

    def watch(self, sides: Sequence[Side]) -> None:
        """Let further theories look at every assignment from now on."""
        self._sides = (*self._sides, *sides)
        for side in sides:
            for clause in side.clauses():
                self.encoding.add(clause)

    def prefer(self, literals: Sequence[int]) -> None:
        """Propose these literals true where nothing speaks against it."""
        self._preferred += [x for x in literals if abs(x) != self.encoding.true]

    def literal(self, expr: Expr) -> int:
        """The literal of a condition."""
        return self.encoding.literal(expr)

    def solve(self, *assumptions: int) -> Answer:
        """Whether these literals can be true together."""
        found = self._undecided.get(assumptions)
        if found is None:
            found = self._solve(assumptions)
            if isinstance(found, Unknown):
                # Asking again would cost as much and say the same.
                self._undecided[assumptions] = found
        return found

    def _solve(self, assumptions: tuple[int, ...]) -> Answer:
        self.queries += 1
        doubts: list[str] = []
        for _ in range(self.budget.refusals):
            self._feed()
            left = self.budget.total - self.spent
            allowed = self.budget.query if left > 0 else self.budget.last
            before = self._solver.accum_stats()["conflicts"]
            self._solver.conf_budget(allowed)
            if self._preferred:  # the solver itself remembers the latest signs instead
                self._solver.set_phases(self._preferred)
            found = self._solver.solve_limited(assumptions=list(assumptions))
            self.spent += self._solver.accum_stats()["conflicts"] - before
            if found is None:
                return Unknown(f"the question took more than {allowed} conflicts")
            if not found:
                if doubts:
                    return Unknown(doubts[0])
                return Unsat(tuple(self._solver.get_core() or ()))
            signs = bytes([0, *(x > 0 for x in self._solver.get_model()[: self._atoms])])
            verdict = self._look(Model(signs.ljust(self._atoms + 1, b"\0"), {}, None))
            if isinstance(verdict, Model):
                self.samples.add(verdict)
                return Sat(verdict)
            if isinstance(verdict, Doubtful):
                doubts.append(verdict.reason)
                # Only this question may not see the assignment again.
                guard = self.encoding.fresh()
                self.encoding.add((-guard, *verdict.clause))
                assumptions = (*assumptions, guard)
            else:
                self.encoding.add(verdict.clause)
        return Unknown(f"the theories refused {self.budget.refusals} assignments")

    def _feed(self) -> None:
        new = self.encoding.take()
        if new:
            self._solver.append_formula(new)

    def _look(self, model: Model) -> Model | Refused | Doubtful:
        numbers: dict[Key, Fraction] = {}
        for group in self._arithmetic.groups:
            answer = self._arithmetic.check(group, model.holds)
            if isinstance(answer, Infeasible):
                return Refused(tuple(-x for x in sorted(answer.reasons)))
            if isinstance(answer, Exhausted):
                return Doubtful(self._whole(model), "the arithmetic took too many steps")
            numbers.update(
                {key: answer.values.get(at, Fraction(0)) for at, key in enumerate(group.keys)}
            )
        messages: Messages | None = None
        for side in self._sides:
            said = side.look(model)
            if not isinstance(said, Agreed):
                return said
            messages = said.messages if said.messages is not None else messages
            numbers.update(said.numbers)
        return Model(model._signs, numbers, messages)

    def _whole(self, model: Model) -> tuple[int, ...]:
        """A clause against exactly this assignment of the atoms."""
        atoms = [*self.encoding.truths.values()]
        for members in self.encoding.members.values():
            atoms += members.literals.values()
        for number in self.encoding.numbers.values():
            atoms += number.cuts.values()
        return tuple(-x if model.holds(x) else x for x in atoms if abs(x) != self.encoding.true)
