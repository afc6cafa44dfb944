"""A policy as the analyses see it: its conditions joined into what really happens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from routec.compiler import policy as p
from routec.compiler.expr import Expr, Table, Variable
from routec.compiler.theory.solver import Answer, Sat, Theory, Unsat

Body = tuple[object, ...]


def body(route: p.Route) -> Body:
    """All of a route that decides: everything but its condition, priority and name."""
    return (
        route.selection,
        route.fallbacks,
        route.cache,
        route.parameters,
        route.sticky,
        route.shadow,
        route.tags,
        route.headers,
    )


def terms(category: p.Category) -> Body:
    """All of a category that matters once it applies."""
    return (
        category.similarity,
        category.max_error,
        category.ttl,
        category.quota,
        category.scope,
        category.relax_to,
        category.examples,
    )


@dataclass(slots=True)
class Subject:
    """A policy, the theory of its conditions, and the conditions under which its parts act.

    Attributes:
        policy: the policy.
        theory: decides questions about its conditions.
        table: makes conditions that build upon the policy's.
    """

    policy: p.Policy
    theory: Theory
    table: Table = field(default_factory=Table)
    _above: dict[str, Expr] = field(default_factory=dict)
    _effective: dict[str, Expr] = field(default_factory=dict)
    _taken: dict[str, Expr] = field(default_factory=dict)

    # --- conditions ---------------------------------------------------------------

    def both(self, *conditions: Expr) -> Expr:
        """All of these hold."""
        return self.table.and_(conditions)

    def any(self, conditions: Iterable[Expr]) -> Expr:
        """One of these holds."""
        return self.table.or_(conditions)

    def no(self, condition: Expr) -> Expr:
        """It does not hold."""
        return self.table.not_(condition)

    def rejecting(self) -> list[p.Guard]:
        """The guards that reject, in order of meaning."""
        return [g for g in self.policy.guards if g.reject is not None]

    def admitted(self) -> Expr:
        """No guard rejects."""
        return self.both(*(self.no(g.when.expr) for g in self.rejecting()))

    def prepare(self) -> None:
        """Work out when each route is eligible, and when it is taken."""
        above = self.admitted()
        earlier = above
        priority: int | None = None
        for route in self.policy.routes:
            if route.default or route.priority != priority:
                above, priority = earlier, route.priority
            self._above[route.name] = above
            self._effective[route.name] = self.both(route.when.expr, above)
            self._taken[route.name] = self.both(route.when.expr, earlier)
            earlier = self.both(earlier, self.no(route.when.expr))

    def above(self, route: p.Route) -> Expr:
        """No guard rejects and no route of higher priority holds."""
        return self._above[route.name]

    def effective(self, route: p.Route) -> Expr:
        """The route's condition, and no rejecting guard's, and no route's of higher priority."""
        return self._effective[route.name]

    def taken(self, route: p.Route) -> Expr:
        """The request is decided by this route: of equal priorities the first in the file."""
        return self._taken[route.name]

    # --- questions ----------------------------------------------------------------

    def possible(self, *conditions: Expr) -> Answer:
        """Whether some request meets all conditions; earlier models are asked first."""
        samples = self.theory.samples
        mask = samples.every
        for condition in conditions:
            mask &= samples.mask(condition)
        known = samples.model(mask)
        if known is not None:
            return Sat(known)
        return self.theory.solve(*(self.theory.literal(condition) for condition in conditions))

    def minimal(self, fixed: Sequence[Expr], parts: Sequence[Expr]) -> list[int] | None:
        """Indices of a smallest (by deletion) choice of `parts` that contradicts `fixed`.

        ``None`` where the budget did not suffice to show that even all of them do.
        """
        theory = self.theory
        base = [theory.literal(x) for x in fixed]
        literals = [theory.literal(x) for x in parts]
        answer = theory.solve(*base, *literals)
        if not isinstance(answer, Unsat):
            return None
        core = set(answer.core)
        kept = [at for at, x in enumerate(literals) if x in core]
        # Try to do without the later parts first: the earlier ones are blamed.
        for at in reversed(list(kept)):
            rest = [other for other in kept if other != at]
            answer = theory.solve(*base, *(literals[other] for other in rest))
            if isinstance(answer, Unsat):
                core = set(answer.core)
                kept = [other for other in rest if literals[other] in core]
        return kept


def conditions_of(policy: p.Policy) -> list[Expr]:
    """Every condition that analyses ask about: of rules, lets and promises, and each band."""
    table = policy.table
    found = [g.when.expr for g in policy.guards]
    found += [r.when.expr for r in policy.routes]
    found += [c.when.expr for c in policy.categories]
    found += [c.expr for c in policy.lets.values()]
    found += [promise.condition.expr for promise in policy.promises]
    for signal in policy.signals.values():
        if isinstance(signal.definition, p.Bands):
            label = Variable("signal", signal.name, None, signal.type)
            found += [table.equals(label, band.name) for band in signal.definition.bands]
    return found
