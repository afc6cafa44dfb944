"""Cache categories: which meet, and which share what they should keep apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import combinations

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis, further
from routec.compiler.analysis.promises import applies
from routec.compiler.analysis.subject import terms
from routec.compiler.analysis.witness import Witness
from routec.compiler.dependencies import reads
from routec.compiler.expr import Expr, Variable
from routec.compiler.rules import leaky_scope, overlapping_categories
from routec.compiler.theory.encoding import Encoding, key_of
from routec.compiler.theory.solver import Answer, Model, Sat, Unknown, Unsat
from routec.compiler.types import Kind
from routec.dsl.diagnostic import Diagnostic

TENANTS = frozenset(
    (
        "tenant",
        "user",
        "customer",
        "account",
        "organisation",
        "organization",
        "org",
        "workspace",
        "team",
    )
)
"""Names of fields that tell tenants apart, alone or followed by ``_id``."""

TERMS = ("similarity", "max_error", "ttl", "quota", "scope", "relax_to", "examples")


def overlapping(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC208: categories that claim the same request with different terms."""
    subject, policy = analysis.subject, analysis.policy
    choosing = {r.name for r in policy.routes if r.cache is None}
    cached = subject.any(subject.taken(r) for r in policy.routes if r.name in choosing)
    rule = overlapping_categories.RULE
    for first, second in combinations(policy.categories, 2):
        if terms(first) == terms(second):
            continue
        meet = subject.both(first.when.expr, second.when.expr, cached)
        answer = subject.possible(meet)
        if isinstance(answer, Unsat):
            continue
        question = f"whether `{first.name}` and `{second.name}` can claim the same request"
        names = (second.name, first.name)
        if isinstance(answer, Unknown):
            yield analysis.unknown(rule, question, second.span, answer.reason, *names)
            continue

        def shows(witness: Witness, first: p.Category = first, second: p.Category = second) -> bool:
            return (
                analysis.holds(first.when.expr, witness)
                and analysis.holds(second.when.expr, witness)
                and analysis.witnesses.route(witness).route in choosing
            )

        shown = analysis.show(answer.model, shows)
        if shown is None:
            yield analysis.unconfirmed(rule, question, second.span, *names)
            continue
        differ = next(t for t in TERMS if getattr(first, t) != getattr(second, t))
        finding = overlapping_categories.overlapping_categories(first, second, f"`{differ}`")
        yield replace(finding, witness=shown[1])


# --- what is shared by all ----------------------------------------------------------------


def leaking(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC302: categories shared by all that see data of one tenant."""
    policy = analysis.policy
    fields = telling_tenants_apart(policy)
    personal: _Personal | None = None
    for category in policy.categories:
        if category.scope is not None:
            continue
        enters = entering(analysis, category, policy.routes)
        answer = analysis.subject.possible(enters)
        if isinstance(answer, Unknown):
            yield _doubt(analysis, category, answer)
        if not isinstance(answer, Sat):
            continue
        finding = _by_field(analysis, category, enters, fields)
        if finding is None:
            personal = personal or _personal(analysis)
            finding = _by_entities(personal, category, enters, fields)
        if finding is not None:
            yield finding


def telling_tenants_apart(policy: p.Policy) -> list[str]:
    """The fields that tell tenants apart, in file order."""
    used = {c.scope for c in policy.categories} | {r.sticky for r in policy.routes}
    used |= {b.per for b in policy.budgets}
    return [n for n in policy.fields if n in used or n.removesuffix("_id") in TENANTS]


def entering(analysis: Analysis, category: p.Category, routes: Iterable[p.Route]) -> Expr:
    """One of these routes takes the request, and its answer is kept under this category."""
    subject = analysis.subject
    return subject.any(
        subject.both(subject.taken(route), applies(analysis, route, category.name))
        for route in routes
        if route.cache is not False
    )


def _by_field(
    analysis: Analysis, category: p.Category, enters: Expr, fields: Sequence[str]
) -> Diagnostic | None:
    """A finding where a condition on the way into the category reads a field of tenants."""
    policy = analysis.policy
    choosing = [r for r in policy.routes if r.cache is None]
    ways: list[tuple[Expr, p.Route | None, list[p.Route]]]
    ways = [(category.when.expr, None, choosing)]
    ways += [(r.when.expr, r, [r]) for r in policy.routes if r.cache in (None, category.name)]
    for condition, route, through in ways:
        read = reads(policy.signals, condition)
        for name in fields:
            if name not in read or read[name].source != "field":
                continue
            answer = analysis.subject.possible(entering(analysis, category, through))
            several = _several(analysis, enters, read[name])
            if isinstance(answer, Unsat) or isinstance(several, Unsat):
                continue
            for doubt in (answer, several):
                if isinstance(doubt, Unknown):
                    return _doubt(analysis, category, doubt)
            assert isinstance(answer, Sat)

            def shows(witness: Witness, through: Sequence[p.Route] = through) -> bool:
                decision = analysis.witnesses.route(witness)
                taking = {r.name for r in through}
                return decision.category == category.name and decision.route in taking

            shown = analysis.show(answer.model, shows)
            if shown is None:
                return _unconfirmed(analysis, category)
            finding = leaky_scope.reads_field(category, policy.fields[name], route)
            return replace(finding, witness=shown[1])
    return None


def _several(analysis: Analysis, enters: Expr, variable: Variable) -> Answer:
    """Whether requests with different values of a field enter."""
    theory = analysis.subject.theory
    answer = analysis.subject.possible(enters)
    if not isinstance(answer, Sat):
        return answer
    pinned = _pinning(theory.encoding, variable, answer.model)
    if not pinned:
        return answer
    other = theory.encoding.disjunction(-literal for literal in pinned)
    return theory.solve(theory.literal(enters), other)


def _pinning(encoding: Encoding, variable: Variable, model: Model) -> list[int]:
    """The literals that leave the variable no other value than the model's; none if several are.

    A value that no condition mentions has others beside it that none can tell from it.
    """
    key, kind = key_of(variable), variable.type
    if key in encoding.truths:
        literal = encoding.truths[key]
        return [literal if model.holds(literal) else -literal]
    if key in encoding.members and kind.kind is not Kind.SET:
        literals = encoding.members[key].literals.values()
        chosen = [literal for literal in literals if model.holds(literal)]
        if not chosen and len(kind.members) - len(literals) == 1:
            return [-literal for literal in literals]
        return chosen
    if key in encoding.numbers:
        below: tuple[Decimal, int, int] | None = None
        for (value, above), literal in encoding.numbers[key].ordered():
            if model.holds(literal):
                if below is None:
                    return []
                gap = value - below[0]
                single = gap == 1 if kind.kind is Kind.INT else gap == 0 and above != below[1]
                return [literal, -below[2]] if single else []
            below = (value, above, literal)
    return []


# --- personal data ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Personal:
    """The entities signals of a policy, and an analysis that can ask about every kind.

    Attributes:
        analysis: of the same policy.
        kinds: what each signal looks for.
        holding: that a signal finds a kind.
        agree: all signals that look for a kind find the same.
    """

    analysis: Analysis
    kinds: dict[str, tuple[str, ...]]
    holding: dict[tuple[str, str], Expr]
    agree: Expr


def _personal(analysis: Analysis) -> _Personal:
    policy, subject = analysis.policy, analysis.subject
    kinds = {
        name: signal.definition.kinds
        for name, signal in policy.signals.items()
        if isinstance(signal.definition, p.Entities)
    }
    holding: dict[tuple[str, str], Expr] = {}
    for name, own in kinds.items():
        variable = Variable("signal", name, None, policy.signals[name].type)
        for kind in own:
            holding[name, kind] = policy.table.contains(variable, kind)
    agree: list[Expr] = []
    for one, other in combinations(kinds, 2):
        for kind in set(kinds[one]) & set(kinds[other]):
            left, right = holding[one, kind], holding[other, kind]
            agree.append(subject.any((left, subject.no(right))))
            agree.append(subject.any((right, subject.no(left))))
    known = further(analysis, list(holding.values())) if kinds else analysis
    return _Personal(known, kinds, holding, subject.both(*agree))


def _by_entities(
    personal: _Personal, category: p.Category, enters: Expr, fields: Sequence[str]
) -> Diagnostic | None:
    """A finding where something that an entities signal finds enters unredacted."""
    analysis, kinds = personal.analysis, personal.kinds
    subject, policy = analysis.subject, analysis.policy
    for name, own in kinds.items():
        covering = {other for other in kinds if set(own) <= set(kinds[other])}
        unredacted = [
            subject.no(g.when.expr) for g in policy.guards if covering.intersection(g.redact)
        ]
        some = subject.any(personal.holding[name, kind] for kind in own)
        answer = subject.possible(subject.both(enters, some, personal.agree, *unredacted))
        if isinstance(answer, Unknown):
            return _doubt(analysis, category, answer)
        if not isinstance(answer, Sat):
            continue

        def shows(witness: Witness, name: str = name, covering: set[str] = covering) -> bool:
            decision = analysis.witnesses.route(witness)
            return (
                decision.category == category.name
                and bool(witness.signals[name])
                and not covering.intersection(decision.redacted)
                and _agreeing(kinds, witness)
            )

        shown = analysis.show(answer.model, shows)
        if shown is None:
            return _unconfirmed(analysis, category)
        scope = fields[0] if fields else None
        finding = leaky_scope.takes_entities(category, policy.signals[name], scope)
        return replace(finding, witness=shown[1])
    return None


def _agreeing(kinds: dict[str, tuple[str, ...]], witness: Witness) -> bool:
    """Whether all signals that look for a kind of entity find the same."""
    for one, other in combinations(kinds, 2):
        left, right = witness.signals[one], witness.signals[other]
        assert isinstance(left, frozenset)
        assert isinstance(right, frozenset)
        both = set(kinds[one]) & set(kinds[other])
        if left & both != right & both:
            return False
    return True


def _doubt(analysis: Analysis, category: p.Category, answer: Unknown) -> Diagnostic:
    return analysis.unknown(
        leaky_scope.RULE, _question(category), category.span, answer.reason, category.name
    )


def _unconfirmed(analysis: Analysis, category: p.Category) -> Diagnostic:
    return analysis.unconfirmed(leaky_scope.RULE, _question(category), category.span, category.name)


def _question(category: p.Category) -> str:
    return f"whether `{category.name}` shares data of one tenant"
