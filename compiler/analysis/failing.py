"""What conditions become while a signal fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from routec.compiler import policy as p
from routec.compiler.analysis.folding import conjunction, disjunction, negation
from routec.compiler.dependencies import inputs
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
    Table,
    Truth,
    Variable,
)
from routec.compiler.interpreter import evaluate, read
from routec.compiler.types import FLOAT, Value


@dataclass(frozen=True, slots=True)
class Failure:
    """The signals that are different while one of them takes its failure value.

    A score that reads the failed signal among others is a score of the others then: its
    twin, a signal of its own that can be compared with the one that did not fail.

    Attributes:
        fixed: signals that are constant then, with their values.
        twins: twins of derived signals that still vary, by the name of the original.
    """

    fixed: Mapping[str, Value]
    twins: Mapping[str, p.Signal]

    def signals(self) -> dict[str, p.Signal]:
        """The twins by their own names."""
        return {twin.name: twin for twin in self.twins.values()}


@dataclass(slots=True)
class _Making:
    """A failure as far as it is worked out, and conditions already rewritten."""

    table: Table
    fixed: dict[str, Value] = field(default_factory=dict)
    twins: dict[str, p.Signal] = field(default_factory=dict)
    done: dict[Expr, Expr] = field(default_factory=dict)

    def varies(self, variable: Variable) -> bool:
        return variable.source == "signal" and (
            variable.name in self.fixed or variable.name in self.twins
        )

    def twin(self, variable: Variable) -> Variable:
        twin = self.twins[variable.name]
        return replace(variable, name=twin.name, type=twin.type)

    def rewrite(self, expr: Expr) -> Expr:
        found = self.done.get(expr)
        if found is None:
            found = self.done[expr] = self._rewrite(expr)
        return found

    def _rewrite(self, expr: Expr) -> Expr:
        table = self.table
        match expr:
            case Const():
                return expr
            case Not(operand=operand):
                return negation(table, self.rewrite(operand))
            case And(operands=operands):
                return conjunction(table, [self.rewrite(o) for o in operands])
            case Or(operands=operands):
                return disjunction(table, [self.rewrite(o) for o in operands])
        variable = expr.variable
        if not self.varies(variable):
            return expr
        if variable.name in self.fixed:
            return table.const(evaluate(expr, self.fixed))
        twin = self.twin(variable)
        match expr:
            case Truth():
                return table.truth(twin)
            case Compare(op=op, value=value):
                return table.compare(twin, op, value)
            case Equals(value=text):
                return table.equals(twin, text)
            case Contains(value=text):
                return table.contains(twin, text)
            case Empty():
                return table.empty(twin)

    def derive(self, signal: p.Signal, name: str) -> None:
        """Add a derived signal that reads what is different: a constant, or a twin."""
        definition = signal.definition
        if isinstance(definition, p.Score):
            score = self._score(definition)
            if score.summands:
                # Its bounds follow from what it adds up; the arithmetic knows them.
                self.twins[signal.name] = replace(signal, name=name, type=FLOAT, definition=score)
            else:
                self.fixed[signal.name] = round(float(score.constant), 12)
        elif isinstance(definition, p.Bands):
            if definition.variable.name in self.fixed:
                self.fixed[signal.name] = _band(definition, read(definition.variable, self.fixed))
            else:
                twin = p.Bands(self.twin(definition.variable), definition.bands)
                self.twins[signal.name] = replace(signal, name=name, definition=twin)

    def _score(self, score: p.Score) -> p.Score:
        constant = score.constant
        summands: list[p.Summand] = []
        for summand in score.summands:
            variable, condition = summand.variable, summand.condition
            if variable is not None and variable.name in self.fixed:
                value = read(variable, self.fixed)
                constant += summand.coefficient * Decimal(repr(value))
                continue
            if variable is not None and self.varies(variable):
                variable = self.twin(variable)
            if condition is not None:
                condition = self.rewrite(condition)
                if isinstance(condition, Const):
                    constant += summand.coefficient if condition.value else 0
                    continue
            summands.append(p.Summand(summand.coefficient, variable, condition))
        return p.Score(constant, tuple(summands))


def _band(bands: p.Bands, value: object) -> str:
    assert isinstance(value, int | float)
    for band in bands.bands:
        if band.bound is None or value < float(band.bound):
            return band.name
        if band.inclusive and value == float(band.bound):
            return band.name
    raise AssertionError("the last band has no bound")


def failure(table: Table, signals: Mapping[str, p.Signal], name: str) -> Failure:
    """What is different while a signal fails.

    Args:
        table: makes the conditions of twins.
        signals: all signals, in an order in which derived ones follow what they read.
        name: the one that fails; it has a failure value.
    """
    on_error = signals[name].on_error
    assert on_error is not None
    making = _Making(table, fixed={name: on_error})
    for other, signal in signals.items():
        if other != name and any(making.varies(v) for v in inputs(signal)):
            # A space keeps the twin's name apart from all that can be declared.
            making.derive(signal, f"{other} without {name}")
    return Failure(making.fixed, making.twins)


def substitute(table: Table, expr: Expr, failed: Failure) -> Expr:
    """What a condition becomes: constant signals folded away, others replaced by their twins."""
    return _Making(table, dict(failed.fixed), dict(failed.twins)).rewrite(expr)
