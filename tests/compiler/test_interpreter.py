"""What a policy means: the order of meaning, step by step."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from routec.compiler import check_bytes
from routec.compiler import policy as p
from routec.compiler.interpreter import Circumstances, Decision, Request, decide, draw
from routec.compiler.types import Plain, Scores, Value

HEAD = """policy base
request { tenant: string = "acme"  tier: enum(free, pro) = free  vip: bool = false  n: int = 0 }
signal kw = keyword("urgent")
signal topic = classifier("topic") { labels: [law, code, other], on_error: other }
signal pii = entities(email, iban)
model mini  { provider: openai,    input: $0.25, output: $2,  context: 8k,   quality: 0.6, latency: 300ms }
model opus  { provider: anthropic, input: $5,    output: $25, context: 200k, quality: 0.9, latency: 900ms }
model local { provider: vllm,      input: $0.05, output: $40, context: 2k,   quality: 0.4 }
pool all = [mini, opus, local]
"""
SIGNALS: dict[str, Value] = {
    "kw": False,
    "topic": Scores("other", {"law": 0.0, "code": 0.0, "other": 1.0}),
    "pii": frozenset(),
}


def policy(text: str) -> p.Policy:
    checked = check_bytes("p.route", (HEAD + text).encode())
    assert checked.policy is not None, [f.message for f in checked.findings]
    return checked.policy


def decided(
    text: str,
    attributes: Mapping[str, Plain] | None = None,
    signals: Mapping[str, Value] | None = None,
    circumstances: Circumstances | None = None,
    *,
    tokens: int = 10,
    max_tokens: int | None = None,
    id: str = "r-1",
) -> Decision:
    request = Request(id, attributes or {}, tokens, max_tokens)
    return decide(policy(text), request, SIGNALS | dict(signals or {}), circumstances)


REST = "default route rest { to mini }\n"


# --- guards -------------------------------------------------------------------


def test_guards_act_by_priority_then_file_order_up_to_the_first_that_rejects() -> None:
    text = (
        REST
        + """
    guard late  priority 1 { when vip tag "late" }
    guard first priority 9 { when vip tag "first" set "x-a" = "1" }
    guard stop  priority 5 { when vip redact pii tag "stop" reject 451 "no" }
    guard also  priority 9 { when vip tag "also" set "x-a" = "2" }
    """
    )
    found = decided(text, {"vip": True})
    assert (found.outcome, found.guard, found.status, found.reason) == ("reject", "stop", 451, "no")
    assert found.tags == ("first", "also", "stop")
    assert found.headers == {"x-a": "2"}
    assert found.redacted == ("pii",)
    assert (found.route, found.model, found.category) == (None, None, None)


def test_a_guard_that_does_not_hold_does_nothing() -> None:
    found = decided(REST + 'guard g { when vip reject 403 "x" }')
    assert (found.outcome, found.tags) == ("route", ())


# --- routes -------------------------------------------------------------------


def test_the_highest_priority_wins_then_the_file_order_then_the_default() -> None:
    text = (
        REST
        + """
    route low  priority 1 { when vip to opus }
    route high priority 9 { when vip and kw to local }
    route same priority 1 { when vip to opus }
    """
    )
    assert decided(text).route == "rest"
    assert decided(text, {"vip": True}).route == "low"
    assert decided(text, {"vip": True}, {"kw": True}).route == "high"


def test_annotations_of_routes_follow_those_of_guards_and_win() -> None:
    text = 'guard g { when vip tag "g" set "x" = "g" }\n'
    text += 'default route rest { to mini tag "r" tag "g" set "x" = "r" }'
    found = decided(text, {"vip": True})
    assert (found.tags, found.headers) == (("g", "r"), {"x": "r"})


# --- categories and the cache -------------------------------------------------

CATEGORIES = """
category one { when vip, similarity: 0.9, ttl: 1h, scope: tenant }
category two { when vip or kw, similarity: 0.9, ttl: 1h, scope: tenant }
"""


def test_the_first_category_in_file_order_applies() -> None:
    text = CATEGORIES + REST
    assert decided(text, {"vip": True}).category == "one"
    assert decided(text, {}, {"kw": True}).category == "two"
    assert decided(text).category is None


def test_a_route_can_force_a_category_or_turn_the_cache_off() -> None:
    asked: list[str] = []

    def cached(category: str) -> str:
        asked.append(category)
        return "e-1"

    circumstances = Circumstances(cached=cached)
    off = decided(
        CATEGORIES + "default route rest { to mini cache off }", {"vip": True}, {}, circumstances
    )
    assert (off.outcome, off.category, asked) == ("route", None, [])
    forced = decided(
        CATEGORIES + "default route rest { to mini cache two }", {"vip": True}, {}, circumstances
    )
    assert (forced.outcome, forced.category, forced.entry, asked) == (
        "cached",
        "two",
        "e-1",
        ["two"],
    )
    assert (forced.route, forced.model, forced.fallbacks) == ("rest", None, ())


def test_the_cache_is_never_asked_past_a_rejecting_guard_or_without_a_category() -> None:
    def cached(category: str) -> str:
        raise AssertionError("asked")

    text = CATEGORIES + REST + 'guard g { when n > 5 reject 403 "x" }'
    circumstances = Circumstances(cached=cached)
    assert decided(text, {"vip": True, "n": 6}, {}, circumstances).outcome == "reject"
    assert decided(text, {}, {}, circumstances).outcome == "route"


# --- targets ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "model"),
    [
        ("cost", "mini"),
        ("quality", "opus"),
        ("latency", "mini"),
        ("balanced(quality: 1)", "opus"),
        ("balanced(cost: 1)", "mini"),
        ("balanced(latency: 1)", "mini"),
    ],
)
def test_selection_by_declared_figures(by: str, model: str) -> None:
    found = decided(f"default route rest {{ to all by {by} }}")
    assert (found.model, found.propensity) == (model, 1.0)
    assert found.candidates == ("mini", "opus", "local")


def test_cost_weighs_the_request_and_the_answer() -> None:
    text = "default route rest { to all by cost }"
    assert decided(text, tokens=1000, max_tokens=1).model == "local"
    assert decided(text, tokens=10, max_tokens=1000).model == "mini"


def test_observed_latency_goes_before_the_declared_one() -> None:
    circumstances = Circumstances(latencies={"mini": 2.0, "local": 0.1})
    assert (
        decided("default route rest { to all by latency }", {}, {}, circumstances).model == "local"
    )


def test_models_that_cannot_hold_the_request_are_passed_over() -> None:
    text = "default route rest { to [mini 50%, opus 50%] fallback local -> mini -> opus }"
    found = decided(text, tokens=7900, max_tokens=200)
    assert (found.model, found.candidates, found.propensity) == ("opus", ("opus",), 1.0)
    assert found.fallbacks == ()


def test_the_routes_own_max_tokens_is_the_one_in_force() -> None:
    text = "default route rest { to mini fallback opus with { max_tokens: 500 } }"
    assert decided(text, tokens=7600, max_tokens=1).model == "opus"


def test_a_fallback_steps_in_when_no_candidate_holds_the_request() -> None:
    found = decided("default route rest { to local fallback opus -> mini }", tokens=5000)
    assert (found.model, found.by, found.fallbacks, found.candidates) == (
        "opus",
        "fallback",
        ("mini",),
        (),
    )


def test_no_model_left_is_a_rejection() -> None:
    found = decided('default route rest { to local tag "x" }', tokens=5000)
    assert (found.outcome, found.status, found.reason, found.guard) == (
        "reject",
        413,
        "context_overflow",
        None,
    )
    assert (found.route, found.tags) == (None, ("x",))


def test_weighted_draws_follow_the_shares_and_depend_on_the_request_alone() -> None:
    text = policy("default route rest { to [mini 75%, opus 25%] }")
    found = [decide(text, Request(f"r-{i}", {}), SIGNALS) for i in range(4000)]
    share = sum(d.model == "mini" for d in found) / len(found)
    assert 0.72 < share < 0.78
    assert {(d.model, d.propensity) for d in found} == {("mini", 0.75), ("opus", 0.25)}
    assert found[7] == decide(text, Request("r-7", {}), SIGNALS)


def test_sticky_routes_keep_a_key_at_its_model() -> None:
    text = policy("default route rest { to [mini 50%, opus 50%] sticky by tenant }")

    def models(tenant: str) -> set[str | None]:
        return {
            decide(text, Request(f"r-{i}", {"tenant": tenant}), SIGNALS).model for i in range(50)
        }

    assert all(len(models(f"t-{t}")) == 1 for t in range(20))
    assert set().union(*(models(f"t-{t}") for t in range(20))) == {"mini", "opus"}


def test_round_robin_takes_turns() -> None:
    text = policy("default route rest { to all by round_robin }")
    found = [
        decide(text, Request("r", {}), SIGNALS, Circumstances(turn=lambda route, k=k: k)).model
        for k in range(4)
    ]
    assert found == ["mini", "opus", "local", "mini"]


def test_a_shadow_gets_its_share_of_requests() -> None:
    text = policy("default route rest { to mini shadow to opus 10% }")
    found = [decide(text, Request(f"r-{i}", {}), SIGNALS).shadow for i in range(3000)]
    assert 0.07 < found.count("opus") / len(found) < 0.13


def test_a_draw_is_even_and_depends_on_salt_and_key() -> None:
    points = [draw("select:a", f"r-{i}") for i in range(4000)]
    assert all(0 <= point < 1 for point in points)
    assert abs(sum(points) / len(points) - 0.5) < 0.02
    assert draw("select:a", "r-1") != draw("select:b", "r-1")


# --- values -------------------------------------------------------------------


def test_decimal_sums_are_what_was_written() -> None:
    text = "signal s = score { 0.1 * kw + 0.7 * vip }\nroute hit priority 1 { when s >= 0.8 to opus }\n"
    assert decided(text + REST, {"vip": True}, {"kw": True}).route == "hit"


def test_bands_are_half_open_as_written() -> None:
    text = "signal s = score { 1 * n }\nsignal b = bands(s) { low: < 3, mid: <= 5, high }\n"
    for name in ("low", "mid", "high"):
        text += f"route {name} priority 1 {{ when b == {name} to opus }}\n"
    found = [decided(text + REST, {"n": n}).route for n in (2, 3, 5, 6)]
    assert found == ["low", "mid", "mid", "high"]


def test_a_pinned_derived_signal_replaces_its_computation() -> None:
    text = "signal s = score { 1 * n }\nroute hit priority 1 { when s >= 3 to opus }\n"
    assert decided(text + REST, {"n": 0}, {"s": 4.0}).route == "hit"


def test_labels_and_scores_are_read_apart() -> None:
    text = """
    route sure priority 2 { when topic.law >= 0.7 to opus }
    route law  priority 1 { when topic == law to opus }
    """
    weak = Scores("law", {"law": 0.5, "code": 0.3, "other": 0.2})
    sure = Scores("law", {"law": 0.7, "code": 0.3, "other": 0.0})
    assert decided(text + REST, {}, {"topic": weak}).route == "law"
    assert decided(text + REST, {}, {"topic": sure}).route == "sure"


def test_a_missing_required_attribute_or_signal_is_an_error_of_the_caller() -> None:
    text = policy("request { must: int }\n" + REST)
    with pytest.raises(KeyError):
        decide(text, Request("r", {}), SIGNALS)
    with pytest.raises(KeyError):
        decide(text, Request("r", {"must": 1}), {})
