"""What only vectors can tell: thresholds that no text reaches, signals that meet between routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis, holds
from routec.compiler.analysis.conditions import Conditioned, conditioned, parts_of
from routec.compiler.analysis.nearness import between, explains, read_numbers
from routec.compiler.analysis.subject import body
from routec.compiler.analysis.vectors import Vectors
from routec.compiler.analysis.witness import Witness
from routec.compiler.expr import Compare, walk
from routec.compiler.rules import impossible_similarity, touching_similarities
from routec.compiler.theory.solver import Answer, Sat, Unknown, Unsat
from routec.compiler.theory.unlocked import granted
from routec.dsl.diagnostic import Diagnostic, Verdict
from routec.dsl.source import Span

if TYPE_CHECKING:
    from routec.compiler.theory.caps import Caps

_HALVINGS = 24


# --- RC214 ------------------------------------------------------------------------------


def impossible(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC214: comparisons that no text satisfies, and conditions that no vector does."""
    vectors = analysis.vectors
    if vectors is None:
        return
    dead: set[str] = set()
    for atom, span in _comparisons(analysis, vectors):
        finding = _threshold(analysis, vectors, atom, span)
        if finding is not None:
            dead.add(atom.variable.name)
            yield finding
    asked: set[frozenset[str]] = set()
    for one in conditioned(analysis):
        for finding in _condition(analysis, vectors, one, dead):
            # A question about the same signals is asked once.
            about = frozenset(v.name for v in read_numbers(one.condition.expr))
            if finding.verdict is not Verdict.UNKNOWN or about not in asked:
                yield finding
            asked.add(about)


def _comparisons(analysis: Analysis, vectors: Vectors) -> Iterator[tuple[Compare, Span]]:
    """Comparisons of similarity signals, each with the smallest place that has it, the first."""
    found: dict[Compare, Span] = {}
    for syntax, meaning in analysis.policy.meanings.items():
        for node in walk(meaning):
            if isinstance(node, Compare) and node.variable.name in vectors.signals:
                known = found.get(node)
                if known is None or _length(syntax.span) < _length(known):
                    found[node] = syntax.span
    yield from found.items()


def _length(span: Span) -> int:
    return span.end - span.start


def _threshold(
    analysis: Analysis, vectors: Vectors, atom: Compare, span: Span
) -> Diagnostic | None:
    name, value = atom.variable.name, float(atom.value)
    signal = vectors.signals[name]
    written = analysis.written(span)
    if vectors.unlocked is not None and name in vectors.unlocked.without:
        most = granted(signal)
        above = atom.op in (">", ">=", "==") and value > most
        if above or (atom.op in ("<", "<=", "==") and value < -most):
            question = f"whether a text satisfies `{written}`"
            reason = vectors.unlocked.reason
            return analysis.unknown(impossible_similarity.RULE, question, span, reason, name)
        return None
    caps = vectors.caps
    assert caps is not None
    for lower, ops in ((True, (">", ">=", "==")), (False, ("<", "<=", "=="))):
        if atom.op not in ops or not caps.excludes(name, lower, value):
            continue
        extreme = _extreme(caps, name, lower)
        fails = _fails(atom, signal)
        return impossible_similarity.unreachable_threshold(
            signal, written, span, lower, extreme, fails
        )
    return None


def _fails(atom: Compare, signal: p.Signal) -> bool:
    """Whether a comparison holds when its signal fails."""
    assert signal.on_error is not None
    return holds(atom, {signal.name: signal.on_error})


def _extreme(caps: Caps, name: str, most: bool) -> float:
    """The most, or the least, that a signal can be."""
    return _last(lambda x: not caps.excludes(name, most, x), 0.0, 2.5 if most else -2.5)


def _last(keeps: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where something that holds at one number and not at the other ceases to."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if keeps(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _condition(
    analysis: Analysis, vectors: Vectors, one: Conditioned, dead: set[str]
) -> Iterator[Diagnostic]:
    subject, condition = analysis.subject, one.condition.expr
    if not any(v.name in vectors.signals for v in read_numbers(condition)):
        return
    answer = subject.possible(condition)
    if isinstance(answer, Sat) or not explains(analysis, condition, answer):
        return
    read = [v.name for v in read_numbers(condition) if v.name in vectors.signals]
    rule = impossible_similarity.RULE
    question = f"whether a text meets the condition of {one.what} `{one.name}`"
    if isinstance(answer, Unknown):
        if not dead.intersection(read):
            yield analysis.unknown(rule, question, one.span, answer.reason, one.name)
        return
    parts = parts_of(one.condition.syntax)
    meanings = [analysis.policy.meanings[part] for part in parts]
    kept = subject.minimal([], meanings)
    if kept is None:
        yield analysis.unknown(rule, question, one.span, "which parts clash", one.name)
        return
    names = [v.name for at in kept for v in read_numbers(meanings[at]) if v.name in vectors.signals]
    if dead.intersection(names):
        return  # its own finding says so
    signals = [vectors.signals[n] for n in dict.fromkeys(names)]
    clashing = [(analysis.written(parts[at].span), parts[at].span) for at in kept]
    yield impossible_similarity.impossible_together(one.what, one.name, one.span, clashing, signals)


# --- RC213 ------------------------------------------------------------------------------


def touching(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC213: routes of one priority that meet only where two similarity signals do."""
    vectors, subject = analysis.vectors, analysis.subject
    if vectors is None:
        return
    groups: dict[int, list[p.Route]] = {}
    for route in analysis.policy.routes:
        if not route.default:
            groups.setdefault(route.priority, []).append(route)
    for routes in groups.values():
        for at, second in enumerate(routes):
            for first in routes[:at]:
                if body(first) == body(second):
                    continue
                answer = subject.possible(subject.effective(first), second.when.expr)
                if isinstance(answer, Unsat):
                    continue
                names = between(analysis, first, second)
                if names is not None:
                    yield _touch(analysis, vectors, (first, second), names, answer)


def _touch(
    analysis: Analysis,
    vectors: Vectors,
    routes: tuple[p.Route, p.Route],
    names: tuple[str, str],
    answer: Answer,
) -> Diagnostic:
    first, second = routes
    rule = touching_similarities.RULE
    question = f"whether a text can be near to both `{names[0]}` and `{names[1]}`"
    if isinstance(answer, Unknown):
        return analysis.unknown(rule, question, second.span, answer.reason, second.name, first.name)
    assert isinstance(answer, Sat)

    def shows(witness: Witness) -> bool:
        both = (first.when.expr, second.when.expr)
        return all(analysis.holds(x, witness) for x in both) and analysis.reached(first, witness)

    shown = analysis.show(answer.model, shows)
    if shown is None:
        return analysis.unconfirmed(rule, question, second.span, second.name, first.name)
    signals = (vectors.signals[names[0]], vectors.signals[names[1]])
    cosine, separating = _apart(vectors, names)
    finding = touching_similarities.touching_similarities(
        first, second, signals, cosine, separating
    )
    return replace(finding, witness=shown[1])


def _apart(vectors: Vectors, names: tuple[str, str]) -> tuple[float | None, float | None]:
    """The cosine of the nearest examples, and the smallest threshold that separates two signals."""
    caps = vectors.caps
    if caps is None or any(name not in caps.regions for name in names):
        return None, None
    most = max(float(vectors.signals[n].type.high or 1) for n in names)
    if not caps.separates(names, most):
        return caps.cosine(*names), None
    touching = _last(lambda t: not caps.separates(names, t), 0.0, most)
    thousandths = ceil(touching * 1000)
    while not caps.separates(names, thousandths / 1000):
        thousandths += 1
    return caps.cosine(*names), thousandths / 1000
