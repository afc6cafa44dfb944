"""Promises: asserts over every decision, proved or refuted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis, outcome
from routec.compiler.analysis.witness import Witness, as_json
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
    Variable,
    variables,
)
from routec.compiler.interpreter import Circumstances, Decision, evaluate
from routec.compiler.rules import assertion_failed
from routec.compiler.theory.solver import Sat, Unknown
from routec.compiler.types import Plain, Value
from routec.dsl.diagnostic import Diagnostic

ENTRY = "entry"


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which a decision can go.

    Attributes:
        by: the guard that rejects, or the route that is taken.
        cached: whether the cache answers.
        model: a model that the decision names; ``None`` where it names none, or none matters.
        fallback: a model of the retry plan; likewise.
        condition: when it goes this way.
    """

    by: p.Guard | p.Route
    cached: bool
    model: str | None
    fallback: str | None
    condition: Expr


def failed(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC209: promises that some decision breaks; the first decision found of each."""
    for promise in analysis.policy.promises:
        yield from _failed(analysis, promise)


def _failed(analysis: Analysis, promise: p.Promise) -> Iterator[Diagnostic]:
    subject = analysis.subject
    rule = assertion_failed.RULE
    question = f"whether the promise “{promise.text}” is kept"
    doubt: str | None = None
    for way in ways(analysis, promise):
        said = _of_way(analysis, promise.condition.expr, way)
        broken = said if promise.never else subject.no(said)
        answer = subject.possible(way.condition, broken)
        if isinstance(answer, Unknown):
            doubt = doubt or answer.reason
        if not isinstance(answer, Sat):
            continue

        def shows(witness: Witness, way: Way = way) -> bool:
            decision = _decide(analysis, witness, way)
            return breaks(analysis.policy, promise, analysis.witnesses.values(witness), decision)

        witness = analysis.witnesses.find(answer.model, shows)
        if witness is None:
            doubt = doubt or "no request could be built that shows it"
            continue
        decision = _decide(analysis, witness, way)
        finding = assertion_failed.assertion_failed(promise, way.by, way.model or way.fallback)
        yield replace(finding, witness=as_json(analysis.policy, witness, outcome(decision)))
        return
    if doubt is not None:
        yield analysis.unknown(rule, question, promise.span, doubt, promise.text)


def breaking(analysis: Analysis, promise: p.Promise) -> Expr:
    """When some decision about a request can break the promise."""
    subject = analysis.subject
    broken: list[Expr] = []
    for way in ways(analysis, promise):
        said = _of_way(analysis, promise.condition.expr, way)
        broken.append(subject.both(way.condition, said if promise.never else subject.no(said)))
    return subject.any(broken)


def _decide(analysis: Analysis, witness: Witness, way: Way) -> Decision:
    cached = Circumstances(cached=lambda category: ENTRY if way.cached else None)
    return analysis.witnesses.decide(witness, cached)


def ways(analysis: Analysis, promise: p.Promise) -> Iterator[Way]:
    """Every way in which a decision can go, as far as the promise can tell them apart."""
    subject, policy = analysis.subject, analysis.policy
    asked = {v.name for v in variables(promise.condition.expr) if v.source == "decision"}
    about_models = bool(asked & {"model", "fallback"})
    for at, guard in enumerate(policy.guards):
        if guard.reject is not None and not about_models:
            before = (subject.no(g.when.expr) for g in policy.guards[:at] if g.reject is not None)
            yield Way(guard, False, None, None, subject.both(guard.when.expr, *before))
    for route in policy.routes:
        taken = subject.taken(route)
        if not about_models:
            yield Way(route, False, None, None, taken)
            if "cached" in asked and route.cache is not False:
                some = subject.any(applies(analysis, route, c.name) for c in policy.categories)
                yield Way(route, True, None, None, subject.both(taken, some))
            continue
        models: list[str | None] = list(named(policy, route)) if "model" in asked else [None]
        plan: list[str | None] = list(route.fallbacks) if "fallback" in asked else [None]
        for model in models:
            for fallback in plan:
                yield Way(route, False, model, fallback, taken)


def named(policy: p.Policy, route: p.Route) -> tuple[str, ...]:
    """The models that a route's decisions name: candidates, fallbacks and the shadow."""
    shadow = () if route.shadow is None else (route.shadow[0],)
    return tuple(dict.fromkeys((*route.selection.candidates, *route.fallbacks, *shadow)))


def applies(analysis: Analysis, route: p.Route, category: str) -> Expr:
    """When a category's terms apply to a request that the route takes."""
    subject = analysis.subject
    if route.cache is False:
        return subject.table.const(False)
    if isinstance(route.cache, str):
        return subject.table.const(route.cache == category)
    earlier: list[Expr] = []
    for other in analysis.policy.categories:
        if other.name == category:
            return subject.both(other.when.expr, *(subject.no(e) for e in earlier))
        earlier.append(other.when.expr)
    raise KeyError(category)


def _of_way(analysis: Analysis, expr: Expr, way: Way) -> Expr:
    """The condition over requests that a promise's condition becomes, one way of deciding."""
    table = analysis.subject.table
    match expr:
        case Const():
            return expr
        case Not(operand=operand):
            return table.not_(_of_way(analysis, operand, way))
        case And(operands=operands):
            return table.and_([_of_way(analysis, o, way) for o in operands])
        case Or(operands=operands):
            return table.or_([_of_way(analysis, o, way) for o in operands])
        case _ if expr.variable.source != "decision":
            return expr
        case _:
            return _atom(analysis, expr, way)


def _atom(analysis: Analysis, atom: Truth | Compare | Equals | Contains | Empty, way: Way) -> Expr:
    subject, policy, variable = analysis.subject, analysis.policy, atom.variable
    table = subject.table
    route = way.by if isinstance(way.by, p.Route) else None
    match variable.name:
        case "category":
            assert isinstance(atom, Equals)
            if route is None:
                return table.const(atom.value == "none")
            if atom.value != "none":
                return applies(analysis, route, atom.value)
            return subject.no(
                subject.any(applies(analysis, route, c.name) for c in policy.categories)
            )
        case "redact":
            limit = (
                len(policy.guards) if route is not None else policy.guards.index(_guard(way)) + 1
            )
            return subject.any(
                g.when.expr
                for g in policy.guards[:limit]
                if g.redact and (isinstance(atom, Truth) or _has(atom, g.redact))
            )
        case "model" | "fallback":
            model = way.model if variable.name == "model" else way.fallback
            assert model is not None
            return table.const(_holds(atom, _read(policy.models[model], variable)))
        case _:
            known: dict[str, Plain | None] = {
                "cached": way.cached,
                "route": None if route is None else route.name,
                "reject": route is None if variable.member is None else way.by.name,
            }
            if variable.name == "reject" and variable.member is not None and route is not None:
                known["reject"] = None
            return table.const(_holds(atom, known[variable.name]))


def _guard(way: Way) -> p.Guard:
    assert isinstance(way.by, p.Guard)
    return way.by


def _has(atom: Truth | Compare | Equals | Contains | Empty, signals: tuple[str, ...]) -> bool:
    return isinstance(atom, Contains | Equals) and atom.value in signals


def _read(model: p.Model, variable: Variable) -> Plain | None:
    """A model's key; its name where no key is asked for."""
    match variable.member:
        case None:
            return model.name
        case "name":
            return model.target
        case "tags":
            return frozenset(model.tags)
        case "provider" | "region" | "endpoint" | "context" as key:
            found: Plain | None = getattr(model, key)
            return found
        case "input" | "output" | "quality" | "latency" as key:
            number = getattr(model, key)
            return None if number is None else float(number)
        case key:
            value = model.extra.get(key)
            if isinstance(value, tuple):
                return frozenset(value)
            return value if value is None or isinstance(value, bool | str) else float(value)


def _holds(atom: Truth | Compare | Equals | Contains | Empty, value: Plain | None) -> bool:
    """Whether an atom holds of a value; of an absent one nothing but emptiness does."""
    if value is None:
        return isinstance(atom, Empty)
    found: dict[str, Value] = {atom.variable.name: value}
    return evaluate(atom, found)


# --- the same, on a decision as it was made ---------------------------------------------------


def breaks(
    policy: p.Policy, promise: p.Promise, values: Mapping[str, Value], decision: Decision
) -> bool:
    """Whether a decision breaks a promise, by looking at the decision."""
    asked = {v.name for v in variables(promise.condition.expr) if v.source == "decision"}
    models: list[str | None] = [None]
    fallbacks: list[str | None] = [None]
    if asked & {"model", "fallback"}:
        route = next((r for r in policy.routes if r.name == decision.route), None)
        if route is None or decision.outcome != "route":
            return False
        shadow = () if route.shadow is None else (route.shadow[0],)
        if "model" in asked:
            models = [*decision.candidates, decision.model, *decision.fallbacks, *shadow]
        if "fallback" in asked:
            fallbacks = list(decision.fallbacks)
    return any(
        _says(policy, promise.condition.expr, values, decision, model, fallback) is promise.never
        for model in models
        for fallback in fallbacks
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
            return all(says(o) for o in operands)
        case Or(operands=operands):
            return any(says(o) for o in operands)
        case _ if expr.variable.source != "decision":
            return evaluate(expr, values)
        case _:
            variable = expr.variable
            if variable.name in ("model", "fallback"):
                name = model if variable.name == "model" else fallback
                return name is not None and _holds(expr, _read(policy.models[name], variable))
            if variable.name == "redact":
                redacted = decision.redacted
                return bool(redacted) if isinstance(expr, Truth) else _has(expr, redacted)
            facts: dict[str, Plain | None] = {
                "cached": decision.outcome == "cached",
                "route": decision.route,
                "category": decision.category or "none",
                "reject": decision.outcome == "reject",
            }
            if variable.name == "reject" and variable.member is not None:
                facts["reject"] = decision.guard or decision.reason
                if decision.outcome != "reject":
                    facts["reject"] = None
            return _holds(expr, facts[variable.name])
