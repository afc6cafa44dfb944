"""Which routes can be taken, which clash, and which rules could as well be missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from routec.compiler import policy as p
from routec.compiler.analysis import fixing, guards
from routec.compiler.analysis.analysis import Analysis
from routec.compiler.analysis.nearness import between, explains
from routec.compiler.analysis.subject import Body, Subject, body, terms
from routec.compiler.analysis.witness import Witness
from routec.compiler.expr import Expr
from routec.compiler.rules import (
    always_true_condition,
    ambiguous_priority,
    overlapping_routes,
    redundant_rule,
    unreachable_route,
)
from routec.compiler.theory.solver import Sat, Unknown, Unsat
from routec.dsl.diagnostic import Applicability, Diagnostic


def unreachable(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC202: routes that are never taken though their own condition can hold."""
    subject = analysis.subject
    rejecting = subject.rejecting()
    # An exhausted budget takes its requests to a route whatever that route's condition says.
    elsewhere = {budget.then for budget in analysis.policy.budgets}
    for at, route in enumerate(analysis.policy.routes):
        if route.name in elsewhere:
            continue
        if isinstance(subject.possible(subject.effective(route)), Sat):
            continue
        own = subject.possible(route.when.expr)
        if isinstance(own, Unsat) or explains(analysis, route.when.expr, own):
            continue
        above: list[p.Guard | p.Route] = [
            *rejecting,
            *(
                r
                for r in analysis.policy.routes[:at]
                if route.default or r.priority > route.priority
            ),
        ]
        question = f"whether `{route.name}` can be chosen"
        kept = subject.minimal([route.when.expr], [subject.no(c.when.expr) for c in above])
        if kept is None:
            reason = _reason(subject, subject.effective(route))
            yield analysis.unknown(unreachable_route.RULE, question, route.span, reason, route.name)
            continue
        cover = _by_blame(subject, route.when.expr, [above[i] for i in kept])
        finding = unreachable_route.unreachable_route(route, cover)
        if not route.default:
            fix = fixing.removal(analysis, "route", route.name, Applicability.UNSAFE)
            finding = replace(finding, fix=fix)
        if not isinstance(own, Sat):
            reason = own.reason
            yield analysis.unknown(unreachable_route.RULE, question, route.span, reason, route.name)
            continue

        def shows(witness: Witness, route: p.Route = route) -> bool:
            decided = analysis.witnesses.decide(witness)
            return analysis.holds(route.when.expr, witness) and decided.route != route.name

        shown = analysis.show(own.model, shows)
        if shown is None:
            yield analysis.unconfirmed(unreachable_route.RULE, question, route.span, route.name)
        else:
            yield _with(finding, shown[1])


def _by_blame(
    subject: Subject, condition: Expr, cover: Sequence[p.Guard | p.Route]
) -> list[p.Guard | p.Route]:
    """Most blaming first: what takes most of the requests we know of, then the order of meaning."""
    samples = subject.theory.samples
    inside = samples.mask(condition)

    def blame(part: p.Guard | p.Route) -> int:
        return (samples.mask(part.when.expr) & inside).bit_count()

    return sorted(cover, key=blame, reverse=True)


def ambiguous(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC201: routes of one priority that meet and decide differently."""
    groups: dict[int, list[p.Route]] = {}
    for route in analysis.policy.routes:
        if not route.default:
            groups.setdefault(route.priority, []).append(route)
    for routes in groups.values():
        for at, second in enumerate(routes):
            for first in routes[:at]:
                if body(first) != body(second):
                    yield from _meeting(analysis, first, second)


def _meeting(analysis: Analysis, first: p.Route, second: p.Route) -> Iterator[Diagnostic]:
    subject, rule = analysis.subject, ambiguous_priority.RULE
    answer = subject.possible(subject.effective(first), second.when.expr)
    if isinstance(answer, Unsat) or between(analysis, first, second):
        return
    question = f"whether `{first.name}` and `{second.name}` can claim the same request"
    if isinstance(answer, Unknown):
        yield analysis.unknown(rule, question, second.span, answer.reason, second.name, first.name)
        return

    def shows(witness: Witness) -> bool:
        both = (first.when.expr, second.when.expr)
        return all(analysis.holds(x, witness) for x in both) and analysis.reached(first, witness)

    shown = analysis.show(answer.model, shows)
    if shown is None:
        yield analysis.unconfirmed(rule, question, second.span, second.name, first.name)
    else:
        finding = ambiguous_priority.ambiguous_priority(first, second, difference(first, second))
        fix = fixing.raised(analysis, first.name) or fixing.excluded(analysis, first, second)
        yield _with(replace(finding, fix=fix), shown[1])


def overlapping(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC206: routes of different priorities that meet and decide differently."""
    subject = analysis.subject
    routes = [r for r in analysis.policy.routes if not r.default]
    admitted = subject.admitted()
    for at, lower in enumerate(routes):
        for higher in routes[:at]:
            if higher.priority == lower.priority or body(higher) == body(lower):
                continue
            answer = subject.possible(subject.taken(higher), lower.when.expr, admitted)
            if not isinstance(answer, Sat):
                continue

            def shows(witness: Witness, higher: p.Route = higher, lower: p.Route = lower) -> bool:
                decided = analysis.witnesses.decide(witness)
                return decided.route == higher.name and analysis.holds(lower.when.expr, witness)

            shown = analysis.show(answer.model, shows)
            if shown is not None:
                yield _with(overlapping_routes.overlapping_routes(higher, lower), shown[1])


def always_true(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC204: conditions of routes that every request meets."""
    subject = analysis.subject
    for at, route in enumerate(analysis.policy.routes):
        if route.default:
            continue
        answer = subject.possible(subject.no(route.when.expr))
        if isinstance(answer, Unsat):
            below = list(analysis.policy.routes[at + 1 :])
            finding = always_true_condition.always_true_condition(route, below)
            any_request = subject.possible(route.when.expr)
            if isinstance(any_request, Sat):
                shown = analysis.show(any_request.model, lambda witness: True)
                finding = _with(finding, shown[1]) if shown else finding
            yield finding
        elif isinstance(answer, Unknown):
            question = f"whether every request meets the condition of `{route.name}`"
            yield analysis.unknown(
                always_true_condition.RULE, question, route.span, answer.reason, route.name
            )


# --- redundancy -----------------------------------------------------------------------


def redundant(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC205: routes, guards and categories whose removal changes no decision."""
    yield from _redundant_routes(analysis)
    yield from guards.redundant(analysis)
    yield from _redundant_categories(analysis)


def _redundant_routes(analysis: Analysis) -> Iterator[Diagnostic]:
    subject = analysis.subject
    routes = analysis.policy.routes
    members: dict[Body, list[int]] = {}
    for at, route in enumerate(routes):
        members.setdefault(body(route), []).append(at)
    for same in members.values():
        differs = _others_decide(subject, [r.when.expr for r in routes], same)
        for at in same[:-1]:
            taken = subject.taken(routes[at])
            if not isinstance(subject.possible(taken), Sat):
                continue
            answer = subject.possible(taken, differs[at])
            if isinstance(answer, Unsat):
                instead = [routes[other] for other in same if other > at]
                finding = redundant_rule.redundant_rule("route", routes[at], instead[:3])
                fix = fixing.removal(analysis, "route", routes[at].name, Applicability.SAFE)
                finding = replace(finding, fix=fix)
                yield _shown(analysis, finding, taken, routes[at])
            elif isinstance(answer, Unknown):
                yield _doubt(analysis, "route", routes[at], answer)


def _others_decide(
    subject: Subject, conditions: Sequence[Expr], same: Sequence[int]
) -> dict[int, Expr]:
    """For each rule of `same`: when the next rule that holds after it is none of them."""
    found: dict[int, Expr] = {}
    differs = subject.table.const(True)
    wanted = set(same)
    for at in range(same[-1], same[0] - 1, -1):
        if at in wanted:
            found[at] = differs
            differs = subject.both(subject.no(conditions[at]), differs)
        else:
            differs = subject.any((conditions[at], differs))
    return found


def _redundant_categories(analysis: Analysis) -> Iterator[Diagnostic]:
    subject = analysis.subject
    categories = analysis.policy.categories
    forced = {r.cache for r in analysis.policy.routes if isinstance(r.cache, str)}
    cached = subject.any(subject.taken(r) for r in analysis.policy.routes if r.cache is None)
    for at, category in enumerate(categories):
        if category.name in forced:
            continue
        before = subject.both(*(subject.no(c.when.expr) for c in categories[:at]))
        applies = subject.both(category.when.expr, before, cached)
        if isinstance(subject.possible(category.when.expr), Unsat):
            continue
        equal = [i for i, c in enumerate(categories) if i >= at and terms(c) == terms(category)]
        differs = _others_decide(subject, [c.when.expr for c in categories], equal)[at]
        same = [categories[i] for i in equal[1:]]
        answer = subject.possible(applies, differs)
        if isinstance(answer, Unsat):
            finding = redundant_rule.redundant_rule("category", category, same[:3])
            fix = fixing.removal(analysis, "category", category.name, Applicability.SAFE)
            finding = replace(finding, fix=fix)
            yield _shown(analysis, finding, category.when.expr)
        elif isinstance(answer, Unknown):
            yield _doubt(analysis, "category", category, answer)


def _shown(
    analysis: Analysis, finding: Diagnostic, condition: Expr, route: p.Route | None = None
) -> Diagnostic:
    """The finding with a request that the rule acts on, or that the route takes."""
    answer = analysis.subject.possible(condition)

    def shows(witness: Witness) -> bool:
        if route is not None:
            return analysis.witnesses.decide(witness).route == route.name
        return analysis.holds(condition, witness)

    if isinstance(answer, Sat):
        shown = analysis.show(answer.model, shows)
        if shown is not None:
            return _with(finding, shown[1])
    return finding


def _doubt(
    analysis: Analysis, what: str, named: p.Route | p.Guard | p.Category, answer: Unknown
) -> Diagnostic:
    question = f"whether removing {what} `{named.name}` changes a decision"
    return analysis.unknown(redundant_rule.RULE, question, named.span, answer.reason, named.name)


def _reason(subject: Subject, condition: Expr) -> str:
    answer = subject.possible(condition)
    return answer.reason if isinstance(answer, Unknown) else "the effort did not suffice"


def difference(first: p.Route, second: p.Route) -> str:
    """How the bodies of two routes differ, in words."""
    for what, one, other in (
        ("send it to different models", first.selection, second.selection),
        ("have different fallbacks", first.fallbacks, second.fallbacks),
        ("use the cache differently", first.cache, second.cache),
        ("set different parameters", first.parameters, second.parameters),
        ("stick to different keys", first.sticky, second.sticky),
        ("shadow differently", first.shadow, second.shadow),
        ("tag differently", first.tags, second.tags),
        ("set different headers", first.headers, second.headers),
    ):
        if one != other:
            return what
    raise AssertionError("the bodies are equal")


def _with(finding: Diagnostic, witness: dict[str, object]) -> Diagnostic:
    return replace(finding, witness=witness)
