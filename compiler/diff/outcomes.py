"""What decisions do: in how many ways two decisions can differ, and which requests get which.

A decision is looked at in facets: where it ends (a plan of models, or a rejection), whether the
request is too large for it, whose cache terms apply, what is masked, each tag, each header. In
one facet a request has one outcome, or none. An outcome is what is done, not what the rule that
does it is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from routec.compiler import policy as p
from routec.compiler.diff.identity import Identity, of_model
from routec.compiler.diff.union import Seen, Side, Union
from routec.compiler.expr import Expr, Variable
from routec.compiler.types import COUNT

ENDING, CACHE, OVERFLOW = "ending", "cache", "overflow"
_TOO_LARGE = ("context_overflow",)

Key = Identity
"""What an outcome does; ``None`` stands for a facet's "none of these"."""


@dataclass(slots=True)
class Outcome:
    """Something that a decision can do, and when each policy does it.

    Attributes:
        key: what it does.
        names: for each policy, the rules that do it, as ``(kind, name)``.
        when: for each policy, the condition under which it does.
        label: what to call it; filled in when all are known.
    """

    key: Key
    names: tuple[list[tuple[str, str]], list[tuple[str, str]]]
    when: list[Expr]
    label: str = ""


@dataclass(slots=True)
class Facet:
    """One respect in which decisions can differ; a request has at most one of its outcomes.

    Attributes:
        name: ``ending``, ``overflow``, ``cache``, ``redact KIND``, ``tag TEXT`` or ``header NAME``.
        outcomes: by what they do.
    """

    name: str
    outcomes: dict[Key, Outcome] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """A decision as far as outcomes go, whoever made it.

    Attributes:
        reject: status and reason of a guard's rejection.
        overflow: whether no model of the route holds the request.
        route: the route taken; ``None`` also where it is not known.
        category: the category whose terms apply.
        masked: kinds of the entities that are masked.
        tags: its tags.
        headers: its headers.
    """

    reject: tuple[int, str] | None
    overflow: bool
    route: str | None
    category: str | None
    masked: frozenset[str]
    tags: frozenset[str]
    headers: Mapping[str, str]


class Doing:
    """What the decisions of one policy do, in the terms of a comparison."""

    def __init__(self, side: Side) -> None:
        self._side = side
        policy = side.policy
        self.plans = {route.name: self._plan(route) for route in policy.routes}
        self.terms = {category.name: self._terms(category) for category in policy.categories}

    def of(self, facts: Facts) -> dict[str, Key]:
        """The outcome of a decision in each facet in which it has one."""
        found: dict[str, Key] = {}
        if facts.reject is not None:
            found[ENDING] = ("reject", *facts.reject)
        elif facts.route is not None:
            found[ENDING] = self.plans[facts.route]
        if facts.overflow:
            found[OVERFLOW] = _TOO_LARGE
        if facts.category is not None:
            found[CACHE] = self.terms[facts.category]
        found |= {f"redact {kind}": (kind,) for kind in facts.masked}
        found |= {f"tag {tag}": (tag,) for tag in facts.tags}
        found |= {f"header {name}": (value,) for name, value in facts.headers.items()}
        return found

    def facts(self, seen: Seen) -> Facts:
        """What the decisions of the reference interpreter about a request do."""
        decision = seen.decision
        reject: tuple[int, str] | None = None
        if decision.outcome == "reject":
            assert decision.status is not None
            assert decision.reason is not None
            reject = (decision.status, decision.reason)
        signals = self._side.policy.signals
        kinds = (kind for name in decision.redacted for kind in signals[name].type.members)
        return Facts(
            reject,
            seen.overflow,
            decision.route,
            decision.category,
            frozenset(kinds) & seen.entities,
            frozenset(decision.tags),
            decision.headers,
        )

    def _plan(self, route: p.Route) -> Key:
        """All that a route does to a request but annotate it and choose its cache."""
        models, selection = self._side.policy.models, route.selection

        def served(names: Iterable[str], by: str) -> Identity:
            return tuple(of_model(models[name], by) for name in names)

        return (
            "route",
            selection.by,
            served(selection.candidates, selection.by),
            selection.weights,
            tuple(sorted(selection.args)),
            served(_retries(route), "only"),
            tuple(sorted(route.parameters)),
            None if route.sticky is None else self._side.bindings[route.sticky].name,
            None
            if route.shadow is None
            else (of_model(models[route.shadow[0]], "only"), route.shadow[1]),
        )

    def _terms(self, category: p.Category) -> Key:
        scope = category.scope
        return (
            category.similarity,
            category.max_error,
            category.ttl,
            category.quota,
            None if scope is None else self._side.bindings[scope].name,
            category.relax_to,
            category.examples,
        )


def _retries(route: p.Route) -> Iterable[str]:
    """The retry plan as decisions carry it: each model once, and not the only candidate again."""
    candidates = route.selection.candidates
    target = candidates[0] if len(candidates) == 1 else None
    return dict.fromkeys(name for name in route.fallbacks if name != target)


def facets(union: Union, doing: Sequence[Doing]) -> list[Facet]:
    """Every facet of the decisions of both policies, with when each outcome comes about."""
    collected = _Collector(union)
    for at, (side, does) in enumerate(zip((union.old, union.new), doing, strict=True)):
        collected.add(at, side, does)
    found = collected.finish()
    for facet in found:
        label(facet)
    return found


class _Collector:
    """Gathers conditions by facet, outcome and policy."""

    def __init__(self, union: Union) -> None:
        self._union = union
        self._when: dict[str, dict[Key, tuple[list[Expr], list[Expr]]]] = {}
        self._names: dict[str, dict[Key, tuple[list[tuple[str, str]], list[tuple[str, str]]]]] = {}

    def finish(self) -> list[Facet]:
        """The facets, those of endings and caches first, then by name."""
        first = (ENDING, CACHE, OVERFLOW)
        order = sorted(self._when, key=lambda n: (first.index(n) if n in first else 3, n))
        any_ = self._union.new.any
        return [
            Facet(
                name,
                {
                    key: Outcome(key, self._names[name][key], [any_(*old), any_(*new)])
                    for key, (old, new) in self._when[name].items()
                },
            )
            for name in order
        ]

    def _put(self, at: int, facet: str, key: Key, when: Expr, *names: tuple[str, str]) -> None:
        self._when.setdefault(facet, {}).setdefault(key, ([], []))[at].append(when)
        known = self._names.setdefault(facet, {}).setdefault(key, ([], []))[at]
        known += [name for name in names if name not in known]

    def add(self, at: int, side: Side, does: Doing) -> None:
        """Gather those of one policy."""
        policy = side.policy
        admitted = side.table.const(True)
        headers: dict[str, dict[str, Expr]] = {}
        for guard in policy.guards:
            when = side.condition(guard.when.expr)
            acts = side.all(admitted, when)
            named = ("guard", guard.name)
            self._masks(at, side, guard, acts)
            for tag in guard.tags:
                self._put(at, f"tag {tag}", (tag,), acts)
            for name, value in dict(guard.headers).items():
                _overwrite(side, headers.setdefault(name, {}), value, acts)
            if guard.reject is not None:
                key = ("reject", guard.reject.status, guard.reject.reason)
                self._put(at, ENDING, key, acts, named)
                admitted = side.all(admitted, side.no(when))
        self._routes(at, side, does, admitted, headers)
        for name, values in headers.items():
            for value, when in values.items():
                self._put(at, f"header {name}", (value,), when)

    def _masks(self, at: int, side: Side, guard: p.Guard, acts: Expr) -> None:
        for signal in guard.redact:
            binding = side.bindings[signal]
            everything = Variable("signal", binding.name, None, binding.type)
            for kind in binding.kinds:
                holds = side.table.contains(everything, kind)
                self._put(at, f"redact {kind}", (kind,), side.all(acts, holds))

    def _routes(
        self,
        at: int,
        side: Side,
        does: Doing,
        admitted: Expr,
        headers: dict[str, dict[str, Expr]],
    ) -> None:
        policy = side.policy
        left = admitted
        automatic: list[Expr] = []
        set_by_routes: dict[str, dict[str, list[Expr]]] = {}
        for route in policy.routes:
            when = side.condition(route.when.expr)
            taken = side.all(left, when)
            left = side.all(left, side.no(when))
            named = ("route", route.name)
            self._put(at, ENDING, does.plans[route.name], taken, named)
            fits = self._fits(side, route)
            if fits is not side.table.const(True):
                self._put(at, OVERFLOW, _TOO_LARGE, side.all(taken, side.no(fits)))
            for tag in route.tags:
                self._put(at, f"tag {tag}", (tag,), taken)
            for name, value in dict(route.headers).items():
                set_by_routes.setdefault(name, {}).setdefault(value, []).append(taken)
            if route.cache is None:
                automatic.append(taken)
            elif isinstance(route.cache, str):
                forced = does.terms[route.cache]
                self._put(at, CACHE, forced, taken, ("category", route.cache))
        # Of routes one is taken, so what they set does not meet.
        for name, values in set_by_routes.items():
            guards = headers.setdefault(name, {})
            somehow = side.any(*(taken for takens in values.values() for taken in takens))
            for value in dict.fromkeys((*guards, *values)):
                before = side.all(guards.get(value, side.table.const(False)), side.no(somehow))
                guards[value] = side.any(before, *values.get(value, ()))
        unclaimed = side.any(*automatic)
        for category in policy.categories:
            when = side.condition(category.when.expr)
            self._put(
                at,
                CACHE,
                does.terms[category.name],
                side.all(unclaimed, when),
                ("category", category.name),
            )
            unclaimed = side.all(unclaimed, side.no(when))

    def _fits(self, side: Side, route: p.Route) -> Expr:
        """Some model of the route holds the request, which sets no limit of its own."""
        models = side.policy.models
        contexts = [models[m].context for m in (*route.selection.candidates, *route.fallbacks)]
        known = [context for context in contexts if context is not None]
        if self._union.size is None or len(known) < len(contexts):
            return side.table.const(True)
        limit = dict(route.parameters).get("max_tokens")
        answer = limit if isinstance(limit, int) and not isinstance(limit, bool) else 0
        size = Variable("signal", self._union.size, None, COUNT)
        return side.table.compare(size, "<=", Decimal(max(known) - answer))


def _overwrite(side: Side, values: dict[str, Expr], value: str, acts: Expr) -> None:
    """Let a header take a value where a rule acts, whatever it was before."""
    for other in values:
        values[other] = side.all(values[other], side.no(acts))
    values[value] = side.any(values.get(value, side.table.const(False)), acts)


# --- what outcomes are called -----------------------------------------------------------------


def label(facet: Facet) -> None:
    """Give every outcome of a facet a name of its own."""
    taken: set[str] = set()
    for outcome in facet.outcomes.values():
        name = _label(facet, outcome)
        wanted, count = name, 2
        while name in taken:
            name, count = f"{wanted} #{count}", count + 1
        taken.add(name)
        outcome.label = name


def none_of(facet: Facet) -> str:
    """What to call it that a request has none of a facet's outcomes."""
    return {CACHE: "no category", OVERFLOW: "no overflow"}.get(facet.name, f"no {facet.name}")


def _label(facet: Facet, outcome: Outcome) -> str:
    if facet.name.startswith("header "):
        return f"{facet.name}: {outcome.key[0]}"
    if facet.name == OVERFLOW:
        return "reject context_overflow"
    if facet.name not in (ENDING, CACHE):
        return facet.name
    old, new = outcome.names
    if old and new and not set(old) & set(new):
        return f"{_listed(old)} (now {_listed(new, kind=False)})"
    text = _listed(list(dict.fromkeys((*old, *new))))
    for names, across, suffix in ((old, 1, " (old)"), (new, 0, " (new)")):
        if names and not outcome.names[across] and _elsewhere(facet, names, across):
            return text + suffix
    return text


def _elsewhere(facet: Facet, names: list[tuple[str, str]], across: int) -> bool:
    """Whether one of these rules does something else in the other policy."""
    there = {name for outcome in facet.outcomes.values() for name in outcome.names[across]}
    return any(name in there for name in names)


def _listed(names: list[tuple[str, str]], *, kind: bool = True) -> str:
    shown = ", ".join(name for _, name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (f"{names[0][0]} " if kind else "") + shown + more
