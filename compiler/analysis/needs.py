"""Which signals a request needs: its decision stays open for as long as one of them is.

Conditions are open in the sense of Kleene's three-valued logic ("Introduction to
Metamathematics", 1952, section 64): with some signals unknown, a condition is known to hold, or
known not to, or neither. What is needed of a request is needed under every order of evaluation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from routec.compiler import policy as p
from routec.compiler.analysis.folding import conjunction, disjunction, negation
from routec.compiler.dependencies import readers
from routec.compiler.expr import And, Const, Expr, Not, Or, Table

SCAN = Decimal("0.00001")
LIGHT = Decimal("0.0001")
EMBED = Decimal("0.005")
MODEL = Decimal("0.008")
REMOTE = Decimal("0.05")
"""What a call costs, in seconds, where nothing is measured: one pass over the text for all of stage
scan, one signal of stage light, one batch of embeddings, a classifier, a service."""

COSTLY = (p.Stage.EMBED, p.Stage.MODEL, p.Stage.REMOTE)
"""Stages that are worth sparing."""


@dataclass(frozen=True, slots=True)
class Call:
    """Signals that are answered together.

    Attributes:
        stage: their cost class; never derived.
        signals: in the order of the policy.
        cost: seconds.
    """

    stage: p.Stage
    signals: tuple[p.Signal, ...]
    cost: Decimal


def calls(signals: Iterable[p.Signal]) -> tuple[Call, ...]:
    """Signals grouped by the call that answers them, in the order of the first of each."""
    groups: dict[tuple[str, ...], list[p.Signal]] = {}
    for signal in signals:
        definition = signal.definition
        key: tuple[str, ...] = (signal.stage,)
        if isinstance(definition, p.Classifier):
            key = (signal.stage, definition.backend)
        elif isinstance(definition, p.External):
            key = (signal.stage, definition.service)
        elif signal.stage is p.Stage.LIGHT:
            key = (signal.stage, signal.name)
        if signal.stage is not p.Stage.DERIVED:
            groups.setdefault(key, []).append(signal)
    return tuple(Call(g[0].stage, tuple(g), max(map(_cost, g))) for g in groups.values())


def _cost(signal: p.Signal) -> Decimal:
    definition = signal.definition
    if isinstance(definition, p.External):
        return REMOTE if definition.timeout is None else definition.timeout
    if isinstance(definition, p.Classifier):
        return MODEL if definition.timeout is None else min(MODEL, definition.timeout)
    return {p.Stage.SCAN: SCAN, p.Stage.LIGHT: LIGHT, p.Stage.EMBED: EMBED}[signal.stage]


Known = tuple[Expr, Expr]
"""When a condition is known to hold, and when it is known not to."""


@dataclass(slots=True)
class _Knowing:
    """What is known of conditions while some signals are not."""

    table: Table
    unknown: Collection[str]
    found: dict[Expr, Known] = field(default_factory=dict)

    def of(self, expr: Expr) -> Known:
        known = self.found.get(expr)
        if known is None:
            known = self.found[expr] = self._of(expr)
        return known

    def _of(self, expr: Expr) -> Known:
        table = self.table
        match expr:
            case Const():
                return expr, negation(table, expr)
            case Not(operand=operand):
                holds, fails = self.of(operand)
                return fails, holds
            case And(operands=operands):
                parts = [self.of(o) for o in operands]
                holds = conjunction(table, [t for t, _ in parts])
                return holds, disjunction(table, [f for _, f in parts])
            case Or(operands=operands):
                parts = [self.of(o) for o in operands]
                holds = disjunction(table, [t for t, _ in parts])
                return holds, conjunction(table, [f for _, f in parts])
        if expr.variable.source == "signal" and expr.variable.name in self.unknown:
            return table.const(False), table.const(False)
        return expr, table.not_(expr)

    def first(self, conditions: Iterable[tuple[Expr, Expr]], otherwise: Expr) -> Expr:
        """When it is known which condition is the first to hold, and what follows is settled.

        Each comes with when the rest is settled if it is the first; `otherwise` is that for none.
        """
        settled = otherwise
        for condition, then in reversed(list(conditions)):
            holds, fails = self.of(condition)
            settled = self.either(holds, then, fails, settled)
        return settled

    def either(self, holds: Expr, then: Expr, fails: Expr, rest: Expr) -> Expr:
        """When it is known whether something holds, and what follows of it is settled."""
        table = self.table
        return disjunction(
            table, [conjunction(table, [holds, then]), conjunction(table, [fails, rest])]
        )


def settled(table: Table, policy: p.Policy, call: Call) -> Expr:
    """When a request's decision is known though nothing is known of the signals of a call.

    The decision is what guards, categories and routes say of it. A redaction needs its
    signal wherever its guard acts.
    """
    names = {signal.name for signal in call.signals}
    knowing = _Knowing(table, readers(policy.signals, names))
    true = table.const(True)
    chosen = knowing.first([(c.when.expr, true) for c in policy.categories], true)
    routes = [(r.when.expr, chosen if r.cache is None else true) for r in policy.routes]
    whole = knowing.first(routes, true)
    for guard in reversed(policy.guards):
        holds, fails = knowing.of(guard.when.expr)
        after = whole if guard.reject is None else true
        if names & set(guard.redact):
            after = table.const(False)
        whole = knowing.either(holds, after, fails, whole)
    return whole
