"""Where the rules about similarity speak instead of the others."""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis
from routec.compiler.expr import Expr, Variable, variables
from routec.compiler.theory.solver import Answer, Sat, Theory, Unknown, Unsat
from routec.compiler.theory.texts import Texts
from routec.compiler.theory.unlocked import neutral


def read_numbers(condition: Expr) -> list[Variable]:
    """The signals whose own value a condition reads."""
    return [v for v in variables(condition) if v.source == "signal" and v.member is None]


def explains(analysis: Analysis, condition: Expr, answer: Answer) -> bool:
    """Whether it is for its vectors, or the want of them, that a condition is not possible.

    Then `impossible-similarity` speaks of it.
    """
    vectors = analysis.vectors
    if vectors is None or not any(v.name in vectors.signals for v in read_numbers(condition)):
        return False
    if isinstance(answer, Unknown):
        return vectors.missing(answer.reason)
    if isinstance(answer, Sat) or vectors.caps is None:
        return False
    policy, budget = analysis.policy, analysis.subject.theory.budget
    theory = Theory(policy.signals, [condition], budget=budget)
    theory.watch((Texts(theory.encoding, policy),))
    return isinstance(theory.solve(theory.literal(condition)), Sat)


def between(analysis: Analysis, first: p.Route, second: p.Route) -> tuple[str, str] | None:
    """The two signals, one of each route, without which the routes do not meet.

    ``None`` where they meet while at most one similarity signal is beyond its thresholds.
    """
    vectors = analysis.vectors
    if vectors is None:
        return None
    mine, theirs = (
        [v.name for v in read_numbers(r.when.expr) if v.name in vectors.signals]
        for r in (first, second)
    )
    read = list(dict.fromkeys([*mine, *theirs]))
    if len(read) < 2:
        return None
    theory, subject = analysis.subject.theory, analysis.subject
    meet = [theory.literal(x) for x in (subject.effective(first), second.when.expr)]

    def without(*beyond: str) -> Answer:
        rest = [name for name in read if name not in beyond]
        return theory.solve(*meet, *neutral(theory.encoding, rest))

    if any(isinstance(without(name), Sat) for name in read):
        return None
    for one in mine:
        for other in theirs:
            if one != other and not isinstance(without(one, other), Unsat):
                return one, other
    return None
