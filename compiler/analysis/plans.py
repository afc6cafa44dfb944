"""Targets and fallbacks: what becomes of a request when models are too small, or down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis, further, outcome
from routec.compiler.analysis.supposing import roomy, runnable, without_provider
from routec.compiler.analysis.witness import Witness, as_json
from routec.compiler.edits import remove_item
from routec.compiler.expr import Expr, Variable
from routec.compiler.interpreter import Decision, decide
from routec.compiler.rules import context_overflow, fallback_cycle, shared_fate, single_failure
from routec.compiler.theory.solver import Unknown, Unsat
from routec.dsl import ast
from routec.dsl.diagnostic import Applicability, Diagnostic, Edit, Fix, Rule
from routec.dsl.source import Span

# --- the plan as it is written -------------------------------------------------------------


def cycles(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC304: plans that name a model twice."""
    policy = analysis.policy
    for module in policy.syntax:
        for syntax in module.declarations:
            if isinstance(syntax, ast.Route):
                route = next(r for r in policy.routes if r.name == syntax.name.name)
                yield from _cycles(analysis, route, syntax, module.comments)


def _cycles(
    analysis: Analysis, route: p.Route, syntax: ast.Route, comments: Sequence[ast.Comment]
) -> Iterator[Diagnostic]:
    statement = next((s for s in syntax.body if isinstance(s, ast.Fallback)), None)
    if statement is None:
        return
    target = next(s for s in syntax.body if isinstance(s, ast.To))
    places: dict[str, Span] = {}
    # Of several candidates the one that is chosen is left out of the plan when it is made.
    if len(route.selection.candidates) == 1:
        places = dict.fromkeys(route.selection.candidates, target.span)
        if isinstance(target.target, ast.Ident):
            places = dict.fromkeys(route.selection.candidates, target.target.span)
    for at, model in enumerate(statement.models):
        if model.name not in places:
            places[model.name] = model.span
            continue
        fix = _without(analysis, statement, at, comments)
        yield fallback_cycle.fallback_cycle(route, model.name, model.span, places[model.name], fix)


def _without(
    analysis: Analysis, statement: ast.Fallback, at: int, comments: Sequence[ast.Comment]
) -> Fix | None:
    """Takes one model out of the chain; ``None`` where a comment would go with it."""
    models = statement.models
    source = analysis.sources[statement.span.file]
    if len(models) == 1:
        edit = remove_item(source, statement.span)
    elif at == 0:
        edit = Edit(source.span(models[0].span.start, models[1].span.start), "")
    else:
        edit = Edit(source.span(models[at - 1].span.end, models[at].span.end), "")
    if any(edit.span.start <= c.span.start < edit.span.end for c in comments):
        return None
    return Fix(f"remove `{models[at].name}`", Applicability.SAFE, (edit,))


def shared_fates(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC305: routes whose fallbacks are all at the one provider of their candidates."""
    models = analysis.policy.models
    for route in analysis.policy.routes:
        candidates = route.selection.candidates
        fallbacks = [models[n] for n in dict.fromkeys(route.fallbacks) if n not in candidates]
        providers = {models[n].provider for n in candidates} | {m.provider for m in fallbacks}
        if fallbacks and len(providers) == 1:
            (provider,) = providers
            if provider is not None:
                yield shared_fate.shared_fate(route, provider, fallbacks)


# --- requests that no model holds -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of requests in tokens, both ends in; ``None`` for no end."""

    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class _Question:
    """Whether a request of some sizes can take a route, and what is wrong if it can.

    Attributes:
        rule: the rule concerned.
        route: the route.
        sizes: of the requests.
        asks: what is asked, in words.
        wrong: whether something is, with a request of so many tokens.
        finding: what to say then.
    """

    rule: Rule
    route: p.Route
    sizes: Sizes
    asks: str
    wrong: Callable[[Witness, int], bool]
    finding: Callable[[int], Diagnostic]


def overflowing(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC303: routes that meet requests which none of their models holds, but another does."""
    policy = runnable(analysis.policy)
    unlimited = roomy(policy)
    questions: list[_Question] = []
    for route in policy.routes:
        own = _largest(policy, (*route.selection.candidates, *route.fallbacks))
        best = _largest(policy, policy.models)
        if own is None or best is None or not _smaller(own.context, best.context):
            continue
        sizes = _between(own.context, best.context, _answer(route))
        if sizes is None:
            continue

        def wrong(witness: Witness, tokens: int, route: p.Route = route) -> bool:
            taken = _decide(unlimited, witness, tokens).route == route.name
            return taken and _decide(policy, witness, tokens).overflow

        def finding(tokens: int, route: p.Route = route, best: p.Model = best) -> Diagnostic:
            return context_overflow.context_overflow(route, tokens, best)

        asks = f"whether `{route.name}` meets requests that its models cannot hold"
        questions.append(_Question(context_overflow.RULE, route, sizes, asks, wrong, finding))
    yield from _ask(analysis, questions)


def single_failures(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC306: requests that end without a target while one provider is down."""
    policy = runnable(analysis.policy)
    questions: list[_Question] = []
    for route in policy.routes:
        plan = tuple(dict.fromkeys((*route.selection.candidates, *route.fallbacks)))
        for provider in dict.fromkeys(policy.models[name].provider for name in plan):
            if provider is None:
                continue
            question = _failure(policy, route, plan, provider)
            if question is not None:
                questions.append(question)
    yield from _ask(analysis, questions)


def _failure(
    policy: p.Policy, route: p.Route, plan: Sequence[str], provider: str
) -> _Question | None:
    """What is asked of a route and a provider that is down; ``None`` if nothing can be wrong."""
    down = [policy.models[n] for n in plan if policy.models[n].provider == provider]
    left = _largest(policy, (n for n in plan if policy.models[n].provider != provider))
    whole = _largest(policy, plan)
    assert whole is not None
    if left is not None and not _smaller(left.context, whole.context):
        return None
    sizes = _between(-1 if left is None else left.context, whole.context, _answer(route))
    if sizes is None:
        return None
    without = without_provider(policy, provider)

    def wrong(witness: Witness, tokens: int) -> bool:
        up, broken = _decide(policy, witness, tokens), _decide(without, witness, tokens)
        return up.outcome == "route" and up.route == route.name and broken.overflow

    def finding(tokens: int) -> Diagnostic:
        demanded = policy.demands.survive == "one_provider"
        size = None if left is None else tokens
        return single_failure.single_failure(route, provider, down, size, demanded=demanded)

    asks = f"whether `{route.name}` has a model left without `{provider}`"
    return _Question(single_failure.RULE, route, sizes, asks, wrong, finding)


def _largest(policy: p.Policy, names: Iterable[str]) -> p.Model | None:
    """The model with the largest context, the first of equals; one that states none holds all."""
    models = [policy.models[name] for name in names]
    return max(models, key=lambda m: float("inf") if m.context is None else m.context, default=None)


def _smaller(one: int | None, other: int | None) -> bool:
    return one is not None and (other is None or one < other)


def _answer(route: p.Route) -> int:
    """Tokens that the route reserves for the answer."""
    limit = dict(route.parameters).get("max_tokens")
    return limit if isinstance(limit, int) and not isinstance(limit, bool) else 0


def _between(small: int | None, large: int | None, answer: int) -> Sizes | None:
    """Sizes of requests that a context of `large` holds and one of `small` does not."""
    assert small is not None
    low = max(0, small - answer + 1)
    high = None if large is None else large - answer
    return None if high is not None and high < low else Sizes(low, high)


def _ask(analysis: Analysis, questions: Sequence[_Question]) -> Iterator[Diagnostic]:
    policy, subject = runnable(analysis.policy), analysis.subject
    counting = [s for s in policy.signals.values() if s.kind == "tokens"]
    sized = [
        [c for signal in counting for c in _within(policy, signal, question.sizes)]
        for question in questions
    ]
    if any(sized):
        analysis = further(analysis, [c for conditions in sized for c in conditions])
    for question, conditions in zip(questions, sized, strict=True):
        route = question.route
        met = subject.both(subject.taken(route), *conditions)
        answer = analysis.subject.possible(met)
        if isinstance(answer, Unsat):
            continue
        if isinstance(answer, Unknown):
            yield analysis.unknown(
                question.rule, question.asks, route.span, answer.reason, route.name
            )
            continue

        def tokens_of(witness: Witness, question: _Question = question) -> int | None:
            sizes = {int(str(witness.signals[s.name])) for s in counting}
            if not sizes:
                return question.sizes.low
            return sizes.pop() if len(sizes) == 1 else None

        def shows(
            witness: Witness,
            question: _Question = question,
            tokens_of: Callable[[Witness], int | None] = tokens_of,
        ) -> bool:
            tokens = tokens_of(witness)
            return tokens is not None and question.wrong(witness, tokens)

        witness = analysis.witnesses.find(answer.model, shows)
        tokens = None if witness is None else tokens_of(witness)
        if witness is None or tokens is None:
            yield analysis.unconfirmed(question.rule, question.asks, route.span, route.name)
            continue
        yield replace(question.finding(tokens), witness=_as_json(policy, witness, tokens))


def _within(policy: p.Policy, signal: p.Signal, sizes: Sizes) -> list[Expr]:
    """That a `tokens` signal is within sizes."""
    variable = Variable("signal", signal.name, None, signal.type)
    found = [policy.table.compare(variable, ">=", Decimal(sizes.low))] if sizes.low else []
    if sizes.high is not None:
        found.append(policy.table.compare(variable, "<=", Decimal(sizes.high)))
    return found


def _decide(policy: p.Policy, witness: Witness, tokens: int) -> Decision:
    return decide(policy, replace(witness.request(), tokens=tokens), witness.signals)


def _as_json(policy: p.Policy, witness: Witness, tokens: int) -> dict[str, Any]:
    decision = _decide(policy, witness, tokens)
    return as_json(policy, witness, outcome(decision)) | {"tokens": tokens}
