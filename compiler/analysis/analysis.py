"""What every analysis gets: the subject, the maker of witnesses, and the way to say "unknown"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routec.compiler import policy as p
from routec.compiler.analysis.subject import Subject, conditions_of
from routec.compiler.analysis.vectors import Vectors, open_vectors
from routec.compiler.analysis.witness import Witness, Witnesses, as_json
from routec.compiler.expr import And, Const, Expr, Not, Or
from routec.compiler.interpreter import Decision, evaluate
from routec.compiler.lock import Lock, NoLock
from routec.compiler.theory.solver import Budget, Model, Theory
from routec.compiler.theory.texts import Texts
from routec.compiler.types import Value
from routec.dsl.diagnostic import Diagnostic, Rule, Verdict
from routec.dsl.source import Source, Span

Check = Callable[["Analysis"], Iterator[Diagnostic]]


@dataclass(frozen=True, slots=True)
class Analysis:
    """One policy under analysis.

    Attributes:
        policy: the policy.
        subject: its conditions and the theory that decides about them.
        witnesses: makes requests that show a finding.
        sources: the policy's files by name.
        vectors: what is known of the vectors behind its similarity signals; ``None`` where it
            reads none, or takes their values as free.
        lock: where these came from.
    """

    policy: p.Policy
    subject: Subject
    witnesses: Witnesses
    sources: Mapping[str, Source]
    vectors: Vectors | None = None
    lock: Lock | NoLock | None = None

    def written(self, span: Span) -> str:
        """What stands at a place, on one line and not too long."""
        text = " ".join(self.sources[span.file].text[span.start : span.end].split())
        return text if len(text) <= 60 else text[:59] + "…"

    def holds(self, condition: Expr, witness: Witness) -> bool:
        """Whether a condition holds of a witness, as the reference interpreter evaluates it."""
        return holds(condition, self.witnesses.values(witness))

    def reached(self, route: p.Route, witness: Witness) -> bool:
        """Whether no guard rejects a witness and no route of higher priority holds."""
        decision = self.witnesses.decide(witness)
        if decision.overflow:
            return self.holds(self.subject.above(route), witness)
        if decision.route is None:
            return False
        taken = next(r for r in self.policy.routes if r.name == decision.route)
        return taken.default or (not route.default and taken.priority <= route.priority)

    def show(
        self, model: Model, shows: Callable[[Witness], bool]
    ) -> tuple[Witness, dict[str, Any]] | None:
        """A witness that shows what it should, re-executed, and its JSON; ``None`` if none does."""
        witness = self.witnesses.find(model, shows)
        if witness is None:
            return None
        decision = self.witnesses.decide(witness)
        return witness, as_json(self.policy, witness, outcome(decision))

    def unknown(
        self, rule: Rule, question: str, span: Span, reason: str, *subjects: str
    ) -> Diagnostic:
        """A question that was not decided, such as ``whether `a` can be reached``."""
        help = "raise the effort with `--budget`, or simplify the conditions"
        if self.vectors is not None and self.vectors.missing(reason):
            help = self.vectors.help
        return Diagnostic(
            rule,
            f"not decided {question}: {reason}",
            span,
            help=help,
            subjects=subjects,
            verdict=Verdict.UNKNOWN,
        )

    def unconfirmed(self, rule: Rule, question: str, span: Span, *subjects: str) -> Diagnostic:
        """A model was found but no request that the interpreter confirms."""
        return self.unknown(
            rule, question, span, "no request could be built that shows it", *subjects
        )


def holds(condition: Expr, values: Mapping[str, Value]) -> bool:
    """Whether a condition holds; joined conditions nest too deeply for the interpreter's recursion.

    Atoms are left to the interpreter.
    """
    known: dict[Expr, bool] = {}
    stack: list[tuple[Expr, int]] = [(condition, 0)]
    while stack:
        top, at = stack.pop()
        if isinstance(top, Not):
            if top.operand in known:
                known[top] = not known[top.operand]
            else:
                stack += ((top, 0), (top.operand, 0))
        elif isinstance(top, And | Or):
            settles = isinstance(top, Or)
            # The last operands first: conditions grow at their end, the first one is the deep one.
            parts = top.operands
            while at < len(parts) and known.get(parts[-1 - at]) is (not settles):
                at += 1
            if at == len(parts):
                known[top] = not settles
            elif parts[-1 - at] in known:
                known[top] = settles
            else:
                stack += ((top, at), (parts[-1 - at], 0))
        else:
            known[top] = top.value if isinstance(top, Const) else evaluate(top, values)
    return known[condition]


def outcome(decision: Decision) -> Mapping[str, Any]:
    """A decision's outcome in the shape of a witness."""
    if decision.outcome == "reject":
        return {"kind": "reject", "name": decision.guard or decision.reason}
    return {"kind": "route", "name": decision.route}


def open_analysis(
    policy: p.Policy,
    sources: Mapping[str, Source],
    budget: Budget | None = None,
    conditions: Sequence[Expr] = (),
    signals: Mapping[str, p.Signal] | None = None,
    lock: Lock | NoLock | None = None,
) -> Analysis:
    """Prepare a policy without errors for analysis.

    Args:
        policy: the policy.
        sources: its files by name.
        budget: effort; ``None`` for the default.
        conditions: what will be asked about beside the policy's own conditions.
        signals: signals that those read and the policy does not declare; derived ones only.
        lock: vectors of the policy's examples, or why there are none; ``None`` takes the values
            of similarity signals as free of each other.
    """
    declared = {**policy.signals, **(signals or {})}
    theory = Theory(declared, [*conditions_of(policy), *conditions], budget=budget)
    vectors = None if lock is None else open_vectors(policy, declared, theory, lock, sources)
    texts = Texts(theory.encoding, policy)
    theory.watch((texts,))
    subject = Subject(policy, theory)
    subject.prepare()
    caps = None if vectors is None else vectors.caps
    witnesses = Witnesses(policy, theory.encoding, texts, caps)
    return Analysis(policy, subject, witnesses, sources, vectors, lock)


def further(
    analysis: Analysis, conditions: Sequence[Expr], signals: Mapping[str, p.Signal] | None = None
) -> Analysis:
    """The same policy with a theory of its own that further conditions can be asked of."""
    budget = analysis.subject.theory.budget
    return open_analysis(
        analysis.policy, analysis.sources, budget, conditions, signals, analysis.lock
    )
