"""Conditions by themselves: impossible ones, parts that never matter, bands without values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from routec.compiler import policy as p
from routec.compiler.analysis import fixing
from routec.compiler.analysis.analysis import Analysis
from routec.compiler.analysis.nearness import explains
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
        route: the route whose condition it is; ``None`` for anything else.
        span: where it is declared.
    """

    what: str
    name: str
    condition: p.Condition
    context: Expr
    span: Span
    route: p.Route | None = None


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
        # Not beside earlier categories: to leave their requests out is how categories that
        # overlap are told apart.
        yield Conditioned("category", category.name, category.when, context, category.span)
    for route in policy.routes:
        if not route.default:
            above = subject.above(route)
            yield Conditioned("route", route.name, route.when, above, route.span, route)


def impossible(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC203: conditions that no request meets."""
    subject = analysis.subject
    rule = impossible_condition.RULE
    for one in conditioned(analysis):
        answer = subject.possible(one.condition.expr)
        if isinstance(answer, Sat):
            continue
        if explains(analysis, one.condition.expr, answer):
            continue
        question = f"whether a request meets the condition of {one.what} `{one.name}`"
        if isinstance(answer, Unknown):
            yield analysis.unknown(rule, question, one.span, answer.reason, one.name)
            continue
        parts = parts_of(one.condition.syntax)
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


def parts_of(syntax: ast.Expr | None) -> list[ast.Expr]:
    """The operands of a condition's outermost conjunction."""
    if syntax is None:
        return []
    if isinstance(syntax, ast.And):
        return [part for operand in syntax.operands for part in parts_of(operand)]
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


_DOUBTS = 3
"""Parts of one condition that may stay undecided before the rest of it is left alone."""


def _dead_in(analysis: Analysis, one: Conditioned) -> Iterator[Diagnostic]:
    subject = analysis.subject
    whole, syntax = one.condition.expr, one.condition.syntax
    assert syntax is not None
    doubts = _DOUBTS
    # Of a rule that never acts, or always, every part would be dead: other findings say so.
    for settled in (whole, subject.no(whole)):
        answer = subject.possible(one.context, settled)
        if isinstance(answer, Unsat):
            return
        if isinstance(answer, Unknown):
            doubts = 1
    gone: dict[ast.Expr, bool] = {}
    doubted: set[ast.Expr] = set()
    before = -1
    # Leaving a part out can make others superfluous in turn.
    while before != len(gone):
        before = len(gone)
        for part, junction, beside in _inner(syntax, ()):
            if part in doubted or any(_within(part.span, outer.span) for outer in gone):
                continue
            # The part decides only where all beside it let it: there it must be able to be both.
            asked = [_without(analysis, other, holds, gone) for other, holds in beside]
            meaning = _rebuild(analysis, part, gone)
            for value, against in ((True, subject.no(meaning)), (False, meaning)):
                answer = subject.possible(one.context, *asked, against)
                if isinstance(answer, Sat):
                    continue
                if isinstance(answer, Unknown):
                    doubted.add(part)
                    yield _doubt(analysis, one, part, answer)
                    if len(doubted) == doubts:
                        return
                    break
                gone[part] = value
                finding = dead_subcondition.dead_subcondition(
                    one.what, one.name, analysis.written(part.span), part.span, value
                )
                fix = fixing.without_operand(analysis, junction, part, value)
                yield _acting(analysis, replace(finding, fix=fix), one)
                break


def _doubt(analysis: Analysis, one: Conditioned, part: ast.Expr, answer: Unknown) -> Diagnostic:
    question = f"whether `{analysis.written(part.span)}` matters in {one.what} `{one.name}`"
    return analysis.unknown(dead_subcondition.RULE, question, part.span, answer.reason, one.name)


def _acting(analysis: Analysis, finding: Diagnostic, one: Conditioned) -> Diagnostic:
    """The finding with a request on which the condition is asked, and holds."""
    answer = analysis.subject.possible(one.context, one.condition.expr)
    if not isinstance(answer, Sat):
        return finding

    def shows(witness: Witness) -> bool:
        if not analysis.holds(one.condition.expr, witness):
            return False
        if one.route is not None:
            return analysis.reached(one.route, witness)
        return analysis.holds(one.context, witness)

    shown = analysis.show(answer.model, shows)
    return finding if shown is None else replace(finding, witness=shown[1])


Beside = tuple[tuple[ast.Expr, bool], ...]
"""Other parts of a condition, and what each must be for one part to decide."""


def _inner(syntax: ast.Expr, beside: Beside) -> Iterator[tuple[ast.Expr, ast.And | ast.Or, Beside]]:
    """The parts of a condition, each with what it is joined in and what must hold for it to decide.

    A part of a conjunction decides where its neighbours are true, of a disjunction where they
    are false. Larger parts come before their own parts, later ones first.
    """
    match syntax:
        case ast.And() | ast.Or():
            neutral = isinstance(syntax, ast.And)
            inside: list[tuple[ast.Expr, Beside]] = []
            for operand in reversed(syntax.operands):
                others = tuple((o, neutral) for o in syntax.operands if o is not operand)
                inside.append((operand, beside + others))
            yield from ((operand, syntax, around) for operand, around in inside)
            for operand, around in inside:
                yield from _inner(operand, around)
        case ast.Not():
            yield from _inner(syntax.operand, beside)


def _without(analysis: Analysis, syntax: ast.Expr, holds: bool, gone: dict[ast.Expr, bool]) -> Expr:
    """A neighbour, or its negation, with the parts that are gone replaced."""
    found = _rebuild(analysis, syntax, gone)
    return found if holds else analysis.subject.no(found)


def _within(inner: Span, outer: Span) -> bool:
    return outer.file == inner.file and outer.start <= inner.start and inner.end <= outer.end


def _rebuild(analysis: Analysis, syntax: ast.Expr, gone: dict[ast.Expr, bool]) -> Expr:
    """The meaning of a condition with some parts replaced by what they always are."""
    if not gone:
        return analysis.policy.meanings[syntax]
    table = analysis.subject.table
    if syntax in gone:
        return table.const(gone[syntax])
    match syntax:
        case ast.And():
            return table.and_([_rebuild(analysis, part, gone) for part in syntax.operands])
        case ast.Or():
            return table.or_([_rebuild(analysis, part, gone) for part in syntax.operands])
        case ast.Not():
            return table.not_(_rebuild(analysis, syntax.operand, gone))
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
