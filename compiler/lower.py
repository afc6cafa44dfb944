"""From a resolved policy to a program."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from routec.compiler import policy as p
from routec.compiler import program as g
from routec.compiler.dependencies import guarded_signals
from routec.compiler.expr import (
    And,
    Compare,
    Const,
    Contains,
    Empty,
    Equals,
    Expr,
    Not,
    Op,
    Or,
    Truth,
    Variable,
    bottom_up,
)
from routec.compiler.types import Scores, Value
from routec.dsl.source import Span

UNAVAILABLE_SELECTORS = ("least_loaded", "linucb", "thompson", "knn", "cascade", "affinity")
"""Selection algorithms of the language that this version does not run."""

_OPS: dict[Op, g.Op] = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq"}


@dataclass(frozen=True, slots=True)
class NotYet:
    """Something that is checked but cannot run: what, where, and what to do instead."""

    message: str
    span: Span
    help: str


class Unavailable(Exception):
    """The policy uses something that this version checks but does not run.

    Attributes:
        findings: what it uses, each as a message, a place and a help.
    """

    def __init__(self, findings: tuple[NotYet, ...]) -> None:
        super().__init__("; ".join(f.message for f in findings))
        self.findings = findings


def unavailable(policy: p.Policy) -> tuple[NotYet, ...]:
    """What the policy uses that cannot run yet, in the order of the policy."""
    found = [
        NotYet(
            f"`external` signals are not available yet, and `{signal.name}` is one",
            signal.span,
            "use a classifier, or fill a request field instead",
        )
        for signal in policy.signals.values()
        if signal.stage is p.Stage.REMOTE
    ]
    found += [
        NotYet(
            f"`by {route.selection.by}` is not available yet, and route `{route.name}` uses it",
            route.span,
            "use `weighted`, `cost`, `quality`, `latency`, `balanced` or `round_robin`",
        )
        for route in policy.routes
        if route.selection.by in UNAVAILABLE_SELECTORS
    ]
    found += [
        NotYet(
            f"budgets are not available yet, and `{budget.name}` is one",
            budget.span,
            "remove it; spending is not capped until then",
        )
        for budget in policy.budgets
    ]
    return tuple(found)


def lower(policy: p.Policy, *, normaliser: str, embedder: str | None = None) -> g.Program:
    """The program of a policy that has no errors.

    Args:
        policy: the policy.
        normaliser: version of the text normaliser of this installation.
        embedder: digest of the embedder that thresholds are meant for; ``None`` for any.

    Raises:
        Unavailable: if the policy uses something that cannot run yet.
    """
    missing = unavailable(policy)
    if missing:
        raise Unavailable(missing)
    nodes = _Nodes()
    guarded = guarded_signals(policy)
    signals = tuple(_signal(s, nodes, s.name in guarded) for s in policy.signals.values())
    categories = tuple(_category(c, nodes) for c in policy.categories)
    guards = tuple(
        g.Guard(
            name=guard.name,
            when=nodes.of(guard.when.expr),
            reject=_rejection(guard.reject),
            redact=guard.redact,
            tags=guard.tags,
            headers=guard.headers,
        )
        for guard in policy.guards
    )
    routes = tuple(_route(r, nodes) for r in policy.routes)
    return g.Program(
        schema=g.SCHEMA,
        name=policy.name,
        text=policy.text or "",
        normaliser=normaliser,
        embedder=embedder,
        fields=tuple(_field(f) for f in policy.fields.values()),
        variables=tuple(nodes.variables),
        nodes=tuple(nodes.nodes),
        signals=signals,
        models=tuple(_model(m) for m in policy.models.values()),
        categories=categories,
        guards=guards,
        routes=routes,
    )


class _Nodes:
    """Numbers the conditions in use, operands first, and the variables they read."""

    def __init__(self) -> None:
        self.nodes: list[g.Node] = []
        self.variables: list[g.Variable] = []
        self._numbers: dict[Expr, int] = {}
        self._variables: dict[Variable, int] = {}

    def of(self, expr: Expr) -> int:
        """Index of a condition."""
        for part in bottom_up(expr, self._numbers):
            self._numbers[part] = len(self.nodes)
            self.nodes.append(self._node(part))
        return self._numbers[expr]

    def variable(self, variable: Variable) -> int:
        """Index of a variable."""
        assert variable.source != "decision", "a program does not read its own decision"
        if variable not in self._variables:
            self._variables[variable] = len(self.variables)
            self.variables.append(
                g.Variable(
                    source=variable.source,
                    name=variable.name,
                    member=variable.member,
                    type=variable.type.kind.value,
                )
            )
        return self._variables[variable]

    def _node(self, expr: Expr) -> g.Node:
        match expr:
            case Const(value=value):
                return g.Node("const", value=value)
            case Truth(variable=variable):
                return g.Node("truth", self.variable(variable))
            case Compare(variable=variable, op=op, value=value):
                return g.Node(_OPS[op], self.variable(variable), _number(value))
            case Equals(variable=variable, value=text):
                return g.Node("is", self.variable(variable), text)
            case Contains(variable=variable, value=text):
                return g.Node("has", self.variable(variable), text)
            case Empty(variable=variable):
                return g.Node("empty", self.variable(variable))
            case Not(operand=operand):
                return g.Node("not", of=(self._numbers[operand],))
            case And(operands=operands):
                return g.Node("and", of=tuple(self._numbers[o] for o in operands))
            case Or(operands=operands):
                return g.Node("or", of=tuple(self._numbers[o] for o in operands))


def _number(value: Decimal) -> int | float:
    """A whole number as an int, anything else as the nearest double."""
    return int(value) if value == value.to_integral_value() else float(value)


def _maybe(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _constant(value: Value | None) -> g.Constant | tuple[str, ...] | None:
    """A value as JSON has it: a set as a sorted list, a classifier's answer as its label."""
    if isinstance(value, Scores):
        return value.label
    if isinstance(value, frozenset):
        return tuple(sorted(value))
    return value


def _field(field: p.Field) -> g.Field:
    return g.Field(
        name=field.name,
        type=field.type.kind.value,
        members=field.type.members,
        path=field.path or (),
        required=field.default is None,
        default=_constant(field.default),
    )


def _signal(signal: p.Signal, nodes: _Nodes, guarded: bool) -> g.Signal:
    return g.Signal(
        name=signal.name,
        kind=signal.kind,
        stage=signal.stage.value,
        type=signal.type.kind.value,
        guarded=guarded,
        on_error=_constant(signal.on_error),
        **_definition(signal.definition, nodes),
    )


def _definition(definition: p.Definition, nodes: _Nodes) -> dict[str, Any]:
    match definition:
        case p.Keyword():
            return {
                "phrases": definition.phrases,
                "match": definition.match,
                "case_sensitive": definition.case_sensitive,
                "scope": definition.scope,
            }
        case p.Regex():
            return {
                "pattern": definition.pattern,
                "flags": definition.flags,
                "scope": definition.scope,
            }
        case p.Structure():
            return {}
        case p.Clock():
            return {"zone": definition.zone}
        case p.Entities():
            return {"kinds": definition.kinds}
        case p.Repeated():
            return {"threshold": float(definition.similarity)}
        case p.Similarity():
            return {"examples": definition.examples, "reduce": definition.reduce}
        case p.Contrast():
            return {"high": definition.high, "low": definition.low}
        case p.Classifier():
            return {
                "backend": definition.backend,
                "labels": definition.labels,
                "exclusive": definition.exclusive,
                "timeout": _maybe(definition.timeout),
            }
        case p.Score():
            return {
                "constant": float(definition.constant),
                "summands": tuple(_summand(s, nodes) for s in definition.summands),
            }
        case p.Bands():
            return {
                "source": nodes.variable(definition.variable),
                "bands": tuple(
                    g.Band(b.name, _maybe(b.bound), b.inclusive) for b in definition.bands
                ),
            }
        case p.External():
            raise AssertionError("refused by `lower`")


def _summand(summand: p.Summand, nodes: _Nodes) -> g.Summand:
    return g.Summand(
        float(summand.coefficient),
        None if summand.variable is None else nodes.variable(summand.variable),
        None if summand.condition is None else nodes.of(summand.condition),
    )


def _model(model: p.Model) -> g.Model:
    return g.Model(
        name=model.name,
        target=model.target,
        provider=model.provider,
        endpoint=model.endpoint,
        input=_maybe(model.input),
        output=_maybe(model.output),
        context=model.context,
        quality=_maybe(model.quality),
        region=model.region,
        latency=_maybe(model.latency),
        tags=model.tags,
    )


def _category(category: p.Category, nodes: _Nodes) -> g.Category:
    relax = category.relax_to
    return g.Category(
        name=category.name,
        when=nodes.of(category.when.expr),
        similarity=_maybe(category.similarity),
        max_error=_maybe(category.max_error),
        ttl=_maybe(category.ttl),
        quota=None if category.quota is None else float(category.quota),
        scope=category.scope,
        relax_to=None if relax is None else (float(relax[0]), float(relax[1])),
        examples=_maybe(category.examples),
    )


def _rejection(reject: p.Rejection | None) -> g.Rejection | None:
    return None if reject is None else g.Rejection(reject.status, reject.reason)


def _route(route: p.Route, nodes: _Nodes) -> g.Route:
    selection = route.selection
    forced = route.cache if isinstance(route.cache, str) else None
    return g.Route(
        name=route.name,
        when=nodes.of(route.when.expr),
        by=selection.by,
        candidates=selection.candidates,
        weights=tuple(float(w) for w in selection.weights),
        args=tuple((name, float(value)) for name, value in selection.args),
        fallbacks=route.fallbacks,
        cache="off" if route.cache is False else "auto" if forced is None else "force",
        category=forced,
        parameters=dict(route.parameters),
        sticky=route.sticky,
        shadow=None if route.shadow is None else (route.shadow[0], float(route.shadow[1])),
        tags=route.tags,
        headers=route.headers,
    )
