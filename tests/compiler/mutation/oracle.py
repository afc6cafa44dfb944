"""Every verdict of the analyser, worked out by trying every request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

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
    variables,
)
from routec.compiler.interpreter import Circumstances, Decision, decide, evaluate
from routec.compiler.types import Plain, Value
from routec.dsl import ast
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Span
from tests.compiler.mutation.enumerable import Case, Row

Named = p.Guard | p.Route | p.Category
_NOT_DECIDING = {"name", "when", "priority", "span", "default"}


def body(rule: Named) -> tuple[object, ...]:
    """All of a rule that decides."""
    return tuple(getattr(rule, name) for name in type(rule).__slots__ if name not in _NOT_DECIDING)


class Oracle:
    """One policy and all its requests; a set of requests is an int with a bit for each."""

    def __init__(self, case: Case) -> None:
        policy = case.checked.policy
        assert policy is not None
        self.policy = policy
        self.case = case
        self.every = (1 << len(case.requests)) - 1
        self._known: dict[Expr, int] = {}
        self.admitted = self.every
        for guard in policy.guards:
            if guard.reject is not None:
                self.admitted &= ~self.of(guard.when.expr)

    def of(self, expr: Expr) -> int:
        """The requests of which a condition holds."""
        found = self._known.get(expr)
        if found is None:
            found = 0
            for at, (_, _, values) in enumerate(self.case.requests):
                if evaluate(expr, values):
                    found |= 1 << at
            self._known[expr] = found
        return found

    def any_of(self, rules: Iterable[Named]) -> int:
        """The requests that meet the condition of one of these."""
        return reduce(or_, (self.of(r.when.expr) for r in rules), 0)

    # --- routes -------------------------------------------------------------------

    def above(self, route: p.Route) -> list[p.Guard | p.Route]:
        """What comes before a route: rejecting guards and routes of higher priority."""
        higher = [
            r
            for r in self.policy.routes
            if not r.default and (route.default or r.priority > route.priority)
        ]
        return [*(g for g in self.policy.guards if g.reject is not None), *higher]

    def effective(self, route: p.Route) -> int:
        """The requests that meet a route's effective condition."""
        return self.of(route.when.expr) & ~self.any_of(self.above(route))

    def taken(self, route: p.Route) -> int:
        """The requests that a route decides."""
        at = self.policy.routes.index(route)
        return self.of(route.when.expr) & self.admitted & ~self.any_of(self.policy.routes[:at])

    def ambiguous(self) -> set[frozenset[str]]:
        """RC201, by the names of the two."""
        routes = [r for r in self.policy.routes if not r.default]
        return {
            frozenset((one.name, two.name))
            for at, one in enumerate(routes)
            for two in routes[:at]
            if one.priority == two.priority
            and body(one) != body(two)
            and self.effective(one) & self.effective(two)
        }

    def unreachable(self) -> set[str]:
        """RC202."""
        return {
            r.name for r in self.policy.routes if self.of(r.when.expr) and not self.effective(r)
        }

    def covers_minimally(self, route: p.Route, names: Sequence[str]) -> bool:
        """Whether these take all of a route's requests, and none of them can be spared."""
        above = {c.name: c for c in self.above(route)}
        cover = [above[name] for name in names]
        own = self.of(route.when.expr)
        if own & ~self.any_of(cover):
            return False
        return all(own & ~self.any_of(c for c in cover if c is not left) for left in cover)

    def always_true(self) -> set[str]:
        """RC204."""
        return {
            r.name
            for r in self.policy.routes
            if not r.default and self.of(r.when.expr) == self.every
        }

    def overlapping(self) -> set[tuple[str, str]]:
        """RC206: lower and higher."""
        routes = [r for r in self.policy.routes if not r.default]
        return {
            (lower.name, higher.name)
            for at, lower in enumerate(routes)
            for higher in routes[:at]
            if lower.priority < higher.priority
            and body(lower) != body(higher)
            and self.of(lower.when.expr) & self.taken(higher)
        }

    # --- redundancy ---------------------------------------------------------------

    def redundant(self) -> set[str]:
        """RC205: what changes no decision by its absence, though other findings do not say so."""
        return {
            *self._redundant_routes(),
            *self._redundant_guards(),
            *self._redundant_categories(),
        }

    def _redundant_routes(self) -> Iterator[str]:
        for route in self.policy.routes:
            if route.default or not self.taken(route):
                continue
            rest = [r for r in self.policy.routes if r is not route]
            if all(
                body(next(r for r in rest if evaluate(r.when.expr, values))) == body(route)
                for _, _, values in self._within(self.taken(route))
            ):
                yield route.name

    def _redundant_guards(self) -> Iterator[str]:
        for guard in self.policy.guards:
            if not self.of(guard.when.expr):
                continue
            without = replace(
                self.policy, guards=tuple(g for g in self.policy.guards if g is not guard)
            )
            if all(
                _acts(decide(self.policy, request, signals))
                == _acts(decide(without, request, signals))
                for request, signals, _ in self._within(self.of(guard.when.expr))
            ):
                yield guard.name

    def _redundant_categories(self) -> Iterator[str]:
        forced = {r.cache for r in self.policy.routes}
        cached = reduce(or_, (self.taken(r) for r in self.policy.routes if r.cache is None), 0)
        for category in self.policy.categories:
            if category.name in forced or not self.of(category.when.expr):
                continue
            rest = [c for c in self.policy.categories if c is not category]
            if all(
                _terms(self.policy.categories, values) == _terms(rest, values)
                for _, _, values in self._within(cached & self.of(category.when.expr))
            ):
                yield category.name

    def _within(self, requests: int) -> Iterator[Row]:
        for at, row in enumerate(self.case.requests):
            if requests >> at & 1:
                yield row

    # --- conditions -----------------------------------------------------------------

    def conditioned(self) -> Iterator[tuple[str, str, p.Condition, int]]:
        """What it is, its name, its condition, and the requests that it is asked about."""
        for name, condition in self.policy.lets.items():
            yield "let", name, condition, self.every
        context = self.every
        for guard in self.policy.guards:
            yield "guard", guard.name, guard.when, context
            if guard.reject is not None:
                context &= ~self.of(guard.when.expr)
        for category in self.policy.categories:
            yield "category", category.name, category.when, context
        for route in self.policy.routes:
            if not route.default:
                yield "route", route.name, route.when, self.every & ~self.any_of(self.above(route))

    def impossible(self) -> set[str]:
        """RC203."""
        return {name for _, name, condition, _ in self.conditioned() if not self.of(condition.expr)}

    def same_without(
        self, condition: p.Condition, context: int, replaced: dict[tuple[int, int], bool]
    ) -> bool:
        """Whether a condition stays the same where it is asked with some parts replaced."""
        assert condition.syntax is not None
        other = self._rebuilt(condition.syntax, replaced)
        return not context & (other ^ self.of(condition.expr))

    def _rebuilt(self, syntax: ast.Expr, replaced: dict[tuple[int, int], bool]) -> int:
        value = replaced.get((syntax.span.start, syntax.span.end))
        if value is not None:
            return self.every if value else 0
        match syntax:
            case ast.And():
                found = self.every
                for part in syntax.operands:
                    found &= self._rebuilt(part, replaced)
                return found
            case ast.Or():
                return reduce(or_, (self._rebuilt(part, replaced) for part in syntax.operands))
            case ast.Not():
                return self.every & ~self._rebuilt(syntax.operand, replaced)
            case _:
                return self.of(self.policy.meanings[syntax])

    def dead_left(
        self, condition: p.Condition, context: int, replaced: dict[tuple[int, int], bool]
    ) -> list[Span]:
        """Parts beside those replaced that never matter either."""
        assert condition.syntax is not None
        whole = self.of(condition.expr) & context
        if not whole or whole == context:
            return []
        found = []
        for part in parts(condition.syntax):
            span = (part.span.start, part.span.end)
            if any(a <= span[0] and span[1] <= b for a, b in replaced):
                continue
            if any(
                self.same_without(condition, context, {**replaced, span: value})
                for value in (True, False)
            ):
                found.append(part.span)
        return found

    def empty_bands(self) -> set[tuple[str, str]]:
        """RC210."""
        return {
            (name, band.name)
            for name, signal in self.policy.signals.items()
            if isinstance(signal.definition, p.Bands)
            for band in signal.definition.bands
            if all(values[name] != band.name for _, _, values in self.case.requests)
        }

    # --- categories and failures ----------------------------------------------------

    def overlapping_categories(self) -> set[frozenset[str]]:
        """RC208, by the names of the two."""
        choosing = reduce(or_, (self.taken(r) for r in self.policy.routes if r.cache is None), 0)
        categories = self.policy.categories
        return {
            frozenset((one.name, two.name))
            for at, one in enumerate(categories)
            for two in categories[:at]
            if body(one) != body(two) and self.of(one.when.expr) & self.of(two.when.expr) & choosing
        }

    def failing_open(self) -> set[tuple[str, str]]:
        """RC301: guards, and the signals whose failure lets a request past them."""
        found = set()
        for name, signal in self.policy.signals.items():
            if signal.on_error is None:
                continue
            for request, signals, _ in self.case.requests:
                guard = decide(self.policy, request, signals).guard
                failed = decide(self.policy, request, {**signals, name: signal.on_error})
                if guard is not None and failed.guard is None:
                    found.add((guard, name))
        return found

    # --- promises -------------------------------------------------------------------

    def broken(self) -> set[str]:
        """RC209, by the promise's text."""
        return {promise.text for promise in self.policy.promises if self._is_broken(promise)}

    def _is_broken(self, promise: p.Promise) -> bool:
        for entry in (None, "entry"):
            circumstances = Circumstances(cached=lambda category, entry=entry: entry)
            for request, signals, values in self.case.requests:
                decision = decide(self.policy, request, signals, circumstances)
                if breaks(self.policy, promise, values, decision):
                    return True
        return False


def _acts(decision: Decision) -> tuple[object, ...]:
    """What guards do to a decision, and what becomes of it; tags in any order."""
    return (
        decision.outcome,
        decision.status,
        decision.reason,
        decision.route,
        frozenset(decision.redacted),
        frozenset(decision.tags),
        dict(decision.headers),
    )


def _terms(categories: Iterable[p.Category], values: Mapping[str, Value]) -> object:
    return next((body(c) for c in categories if evaluate(c.when.expr, values)), None)


def parts(syntax: ast.Expr) -> Iterator[ast.Expr]:
    """The operands inside a condition, at every depth."""
    match syntax:
        case ast.And() | ast.Or():
            for operand in syntax.operands:
                yield operand
                yield from parts(operand)
        case ast.Not():
            yield syntax.operand
            yield from parts(syntax.operand)


def breaks(
    policy: p.Policy, promise: p.Promise, values: Mapping[str, Value], decision: Decision
) -> bool:
    """Whether a decision breaks a promise: of every model that it names, where models matter."""
    asked = {v.name for v in variables(promise.condition.expr) if v.source == "decision"}
    named: list[str | None] = [None]
    plan: list[str | None] = [None]
    if asked & {"model", "fallback"}:
        if decision.outcome != "route":
            return False
        route = next(r for r in policy.routes if r.name == decision.route)
        shadow = [] if route.shadow is None else [route.shadow[0]]
        if "model" in asked:
            named = [*route.selection.candidates, *route.fallbacks, *shadow]
        if "fallback" in asked:
            plan = [*route.fallbacks]
    return any(
        _says(policy, promise.condition.expr, values, decision, model, fallback) is promise.never
        for model in named
        for fallback in plan
    )


def _says(
    policy: p.Policy,
    expr: Expr,
    values: Mapping[str, Value],
    decision: Decision,
    model: str | None,
    fallback: str | None,
) -> bool:
    def says(part: Expr) -> bool:
        return _says(policy, part, values, decision, model, fallback)

    match expr:
        case Const(value=value):
            return value
        case Not(operand=operand):
            return not says(operand)
        case And(operands=operands):
            return all(map(says, operands))
        case Or(operands=operands):
            return any(map(says, operands))
        case _ if expr.variable.source != "decision":
            return evaluate(expr, values)
    name, member = expr.variable.name, expr.variable.member
    if name in ("model", "fallback"):
        chosen = policy.models[model if name == "model" else fallback]  # type: ignore[index]
        known: Plain | None = (
            chosen.name
            if member is None
            else frozenset(chosen.tags)
            if member == "tags"
            else getattr(chosen, member)
        )
    elif name == "route":
        known = decision.route
    elif name == "category":
        known = decision.category or "none"
    elif name == "cached":
        known = decision.outcome == "cached"
    elif name == "redact":
        known = bool(decision.redacted)
    elif member is None:
        known = decision.outcome == "reject"
    else:
        known = decision.guard
    match expr:
        case Truth():
            return known is True
        case Equals(value=value):
            return known == value
        case Contains(value=value):
            return isinstance(known, frozenset) and value in known
        case Empty() | Compare():
            raise AssertionError("promises here do not ask this")
    raise AssertionError("every atom is above")


def dead_parts(findings: Iterable[Diagnostic]) -> dict[str, dict[tuple[int, int], bool]]:
    """By name, the parts that RC212 reports, and the value that each could as well have."""
    found: dict[str, dict[tuple[int, int], bool]] = {}
    for finding in findings:
        if finding.code == "RC212":
            value = finding.message.endswith("is always true")
            span = (finding.span.start, finding.span.end)
            found.setdefault(finding.subjects[0], {})[span] = value
    return found
