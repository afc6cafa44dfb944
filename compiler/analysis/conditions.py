"""Conditions by themselves: impossible ones, parts that never matter, bands without values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis
from routec.compiler.analysis.witness import Witness
from routec.compiler.expr import Expr, Variable
from routec.compiler.rules import dead_subcondition, empty_band, impossible_condition
from routec.compiler.theory.solver import Sat, Unknown, Unsat
from routec.dsl import ast
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Span


@dataclass(frozen=True, slots=True)
class Conditioned:
    """Something with a condition.

    Attributes:
        what: what it is: ``guard``, ``route``, ``category`` or ``let``.
        name: its name.
        condition: its condition.
        context: what is known of the requests that it is asked about.
        span: where it is declared.
    """

    what: str
    name: str
    condition: p.Condition
    context: Expr
    span: Span


def conditioned(analysis: Analysis) -> Iterator[Conditioned]:
    """All that has a condition, with what is known when it is asked."""
    policy, subject = analysis.policy, analysis.subject
    always = subject.table.const(True)
    for name, condition in policy.lets.items():
        assert condition.syntax is not None
        yield Conditioned("let", name, condition, always, condition.syntax.span)
    context = always
    for guard in policy.guards:
        yield Conditioned("guard", guard.name, guard.when, context, guard.span)
        if guard.reject is not None:
            context = subject.both(context, subject.no(guard.when.expr))
    context = subject.admitted()
    for category in policy.categories:
        yield Conditioned("category", category.name, category.when, context, category.span)
        context = subject.both(context, subject.no(category.when.expr))
    for route in policy.routes:
        if not route.default:
            above = subject.above(route)
            yield Conditioned("route", route.name, route.when, above, route.span)


def impossible(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC203: conditions that no request meets."""
    subject = analysis.subject
    rule = impossible_condition.RULE
    for one in conditioned(analysis):
        answer = subject.possible(one.condition.expr)
        if isinstance(answer, Sat):
            continue
        question = f"whether a request meets the condition of {one.what} `{one.name}`"
        if isinstance(answer, Unknown):
            yield analysis.unknown(rule, question, one.span, answer.reason, one.name)
            continue
        parts = _parts(one.condition.syntax)
        meanings = [analysis.policy.meanings[part] for part in parts]
        kept = subject.minimal([], meanings)
        if kept is None:
            yield analysis.unknown(rule, question, one.span, "which parts clash", one.name)
            continue
        clashing = [(analysis.written(parts[at].span), parts[at].span) for at in kept]
        finding = impossible_condition.impossible_condition(one.what, one.name, clashing)
        # The nearest there is to a witness: a request that meets all of the clashing parts but one.
        others = subject.both(*(meanings[at] for at in kept[1:]))
        yield _with_example(analysis, finding, others)


def _parts(syntax: ast.Expr | None) -> list[ast.Expr]:
    """The operands of a condition's outermost conjunction."""
    if syntax is None:
        return []
    if isinstance(syntax, ast.And):
        return [part for operand in syntax.operands for part in _parts(operand)]
    return [syntax]


def _with_example(analysis: Analysis, finding: Diagnostic, condition: Expr) -> Diagnostic:
    answer = analysis.subject.possible(condition)
    if not isinstance(answer, Sat):
        return finding

    def shows(witness: Witness) -> bool:
        return analysis.holds(condition, witness)

    shown = analysis.show(answer.model, shows)
    return finding if shown is None else replace(finding, witness=shown[1])


# --- parts that never matter --------------------------------------------------------------


def dead(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC212: parts of conditions that could as well be true, or false."""
    for one in conditioned(analysis):
        if one.condition.syntax is not None:
            yield from _dead_in(analysis, one)


def _dead_in(analysis: Analysis, one: Conditioned) -> Iterator[Diagnostic]:
    subject = analysis.subject
    whole = one.condition.expr
    # Of a rule that never acts, or always, every part would be dead: other findings say so.
    for settled in (whole, subject.no(whole)):
        if not isinstance(subject.possible(subject.both(one.context, settled)), Sat):
            return
    replaced: dict[ast.Expr, Expr] = {}
    syntax = one.condition.syntax
    assert syntax is not None
    for part in _inner(syntax):
        if any(_within(part.span, outer.span) for outer in replaced):
            continue
        for value in (True, False):
            trial = {**replaced, part: subject.table.const(value)}
            other = _rebuild(analysis, syntax, trial)
            verdict = _same(analysis, one.context, whole, other)
            if verdict is None:
                continue
            if isinstance(verdict, Unknown):
                question = (
                    f"whether `{analysis.written(part.span)}` matters in {one.what} `{one.name}`"
                )
                yield analysis.unknown(
                    dead_subcondition.RULE, question, part.span, verdict.reason, one.name
                )
                break
            replaced = trial
            finding = dead_subcondition.dead_subcondition(
                one.what, one.name, analysis.written(part.span), part.span, value
            )
            yield _with_example(analysis, finding, subject.both(one.context, whole))
            break


def _same(analysis: Analysis, context: Expr, one: Expr, other: Expr) -> Unsat | Unknown | None:
    """`Unsat` where no request tells the two apart; ``None`` where some request does."""
    subject = analysis.subject
    if one is other:
        return Unsat(())
    for condition in (
        subject.both(context, one, subject.no(other)),
        subject.both(context, other, subject.no(one)),
    ):
        answer = subject.possible(condition)
        if isinstance(answer, Sat):
            return None
        if isinstance(answer, Unknown):
            return answer
    return Unsat(())


def _inner(syntax: ast.Expr) -> Iterator[ast.Expr]:
    """The operands inside a condition: larger ones before their parts, later ones first."""
    match syntax:
        case ast.And() | ast.Or():
            yield from reversed(syntax.operands)
            for operand in reversed(syntax.operands):
                yield from _inner(operand)
        case ast.Not():
            yield from _inner(syntax.operand)


def _within(inner: Span, outer: Span) -> bool:
    return outer.file == inner.file and outer.start <= inner.start and inner.end <= outer.end


def _rebuild(analysis: Analysis, syntax: ast.Expr, replaced: dict[ast.Expr, Expr]) -> Expr:
    """The meaning of a condition with some parts replaced."""
    if syntax in replaced:
        return replaced[syntax]
    table = analysis.subject.table
    match syntax:
        case ast.And():
            return table.and_([_rebuild(analysis, part, replaced) for part in syntax.operands])
        case ast.Or():
            return table.or_([_rebuild(analysis, part, replaced) for part in syntax.operands])
        case ast.Not():
            return table.not_(_rebuild(analysis, syntax.operand, replaced))
        case _:
            return analysis.policy.meanings[syntax]


# --- bands ----------------------------------------------------------------------------------


def empty_bands(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC210: bands that no value falls into."""
    subject = analysis.subject
    for signal in analysis.policy.signals.values():
        definition = signal.definition
        if not isinstance(definition, p.Bands):
            continue
        label = Variable("signal", signal.name, None, signal.type)
        for band in definition.bands:
            answer = subject.possible(analysis.policy.table.equals(label, band.name))
            if isinstance(answer, Unsat):
                finding = empty_band.empty_band(signal.name, band, str(definition.variable))
                yield _with_example(analysis, finding, subject.table.const(True))
            elif isinstance(answer, Unknown):
                question = f"whether a value falls into band `{band.name}`"
                yield analysis.unknown(
                    empty_band.RULE, question, band.span, answer.reason, signal.name, band.name
                )
