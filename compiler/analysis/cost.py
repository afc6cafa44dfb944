"""What requests cost: calls that all of them pay for, and the dearest request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis
from routec.compiler.analysis.needs import COSTLY, SCAN, Call, calls, settled
from routec.compiler.analysis.witness import Witness
from routec.compiler.dependencies import reads
from routec.compiler.expr import Expr
from routec.compiler.rules import costly_first, over_budget
from routec.compiler.theory.solver import Answer, Sat, Unknown, Unsat
from routec.dsl import ast
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Span

QUESTIONS = 500
"""Combinations of calls that are tried in search of the dearest request."""


def costly(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC401: costly calls without which no request is decided."""
    subject, policy = analysis.subject, analysis.policy
    rule = costly_first.RULE
    for call in calls(policy.signals.values()):
        if call.stage not in COSTLY:
            continue
        answer = subject.possible(settled(subject.table, policy, call))
        if isinstance(answer, Unknown):
            first = call.signals[0]
            question = f"whether every request pays for `{first.name}`"
            yield analysis.unknown(rule, question, first.span, answer.reason, first.name)
        elif isinstance(answer, Unsat):
            asking = _asking(policy, call)
            used = [s for s in call.signals if any(_reads(policy, r, s) for r in _rules(policy))]
            yield costly_first.costly_first(used, call.cost, asking)


def _rules(policy: p.Policy) -> list[p.Guard | p.Category | p.Route]:
    """Everything with a condition, in the order of meaning."""
    return [*policy.guards, *policy.categories, *policy.routes]


def _reads(policy: p.Policy, rule: p.Guard | p.Category | p.Route, signal: p.Signal) -> bool:
    return signal.name in reads(policy.signals, rule.when.expr) or (
        isinstance(rule, p.Guard) and signal.name in rule.redact
    )


def _asking(policy: p.Policy, call: Call) -> p.Guard | p.Category | p.Route:
    """The first rule that asks for a call."""
    return next(r for r in _rules(policy) if any(_reads(policy, r, s) for s in call.signals))


# --- the dearest request --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Worst:
    """The dearest request that was found.

    Attributes:
        cost: seconds, the scan included.
        calls: what it needs, dearest first.
        needs: when a request needs all of these.
        answer: of the theory about them.
        doubt: why a dearer one may exist; ``None`` where it was proved that none does.
    """

    cost: Decimal
    calls: tuple[Call, ...]
    needs: Expr
    answer: Answer
    doubt: str | None


def worst(analysis: Analysis) -> Worst:
    """The dearest request, by branch and bound over what one request can need together."""
    subject, policy = analysis.subject, analysis.policy
    table = subject.table
    every = calls(policy.signals.values())
    scan = SCAN if any(c.stage is p.Stage.SCAN for c in every) else Decimal(0)
    dear = sorted((c for c in every if c.stage is not p.Stage.SCAN), key=lambda c: -c.cost)
    needed = [subject.no(settled(table, policy, call)) for call in dear]
    true = table.const(True)
    best = Worst(scan, (), true, Unsat(()), None)
    doubt: str | None = None
    asked = 0
    # What is chosen so far, its condition and cost, and the next call to decide about.
    stack: list[tuple[tuple[Call, ...], Expr, Decimal, int]] = [((), true, scan, 0)]
    while stack:
        chosen, needs, cost, at = stack.pop()
        if cost + sum((c.cost for c in dear[at:]), Decimal(0)) <= best.cost:
            continue
        if asked >= QUESTIONS:
            doubt = doubt or f"more than {QUESTIONS} combinations of signals were tried"
            break
        stack.append((chosen, needs, cost, at + 1))
        with_it = subject.both(needs, needed[at])
        asked += 1
        answer = subject.possible(with_it)
        if isinstance(answer, Unknown):
            doubt = doubt or answer.reason
        if not isinstance(answer, Sat):
            continue
        more, total = (*chosen, dear[at]), cost + dear[at].cost
        if total > best.cost:
            best = Worst(total, more, with_it, answer, None)
        stack.append((more, with_it, total, at + 1))
    return replace(best, doubt=doubt)


def over(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC402: a worst path that costs more than the policy allows itself."""
    policy = analysis.policy
    allowed = policy.demands.p99
    if allowed is None:
        return
    rule = over_budget.RULE
    found = worst(analysis)
    place = _place(policy)
    question = "whether the worst path costs more than `p99` allows"
    if found.cost <= allowed:
        if found.doubt is not None:
            yield analysis.unknown(rule, question, place, found.doubt, policy.name)
        return
    listed = [
        (", ".join(s.name for s in call.signals), call.cost, call.signals[0].span)
        for call in found.calls
    ]
    finding = over_budget.over_budget(policy.name, place, allowed, found.cost, listed)
    if not isinstance(found.answer, Sat):
        yield finding  # the scan alone is too much
        return

    def shows(witness: Witness) -> bool:
        return analysis.holds(found.needs, witness)

    shown = analysis.show(found.answer.model, shows)
    if shown is None:
        yield analysis.unconfirmed(rule, question, place, policy.name)
    else:
        yield replace(finding, witness=shown[1])


def _place(policy: p.Policy) -> Span:
    """Where the policy says what it allows."""
    for module in policy.syntax:
        for declaration in module.declarations:
            if isinstance(declaration, ast.Policy):
                for entry in declaration.entries:
                    if entry.key.name == "p99":
                        return entry.span
    raise AssertionError("it was read from there")
