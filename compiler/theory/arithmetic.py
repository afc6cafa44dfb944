"""What ties numbers of different variables together, as linear constraints of an assignment.

Two kinds of signals do: a `score` is a sum of others, and a classifier's label is the
one with the greatest of its scores, which add up to 1 where its labels exclude each
other. Each group of variables that are tied together is one problem, solved apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from routec.compiler import policy as p
from routec.compiler.expr import Expr
from routec.compiler.theory.encoding import Encoding, Key, key_of
from routec.compiler.theory.linear import (
    Constraint,
    Exhausted,
    Feasible,
    Infeasible,
    Relation,
    solve,
)
from routec.compiler.types import SHARE, Kind, Type

Assigned = Callable[[int], bool]
"""Whether a literal is true in the assignment."""

ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Group:
    """Variables that are tied together.

    Attributes:
        keys: the variables, in a fixed order.
        scores: scores among them.
        classifiers: classifiers among them.
    """

    keys: tuple[Key, ...]
    scores: tuple[str, ...]
    classifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Posed:
    """``sum(coefficient * number) relation bound`` because some literals are true."""

    terms: Mapping[Key, Fraction]
    relation: Relation
    bound: Fraction
    literals: tuple[int, ...]


class Arithmetic:
    """The linear theory of the signals of an encoding."""

    def __init__(self, encoding: Encoding, signals: Mapping[str, p.Signal]) -> None:
        self._encoding = encoding
        self._signals = signals
        self._conditions: dict[Expr, int] = {}
        self._answers: dict[object, Feasible | Infeasible | Exhausted] = {}
        self._read: dict[tuple[Key, ...], tuple[int, ...]] = {}
        self.groups = self._groups()
        self._clauses_of_conditions()

    def _groups(self) -> tuple[Group, ...]:
        encoding = self._encoding
        parent: dict[Key, Key] = {}

        def root(key: Key) -> Key:
            parent.setdefault(key, key)
            while parent[key] != key:
                key = parent[key]
            return key

        def tie(keys: Iterable[Key]) -> None:
            first: Key | None = None
            for key in keys:
                if first is None:
                    first = root(key)
                else:
                    parent[root(key)] = first

        scores: dict[Key, str] = {}
        classifiers: dict[Key, str] = {}
        for name, signal in self._signals.items():
            definition = signal.definition
            if isinstance(definition, p.Score) and (name, None) in encoding.numbers:
                read = [key_of(s.variable) for s in definition.summands if s.variable is not None]
                tie([(name, None), *read])
                scores[(name, None)] = name
            elif isinstance(definition, p.Classifier):
                members = [(name, label) for label in definition.labels]
                if any(key in encoding.numbers for key in members):
                    tie(members)
                    classifiers[members[0]] = name
        together: dict[Key, list[Key]] = {}
        for key in parent:
            together.setdefault(root(key), []).append(key)
        return tuple(
            Group(
                tuple(sorted(keys, key=str)),
                tuple(n for k, n in scores.items() if k in keys),
                tuple(n for k, n in classifiers.items() if k in keys),
            )
            for keys in together.values()
        )

    def _clauses_of_conditions(self) -> None:
        for group in self.groups:
            for name in group.scores:
                score = self._signals[name].definition
                assert isinstance(score, p.Score)
                for summand in score.summands:
                    if summand.condition is not None:
                        literal = self._encoding.literal(summand.condition)
                        self._conditions[summand.condition] = literal

    def check(self, group: Group, true: Assigned) -> Feasible | Infeasible | Exhausted:
        """Whether the numbers of a group can be as an assignment says.

        The reasons of a conflict are the literals that cannot all be true. Equal questions
        about a group are answered once.
        """
        key = (group.keys, tuple(true(literal) for literal in self.literals(group)))
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = self._check(group, true)
        return answer

    def literals(self, group: Group) -> tuple[int, ...]:
        """All that a group's answer depends on."""
        found = self._read.get(group.keys)
        if found is None:
            encoding = self._encoding
            literals: list[int] = []
            for key in group.keys:
                if key in encoding.numbers:
                    literals += encoding.numbers[key].cuts.values()
            for name in group.classifiers:
                literals += encoding.members[(name, None)].literals.values()
            for name in group.scores:
                score = self._signals[name].definition
                assert isinstance(score, p.Score)
                literals += (self._conditions[s.condition] for s in score.summands if s.condition)
            found = self._read[group.keys] = tuple(literals)
        return found

    def posed(self, group: Group, true: Assigned) -> list[Posed]:
        """The constraints of a group in an assignment."""
        problem = self._pose(group, true)
        return [
            Posed(
                {group.keys[at]: coefficient for at, coefficient in constraint.terms},
                constraint.relation,
                constraint.bound,
                problem.reasons[constraint.reason],
            )
            for constraint in problem.constraints
        ]

    def settle(
        self, group: Group, true: Assigned, known: Mapping[Key, Fraction]
    ) -> Feasible | Infeasible | Exhausted:
        """The same as `check` with the values of some numbers given."""
        problem = self._pose(group, true)
        for key, value in known.items():
            if key in problem.number:
                problem.add({problem.number[key]: ONE}, "==", value)
        return self._solve(group, problem)

    def _check(self, group: Group, true: Assigned) -> Feasible | Infeasible | Exhausted:
        return self._solve(group, self._pose(group, true))

    def _pose(self, group: Group, true: Assigned) -> _Problem:
        problem = _Problem({key: at for at, key in enumerate(group.keys)})
        for key in group.keys:
            self._bounds(problem, key, true)
        for name in group.scores:
            self._score(problem, name, true)
        for name in group.classifiers:
            self._classifier(problem, name, true)
        return problem

    def _solve(self, group: Group, problem: _Problem) -> Feasible | Infeasible | Exhausted:
        integers = (problem.number[k] for k in group.keys if self._type(k).kind is Kind.INT)
        answer = solve(problem.constraints, frozenset(integers))
        if isinstance(answer, Infeasible):
            blamed = (problem.reasons[reason] for reason in answer.reasons)
            return Infeasible(frozenset(literal for literals in blamed for literal in literals))
        return answer

    def _bounds(self, problem: _Problem, key: Key, true: Assigned) -> None:
        """Bounds of one variable: of its type, and the tightest cuts of the assignment."""
        kind = self._type(key)
        terms = {problem.number[key]: ONE}
        if kind.low is not None:
            problem.add(terms, ">=", Fraction(kind.low))
        if kind.high is not None:
            problem.add(terms, "<=", Fraction(kind.high))
        number = self._encoding.numbers.get(key)
        if number is None:
            return
        integral = kind.kind is Kind.INT
        lower: tuple[Relation, Fraction, int] | None = None
        for (value, above), literal in number.ordered():
            if abs(literal) == self._encoding.true:
                continue
            bound = Fraction(value)
            if true(literal):
                problem.add(terms, "<=" if above else "<", bound, literal)
                break
            if integral:
                lower = (">=", bound + 1, -literal)
            else:
                lower = (">" if above else ">=", bound, -literal)
        if lower is not None:
            problem.add(terms, *lower)

    def _score(self, problem: _Problem, name: str, true: Assigned) -> None:
        score = self._signals[name].definition
        assert isinstance(score, p.Score)
        fixed = Fraction(score.constant)
        terms = {problem.number[(name, None)]: ONE}
        reasons = []
        for summand in score.summands:
            coefficient = Fraction(summand.coefficient)
            if summand.variable is not None:
                at = problem.number[key_of(summand.variable)]
                terms[at] = terms.get(at, Fraction(0)) - coefficient
                continue
            assert summand.condition is not None
            literal = self._conditions[summand.condition]
            holds = true(literal)
            reasons.append(literal if holds else -literal)
            if holds:
                fixed += coefficient
        problem.add(terms, "==", fixed, *reasons)

    def _classifier(self, problem: _Problem, name: str, true: Assigned) -> None:
        definition = self._signals[name].definition
        assert isinstance(definition, p.Classifier)
        labels = definition.labels
        numbers = [problem.number[(name, label)] for label in labels]
        if definition.exclusive:
            problem.add(dict.fromkeys(numbers, ONE), "==", ONE)
        literals = self._encoding.members[(name, None)].literals
        best = next(at for at, label in enumerate(labels) if true(literals[label]))
        for at in range(len(labels)):
            if at != best:
                # Of equal scores the label declared first wins.
                relation: Relation = ">" if at < best else ">="
                terms = {numbers[best]: ONE, numbers[at]: -ONE}
                problem.add(terms, relation, Fraction(0), literals[labels[best]])

    def _type(self, key: Key) -> Type:
        number = self._encoding.numbers.get(key)
        return SHARE if number is None else number.variable.type


class _Problem:
    """Constraints of one group, and the literals behind each; reason 0 is the type system."""

    def __init__(self, number: Mapping[Key, int]) -> None:
        self.number = number
        self.constraints: list[Constraint] = []
        self.reasons: list[tuple[int, ...]] = [()]

    def add(
        self, terms: Mapping[int, Fraction], relation: Relation, bound: Fraction, *literals: int
    ) -> None:
        """Add a constraint that holds because these literals are true."""
        self.constraints.append(
            Constraint(tuple(terms.items()), relation, bound, len(self.reasons))
        )
        self.reasons.append(literals)
