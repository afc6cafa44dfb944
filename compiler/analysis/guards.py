"""Guards that could as well be missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from routec.compiler import policy as p
from routec.compiler.analysis import fixing
from routec.compiler.analysis.analysis import Analysis
from routec.compiler.analysis.witness import Witness
from routec.compiler.expr import Expr
from routec.compiler.rules import redundant_rule
from routec.compiler.theory.solver import Sat, Unknown, Unsat
from routec.dsl.diagnostic import Applicability, Diagnostic

Mark = tuple[str, ...]
"""Something that a rule adds to a decision: a signal to redact, a tag, or a header."""


def redundant(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC205 of guards: those whose removal changes no decision, whatever they do.

    Marks count as a set: which of two guards adds a tag first is no matter.
    """
    subject, guards = analysis.subject, analysis.policy.guards
    for at, guard in enumerate(guards):
        if not isinstance(subject.possible(guard.when.expr), Sat):
            continue
        rejecting = [g for g in guards[:at] if g.reject is not None]
        acts = subject.both(guard.when.expr, *(subject.no(g.when.expr) for g in rejecting))
        answer = subject.possible(acts)
        if isinstance(answer, Unsat):
            refuse = [subject.no(g.when.expr) for g in rejecting]
            cover = subject.minimal([guard.when.expr], refuse) or []
            yield _finding(analysis, guard, [rejecting[i] for i in cover], guard.when.expr)
            continue
        if isinstance(answer, Sat):
            answer = subject.possible(acts, _differs(analysis, at))
        if isinstance(answer, Unsat):
            same = [g for g in guards if g is not guard and _alike(g, guard)]
            yield _finding(analysis, guard, same[:3], acts)
        elif isinstance(answer, Unknown):
            question = f"whether removing guard `{guard.name}` changes a decision"
            yield analysis.unknown(
                redundant_rule.RULE, question, guard.span, answer.reason, guard.name
            )


def _finding(
    analysis: Analysis, guard: p.Guard, instead: Sequence[p.Guard], condition: Expr
) -> Diagnostic:
    fix = fixing.removal(analysis, "guard", guard.name, Applicability.SAFE)
    finding = replace(redundant_rule.redundant_rule("guard", guard, instead), fix=fix)

    def shows(witness: Witness) -> bool:
        return analysis.holds(condition, witness)

    answer = analysis.subject.possible(condition)
    shown = analysis.show(answer.model, shows) if isinstance(answer, Sat) else None
    return finding if shown is None else replace(finding, witness=shown[1])


def _alike(one: p.Guard, other: p.Guard) -> bool:
    """Whether one does something that the other does."""
    if one.reject is not None and one.reject == other.reject:
        return True
    return not set(marks(one)).isdisjoint(marks(other))


def marks(rule: p.Guard | p.Route) -> Iterator[Mark]:
    """All that a rule adds to a decision."""
    if isinstance(rule, p.Guard):
        yield from (("redact", name) for name in rule.redact)
    yield from (("tag", tag) for tag in rule.tags)
    yield from (("header", *header) for header in rule.headers)


def _differs(analysis: Analysis, at: int) -> Expr:
    """Where a guard acts, that its absence is noticed."""
    subject, policy = analysis.subject, analysis.policy
    guards = policy.guards
    guard, later = guards[at], guards[at + 1 :]
    own = set(marks(guard))
    before = {mark: _some(analysis, mark, guards[:at]) for mark in own}
    # What later guards add once this one is gone, up to the first of them that rejects.
    alive: list[Expr] = []
    added: dict[Mark, list[Expr]] = {}
    rejected: list[Expr] = []
    for other in later:
        acts = subject.both(other.when.expr, *alive)
        for mark in marks(other):
            added.setdefault(mark, []).append(acts)
        if other.reject is not None:
            if other.reject == guard.reject:
                rejected.append(acts)
            alive.append(subject.no(other.when.expr))
    if guard.reject is None:
        for route in policy.routes:
            for mark in marks(route):
                added.setdefault(mark, []).append(subject.taken(route))
    noticed: list[Expr] = []
    if guard.reject is not None:
        noticed.append(subject.no(subject.any(rejected)))
        for mark, ways in added.items():
            if mark not in own:
                earlier = _some(analysis, mark, guards[:at])
                if _contested(policy, mark):
                    earlier = subject.table.const(False)
                noticed.append(subject.both(subject.any(ways), subject.no(earlier)))
    for mark in own:
        if _contested(policy, mark):
            return subject.table.const(True)
        noticed.append(subject.no(subject.any((before[mark], *added.get(mark, ())))))
    return subject.any(noticed)


def _some(analysis: Analysis, mark: Mark, guards: Iterable[p.Guard]) -> Expr:
    """One of these guards, none of which is preceded by a rejection, adds a mark."""
    return analysis.subject.any(g.when.expr for g in guards if mark in set(marks(g)))


def _contested(policy: p.Policy, mark: Mark) -> bool:
    """Whether it is a header that rules set to several values, so that their order matters."""
    rules: tuple[p.Guard | p.Route, ...] = (*policy.guards, *policy.routes)
    return mark[0] == "header" and any(
        other[:2] == mark[:2] and other != mark for rule in rules for other in marks(rule)
    )
