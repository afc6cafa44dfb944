"""RC303 to RC306: plans that name a model twice, overflow, or fall together."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from routec.compiler import policy as p
from routec.compiler.analysis.plans import cycles, overflowing, shared_fates, single_failures
from routec.compiler.analysis.supposing import roomy
from routec.compiler.interpreter import Decision, Request, decide
from routec.dsl.diagnostic import Diagnostic, Severity, Verdict
from tests.compiler.analysis.asking import Tried, analysis_of, ask, fixed, only, related, tried
from tests.compiler.mutation.replay import Replayed

HEAD = """policy desk
request { vip: bool = false }
signal size = tokens()
signal urgent = keyword("asap")
model mini  { provider: openai,    context: 8k }
model gpt   { provider: openai,    context: 100k }
model opus  { provider: anthropic, context: 100k }
model haiku { provider: anthropic, context: 8k }
model local { context: 2k }
pool both = [mini, opus]
pool one  = [mini, gpt]
"""


def rest(body: str) -> str:
    return f"default route rest {{ {body} }}\n"


# --- RC304 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "model", "mended"),
    [
        ("to mini fallback mini", "mini", "to mini"),
        ("to mini fallback mini -> opus", "mini", "to mini fallback opus"),
        ("to mini fallback opus -> mini", "mini", "to mini fallback opus"),
        ("to mini fallback opus -> gpt -> opus", "opus", "to mini fallback opus -> gpt"),
        ("to both by cost fallback gpt -> gpt", "gpt", "to both by cost fallback gpt"),
        ("to mini fallback opus -> # why\n mini", "mini", None),
    ],
)
def test_a_plan_that_names_a_model_twice(body: str, model: str, mended: str | None) -> None:
    text = HEAD + rest(body)
    finding = only(cycles, text)
    assert (finding.code, finding.severity) == ("RC304", "error")
    assert finding.subjects == ("rest", model)
    assert related(finding) == [model]
    assert text[finding.span.start : finding.span.end] == model
    assert finding.span.start == text.rindex(model)
    assert fixed(text, [finding]) == HEAD + rest(body if mended is None else mended)


def test_every_repetition_is_reported() -> None:
    found = ask(cycles, HEAD + rest("to mini fallback mini -> opus -> opus -> opus"))
    assert [f.subjects[1] for f in found] == ["mini", "opus", "opus"]


@pytest.mark.parametrize(
    "body",
    [
        "to mini",
        "to mini fallback opus -> gpt",
        "to both by cost fallback gpt",
        # The one that is chosen is left out of the plan.
        "to both by cost fallback gpt -> opus",
        "to [mini 50%, opus 50%] fallback mini",
    ],
)
def test_plans_without_repetition_are_fine(body: str) -> None:
    assert ask(cycles, HEAD + rest(body)) == []


# --- RC305 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "fallbacks"),
    [
        ("to mini fallback gpt", ["gpt"]),
        ("to opus fallback haiku", ["haiku"]),
        ("to one by cost fallback gpt -> mini", None),
        ("to mini fallback gpt -> opus", None),
        ("to both by cost fallback gpt", None),
        ("to local fallback mini", None),
        ("to mini fallback local", None),
        ("to mini fallback mini", None),
        ("to one by cost", None),
    ],
)
def test_fallbacks_at_the_provider_of_the_target(body: str, fallbacks: list[str] | None) -> None:
    found = ask(shared_fates, HEAD + rest(body))
    assert [related(f) for f in found] == ([] if fallbacks is None else [fallbacks])
    for finding in found:
        assert (finding.code, finding.severity) == ("RC305", "warning")
        assert finding.subjects == ("rest", *(fallbacks or ()))


def test_a_pool_at_one_provider_shares_its_fate_too() -> None:
    head = HEAD + "model nano { provider: openai }\n"
    finding = only(shared_fates, head + rest("to one by cost fallback nano"))
    assert finding.message == "the fallback of `rest` is at `openai`, where its target is too"


# --- RC303 ------------------------------------------------------------------------------------


def shown(check: Diagnostic, text: str) -> tuple[p.Policy, Request, Replayed, int]:
    """The witness, read back, at the size that it states."""
    assert check.verdict is Verdict.PROVED
    assert check.witness is not None
    policy = analysis_of(text).policy
    replayed = Replayed(policy, check.witness)
    tokens = check.witness["tokens"]
    assert isinstance(tokens, int)
    return policy, replace(replayed.request, tokens=tokens), replayed, tokens


def overflows(text: str) -> tuple[Diagnostic, int]:
    finding = only(overflowing, text)
    assert (finding.code, finding.severity) == ("RC303", "note")
    policy, request, replayed, tokens = shown(finding, text)
    decision = decide(policy, request, replayed.signals)
    assert decision.reason == "context_overflow"
    route, larger = finding.subjects
    assert decide(roomy(policy), request, replayed.signals).route == route
    own = next(r for r in policy.routes if r.name == route)
    instead = replace(own, selection=p.Selection("only", (larger,), (), ()))
    better = replace(policy, routes=tuple(instead if r is own else r for r in policy.routes))
    assert decide(better, request, replayed.signals).model == larger
    return finding, tokens


def test_a_route_that_meets_requests_larger_than_its_models() -> None:
    finding, tokens = overflows(HEAD + rest("to mini fallback haiku"))
    assert finding.subjects == ("rest", "gpt")
    assert related(finding) == ["gpt"]
    assert tokens == 8001
    assert "8001 tokens" in finding.message


def test_what_is_reserved_for_the_answer_counts() -> None:
    _, tokens = overflows(HEAD + rest("to mini with { max_tokens: 3000 }"))
    assert tokens == 5001


def test_a_model_without_a_stated_context_holds_everything() -> None:
    head = HEAD + "model any { provider: google }\n"
    assert overflows(head + rest("to opus"))[0].subjects == ("rest", "any")
    assert ask(overflowing, head + rest("to mini fallback any")) == []


@pytest.mark.parametrize(
    ("bound", "found"), [("< 8k", 0), ("<= 8k", 0), ("<= 8001", 1), ("> 100k", 0), ("> 9k", 1)]
)
def test_conditions_on_the_size_bound_it(bound: str, found: int) -> None:
    text = HEAD + f"route r priority 1 {{ when size {bound}  to mini }}\n" + rest("to opus")
    assert len(ask(overflowing, text)) == found


def test_higher_routes_and_guards_bound_it_too() -> None:
    long = "route long priority 9 { when size > 8k  to opus }\n"
    assert ask(overflowing, HEAD + long + rest("to mini")) == []
    guard = 'guard g { when size > 7k  reject 413 "too long" }\n'
    assert ask(overflowing, HEAD + guard + rest("to mini")) == []


def test_a_score_of_the_size_bounds_it() -> None:
    score = "signal need = score { 0.001 * size + 0.5 * vip }\n"
    text = HEAD + score + "route r priority 1 { when need <= 8  to mini }\n" + rest("to opus")
    assert ask(overflowing, text) == []
    overflows(text.replace("<= 8 ", "<= 8.5 "))


def test_without_a_signal_of_it_the_size_is_free() -> None:
    text = HEAD.replace("signal size = tokens()\n", "") + rest("to mini")
    assert overflows(text)[1] == 8001


def test_a_route_as_large_as_any_model_is_fine() -> None:
    assert ask(overflowing, HEAD + rest("to both by quality")) == []


def test_a_route_that_is_never_taken_meets_nothing() -> None:
    text = HEAD + "route r priority 1 { when vip and not vip  to mini }\n" + rest("to opus")
    assert ask(overflowing, text) == []


# --- RC306 ------------------------------------------------------------------------------------


def down(policy: p.Policy, provider: str, request: Request, replayed: Replayed) -> Decision | None:
    """What is decided by the models of other providers; ``None`` where a route has none."""
    route = decide(roomy(policy), request, replayed.signals).route
    own = next(r for r in policy.routes if r.name == route)
    left = [n for n in own.selection.candidates if policy.models[n].provider != provider]
    fallbacks = tuple(n for n in own.fallbacks if policy.models[n].provider != provider)
    if not left and not fallbacks:
        return None
    candidates = tuple(left) or fallbacks[:1]
    changed = replace(
        own, selection=p.Selection("weighted", candidates, (), ()), fallbacks=fallbacks
    )
    routes = tuple(changed if r is own else r for r in policy.routes)
    return decide(replace(policy, routes=routes), request, replayed.signals)


def fails(text: str, provider: str) -> tuple[Diagnostic, int]:
    finding = only(single_failures, text)
    assert finding.code == "RC306"
    policy, request, replayed, tokens = shown(finding, text)
    assert decide(policy, request, replayed.signals).outcome == "route"
    left = down(policy, provider, request, replayed)
    assert left is None or left.overflow
    return finding, tokens


def test_a_route_at_one_provider() -> None:
    finding, tokens = fails(HEAD + rest("to mini fallback gpt"), "openai")
    assert finding.severity is Severity.NOTE
    assert finding.subjects == ("rest", "mini", "gpt")
    assert related(finding) == ["mini", "gpt"]
    assert finding.message == "without `openai`, `rest` has no model left"
    assert tokens == 0


def test_a_fallback_elsewhere_that_is_too_small() -> None:
    finding, tokens = fails(HEAD + rest("to opus fallback mini"), "anthropic")
    assert finding.subjects == ("rest", "opus")
    assert tokens == 8001
    assert finding.message.endswith("for a request of 8001 tokens")


def test_one_that_is_large_enough_for_what_can_come() -> None:
    route = "route r priority 1 { when size <= 8k  to opus fallback mini }\n"
    assert ask(single_failures, HEAD + route + rest("to opus fallback gpt")) == []
    assert len(ask(single_failures, HEAD + route + rest("to opus"))) == 1


def test_a_policy_that_demands_to_survive_makes_it_an_error() -> None:
    text = HEAD.replace("policy desk", "policy desk { survive: one_provider }") + rest("to opus")
    finding, _ = fails(text, "anthropic")
    assert finding.severity is Severity.ERROR


@pytest.mark.parametrize(
    "body", ["to local", "to opus fallback gpt", "to both by cost fallback gpt", "to gpt by cost"]
)
def test_what_survives_is_fine(body: str) -> None:
    body = body.replace("to gpt by cost", "to gpt fallback opus")
    assert ask(single_failures, HEAD + rest(body)) == []


# --- against the interpreter --------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(tried())
def test_no_request_contradicts_what_is_said_of_plans(case: Tried) -> None:
    policy = case.policy
    found = {
        check: list(check(case.analysis))
        for check in (overflowing, single_failures, cycles, shared_fates)
    }
    assert all(f.verdict is Verdict.PROVED for some in found.values() for f in some)
    said = {check: {f.subjects[0] for f in some} for check, some in found.items()}
    for route in policy.routes:
        several = len(route.selection.candidates) > 1
        plans = [
            (name, *(f for f in route.fallbacks if not several or f != name))
            for name in route.selection.candidates
        ]
        repeats = any(len(set(plan)) < len(plan) for plan in plans)
        assert (route.name in said[cycles]) == repeats
        at = {policy.models[n].provider for n in (*route.selection.candidates, *route.fallbacks)}
        others = set(route.fallbacks) - set(route.selection.candidates)
        assert (route.name in said[shared_fates]) == (len(at) == 1 and bool(others))
    for request, signals in case.requests:
        if "size" in policy.signals:
            request = replace(request, tokens=int(str(signals["size"])))
        request = replace(request, max_tokens=None)
        decision = decide(policy, request, signals)
        taken = decide(roomy(policy), request, signals).route
        if decision.overflow:
            largest = (m.context for m in policy.models.values())
            assert None in largest  # `free` holds everything, so some model could
            assert taken in said[overflowing]
        for provider in ("openai", "anthropic", "vllm"):
            broken = {
                n: replace(m, context=-1) if m.provider == provider else m
                for n, m in policy.models.items()
            }
            without = decide(replace(policy, models=broken), request, signals)
            if decision.outcome == "route" and without.overflow:
                assert taken in said[single_failures]
