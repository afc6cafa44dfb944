"""Which recorded requests a finding speaks of, each decided from what is known of the request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from routec.cli.corpus import Corpus, Known
from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis
from routec.compiler.analysis.categories import entering
from routec.compiler.analysis.cost import worst
from routec.compiler.analysis.promises import breaking
from routec.compiler.expr import And, Const, Expr, Not, Or, Variable
from routec.compiler.interpreter import evaluate
from routec.compiler.types import Value
from routec.dsl.diagnostic import Diagnostic, Verdict

Region = Callable[[Known, "Truths"], bool | None]
"""Whether a request is one of those spoken of; ``None`` where that is not known."""

SHOWN = frozenset({"RC201", "RC206", "RC208", "RC209", "RC301", "RC302", "RC303", "RC306"})
"""Rules that say that some request does something: one such request in the records shows it."""


class Truths:
    """What holds of one request of which not all is known (Kleene's three-valued logic).

    Args:
        values: what is known.
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        self._known: dict[Expr, bool | None] = {}

    def of(self, condition: Expr) -> bool | None:
        """Whether a condition holds; ``None`` where that depends on what is not known."""
        known = self._known
        # Joined conditions nest too deeply for recursion; the last operand is the flat one.
        stack: list[tuple[Expr, int, bool]] = [(condition, 0, False)]
        while stack:
            top, at, doubt = stack.pop()
            if top in known:
                continue
            if isinstance(top, Not):
                if top.operand in known:
                    inner = known[top.operand]
                    known[top] = None if inner is None else not inner
                else:
                    stack += ((top, 0, False), (top.operand, 0, False))
            elif isinstance(top, And | Or):
                settles, parts = isinstance(top, Or), top.operands
                while at < len(parts) and parts[-1 - at] in known:
                    value = known[parts[-1 - at]]
                    if value is settles:
                        break
                    doubt = doubt or value is None
                    at += 1
                if at == len(parts):
                    known[top] = None if doubt else not settles
                elif parts[-1 - at] in known:
                    known[top] = settles
                else:
                    stack += ((top, at, doubt), (parts[-1 - at], 0, False))
            elif isinstance(top, Const):
                known[top] = top.value
            else:
                there = top.variable.name in self._values
                known[top] = evaluate(top, self._values) if there else None
        return known[condition]


@dataclass(frozen=True, slots=True)
class Regions:
    """Finds the region of each finding about one policy.

    Attributes:
        analysis: the policy, and the conditions under which its parts act.
        corpus: works out values again where a signal is another.
    """

    analysis: Analysis
    corpus: Corpus

    def of(self, finding: Diagnostic) -> Region | None:
        """The requests that a finding speaks of; ``None`` where it speaks of none.

        An undecided finding has a region only if one request in it would settle it.
        """
        code = finding.code
        if finding.verdict is Verdict.UNKNOWN and code not in SHOWN:
            return None
        policy = self.analysis.policy
        names = finding.subjects
        routes = [r for n in names for r in policy.routes if r.name == n]
        guards = [g for n in names[:1] for g in policy.guards if g.name == n]
        categories = [c for n in names for c in policy.categories if c.name == n]
        match code:
            case "RC209":
                promise = next(x for x in policy.promises if x.text == names[0])
                return _where(breaking(self.analysis, promise))
            case "RC301" if guards:
                return self._opened(guards[0], policy.signals[names[1]])
            case "RC302" if categories:
                return _where(self._shared(categories[0], names))
            case "RC208" if len(categories) == 2:
                return _where(self._claimed(categories[0], categories[1]))
            case "RC402":
                return _where(worst(self.analysis).needs)
            case "RC203":
                return None
        if routes:
            return self._of_routes(code, routes, names)
        if guards and code in ("RC205", "RC212"):
            return _where(self._acts(guards[0]))
        if categories and code in ("RC205", "RC212"):
            return _where(entering(self.analysis, categories[0], policy.routes))
        return None

    def _of_routes(self, code: str, routes: list[p.Route], names: Iterable[str]) -> Region | None:
        subject = self.analysis.subject
        first = routes[0]
        match code:
            case "RC201" | "RC213" if len(routes) == 2:
                return _where(subject.both(*(subject.effective(r) for r in routes)))
            case "RC206" if len(routes) == 2:
                return _where(subject.both(subject.effective(routes[1]), first.when.expr))
            case "RC202":
                return _where(first.when.expr)
            case "RC204" | "RC205" | "RC212" | "RC304" | "RC305":
                return _where(subject.taken(first))
            case "RC303":
                return self._sized(first, frozenset(), elsewhere=True)
            case "RC306":
                return self._sized(first, frozenset(names), elsewhere=False)
        return None

    def _acts(self, guard: p.Guard) -> Expr:
        """The guard's condition holds, and no earlier guard rejects."""
        subject, policy = self.analysis.subject, self.analysis.policy
        earlier = policy.guards[: policy.guards.index(guard)]
        refused = (subject.no(g.when.expr) for g in earlier if g.reject is not None)
        return subject.both(guard.when.expr, *refused)

    def _claimed(self, one: p.Category, other: p.Category) -> Expr:
        """Both categories' conditions hold where a route leaves the choice to them."""
        subject = self.analysis.subject
        choosing = [r for r in self.analysis.policy.routes if r.cache is None]
        taken = subject.any(subject.taken(r) for r in choosing)
        return subject.both(one.when.expr, other.when.expr, taken)

    def _shared(self, category: p.Category, names: Iterable[str]) -> Expr:
        """The request enters the category, with unredacted entities where these are the matter."""
        subject, policy = self.analysis.subject, self.analysis.policy
        enters = entering(self.analysis, category, policy.routes)
        for name in names:
            signal = policy.signals.get(name)
            if signal is not None and isinstance(signal.definition, p.Entities):
                variable = Variable("signal", name, None, signal.type)
                found = subject.any(
                    subject.table.contains(variable, kind) for kind in signal.definition.kinds
                )
                redacted = subject.any(g.when.expr for g in policy.guards if name in g.redact)
                return subject.both(enters, found, subject.no(redacted))
        return enters

    def _opened(self, guard: p.Guard, signal: p.Signal) -> Region:
        """The guard rejects, and no guard would if the signal failed."""
        acts = self._acts(guard)
        admitted = self.analysis.subject.admitted()

        def region(known: Known, truths: Truths) -> bool | None:
            rejected = truths.of(acts)
            if rejected is False or signal.on_error is None:
                return False
            given = {n: v for n, v in known.values.items() if not self._derived(n)}
            failed = self.corpus.derive({**given, signal.name: signal.on_error})
            passed = Truths(failed).of(admitted)
            if passed is False:
                return False
            return True if rejected and passed else None

        return region

    def _derived(self, name: str) -> bool:
        signal = self.analysis.policy.signals.get(name)
        return signal is not None and signal.stage is p.Stage.DERIVED

    def _sized(self, route: p.Route, down: frozenset[str], *, elsewhere: bool) -> Region:
        """The route is taken by a request that its models hold, but not those left of them.

        `down` are models that do not answer. What is asked is whether one of the route's own
        models would hold it, or one `elsewhere` in the policy.
        """
        models = self.analysis.policy.models
        plan = [*route.selection.candidates, *route.fallbacks]
        left = [models[n] for n in plan if n not in down]
        could = list(models.values()) if elsewhere else [models[n] for n in plan]
        reserved = dict(route.parameters).get("max_tokens")
        answer = reserved if type(reserved) is int else 0
        taken = self.analysis.subject.taken(route)

        def holds(some: Iterable[p.Model], tokens: int) -> bool:
            return any(m.context is None or tokens + answer <= m.context for m in some)

        def region(known: Known, truths: Truths) -> bool | None:
            if holds(left, known.tokens) or not holds(could, known.tokens):
                return False
            return truths.of(taken)

        return region


def _where(condition: Expr) -> Region:
    def region(known: Known, truths: Truths) -> bool | None:
        return truths.of(condition)

    return region
