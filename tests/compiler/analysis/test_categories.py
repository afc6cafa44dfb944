"""RC208 and RC302: categories that meet, and categories that share what they should not."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler import policy as p
from routec.compiler.analysis.categories import leaking, overlapping, telling_tenants_apart
from routec.compiler.analysis.subject import terms
from routec.compiler.analysis.supposing import roomy
from routec.compiler.interpreter import all_values, decide, evaluate
from routec.dsl.diagnostic import Diagnostic, Verdict
from tests.compiler.analysis.asking import Tried, analysis_of, ask, joined, only, related, tried
from tests.compiler.mutation.replay import Replayed

HEAD = """policy desk
request { tenant: string  plan: enum(free, pro) = free  vip: bool = false  load: int = 0 }
signal urgent = keyword("asap")
signal topic = classifier("topic") { labels: [law, code, sport], on_error: code }
signal pii = entities(email, phone)
model mini { provider: openai }
"""
REST = "default route rest { to mini }\n"
TERMS = "similarity: 0.9, ttl: 1h, scope: tenant"


def category(name: str, when: str, terms: str = TERMS) -> str:
    return f"category {name} {{ when {when}, {terms} }}\n"


# --- RC208 ------------------------------------------------------------------------------------

LAW = category("law", "topic == law")


def test_categories_with_different_terms_that_meet() -> None:
    text = HEAD + LAW + category("quick", "urgent", "similarity: 0.97, ttl: 1h, scope: tenant")
    finding = only(overlapping, text + REST)
    assert (finding.code, finding.severity) == ("RC208", "warning")
    assert finding.subjects == ("quick", "law")
    assert related(finding) == ["law"]
    assert "`similarity`" in finding.message
    assert finding.witness is not None
    replayed = Replayed(analysis_of(text + REST).policy, finding.witness)
    assert replayed.values["urgent"] is True
    assert replayed.decide().category == "law"


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("ttl", "similarity: 0.9, ttl: 2h, scope: tenant"),
        ("quota", "similarity: 0.9, ttl: 1h, scope: tenant, quota: 5%"),
        ("scope", "similarity: 0.9, ttl: 1h, scope: plan"),
        ("max_error", "max_error: 1%, ttl: 1h, scope: tenant"),
        ("relax_to", "similarity: 0.9, ttl: 1h, scope: tenant, relax_to: 0.8 when_load > 0.5"),
        ("examples", "similarity: 0.9, ttl: 1h, scope: tenant, examples: 0.7"),
    ],
)
def test_every_term_counts(field: str, terms: str) -> None:
    only(overlapping, HEAD + LAW + category("quick", "urgent", terms) + REST)


@pytest.mark.parametrize(
    "second",
    [
        category("other", "urgent"),
        category("other", "topic == code", "similarity: 0.8"),
        category("other", "urgent and topic != law", "similarity: 0.8"),
        category("other", "topic.code > 0.5", "similarity: 0.8"),
    ],
)
def test_equal_terms_and_conditions_that_cannot_meet_are_fine(second: str) -> None:
    assert ask(overlapping, HEAD + LAW + second + REST) == []


@pytest.mark.parametrize(
    "routes",
    [
        "default route rest { to mini cache off }",
        "default route rest { to mini cache law }",
        "route all priority 1 { when urgent  to mini cache off }\n" + REST,
        'guard g { when urgent  reject 403 "no" }\n' + REST,
    ],
)
def test_requests_that_never_choose_a_category_do_not_count(routes: str) -> None:
    assert ask(overlapping, HEAD + LAW + category("q", "urgent", "similarity: 0.8") + routes) == []


def test_every_pair_is_reported() -> None:
    text = HEAD + "".join(
        category(f"c{at}", when, f"similarity: 0.{at + 5}")
        for at, when in enumerate(("urgent", "vip", "topic == law"))
    )
    found = ask(overlapping, text + REST)
    assert [f.subjects for f in found] == [("c1", "c0"), ("c2", "c0"), ("c2", "c1")]


# --- RC302 ------------------------------------------------------------------------------------

GLOBAL = "similarity: 0.9, ttl: 1h, scope: global"
CLEAN = "pii.empty and "


def leak(rules: str, head: str = HEAD) -> Diagnostic:
    finding = only(leaking, head + rules)
    assert (finding.code, finding.severity, finding.verdict) == ("RC302", "warning", "proved")
    assert finding.witness is not None
    Replayed(analysis_of(head + rules).policy, finding.witness)
    return finding


@pytest.mark.parametrize("terms", [GLOBAL, "similarity: 0.9"])
def test_a_category_shared_by_all_that_reads_a_field_of_tenants(terms: str) -> None:
    finding = leak(category("c", CLEAN + 'tenant in ["acme", "globex"]', terms) + REST)
    assert finding.subjects == ("c", "tenant")
    assert related(finding) == ["tenant"]


def test_one_that_is_read_through_a_score_and_a_let() -> None:
    rules = 'signal need = score { 0.5 * (tenant == "acme") + 0.2 * vip }\nlet hot = need > 0.1\n'
    assert leak(rules + category("c", CLEAN + "hot", GLOBAL) + REST).subjects == ("c", "tenant")


def test_a_condition_with_but_one_tenant_shares_nothing() -> None:
    assert ask(leaking, HEAD + category("c", CLEAN + 'tenant == "acme"', GLOBAL) + REST) == []


@pytest.mark.parametrize(
    ("field", "when", "leaks"),
    [
        ("user_id: int", "user_id == 7", False),
        ("user_id: int", "user_id in 7..8", True),
        ("user_id: int", "user_id > 6 and user_id < 8", False),
        ("account: float", "account == 0.5", False),
        ("account: float", "account >= 0.5 and account <= 0.6", True),
        ("team: bool", "team", False),
        ("team: enum(red, blue, green)", "team in [red, blue]", True),
        ("team: enum(red, blue, green)", "not team in [red, blue]", False),
        ("org: enum(red, blue, green)", "org != red", True),
    ],
)
def test_what_counts_is_whether_two_values_can_enter(field: str, when: str, leaks: bool) -> None:
    head = HEAD.replace("vip:", field + "  vip:")
    found = ask(leaking, head + category("c", CLEAN + when, GLOBAL) + REST)
    assert [f.subjects[1] for f in found] == ([field.split(":")[0]] if leaks else [])


def test_the_condition_of_a_route_that_takes_its_requests_counts() -> None:
    rules = category("c", CLEAN + "vip", GLOBAL)
    rules += 'route special priority 1 { when tenant == "acme"  to mini }\n'
    finding = leak(rules + REST)
    assert finding.subjects == ("c", "tenant")
    assert related(finding) == ["special", "tenant"]
    assert finding.witness is not None
    assert finding.witness["outcome"] == {"kind": "route", "name": "special"}
    assert ask(leaking, HEAD + rules.replace("to mini", "to mini cache off") + REST) == []


def test_a_route_that_forces_the_category_brings_its_own_condition() -> None:
    rules = category("c", "vip and not vip or load > 9 and load < 5", GLOBAL)
    rules += 'route special priority 1 { when tenant != "acme" and pii.empty  to mini cache c }\n'
    assert leak(rules + "default route rest { to mini cache off }").subjects == ("c", "tenant")


@pytest.mark.parametrize(
    "use",
    [
        category("other", "vip", "similarity: 0.9, scope: plan"),
        "route s priority 1 { when load > 5  to mini sticky by plan cache off }\n",
        "budget cap { per: plan, limit: $5, window: 1d, then: rest }\n",
    ],
)
def test_a_field_that_keys_something_else_tells_tenants_apart(use: str) -> None:
    shared = category("c", CLEAN + "(plan == pro or vip)", GLOBAL)
    assert leak(shared + use + REST).subjects == ("c", "plan")
    assert ask(leaking, HEAD + shared + REST) == []


def test_personal_data_that_enters_unredacted() -> None:
    finding = leak(category("c", "topic == law", GLOBAL) + REST)
    assert finding.subjects == ("c", "pii")
    assert related(finding) == ["pii"]
    assert finding.witness is not None
    assert finding.witness["signals"]["pii"]


@pytest.mark.parametrize(
    "rules",
    [
        category("c", "topic == law and pii.empty", GLOBAL),
        category("c", "topic == law and not pii.any(email, phone)", GLOBAL),
        category("c", "topic == law", GLOBAL) + "guard g { when not pii.empty  redact pii }\n",
        category("c", "topic == law", GLOBAL)
        + "signal wide = entities(iban, phone, email)\nguard g { when topic == law redact wide }\n"
        + "guard h { when wide.any(iban)  redact wide }\n",
        category("c", "topic == law", GLOBAL) + 'guard g { when not pii.empty reject 403 "x" }\n',
        category("c", "topic == law", TERMS),
        category("c", "topic == law and vip and not vip", GLOBAL),
    ],
)
def test_what_is_redacted_rejected_excluded_or_scoped_does_not_leak(rules: str) -> None:
    assert ask(leaking, HEAD + rules + REST) == []


def test_a_guard_that_redacts_some_kinds_only_leaves_the_others() -> None:
    rules = "guard g { when pii.any(email)  redact pii }\n"
    finding = leak(category("c", "topic == law", GLOBAL) + rules + REST)
    assert finding.witness is not None
    assert finding.witness["signals"]["pii"] == ["phone"]


def test_two_signals_that_look_for_one_kind_find_the_same() -> None:
    rules = "signal mail = entities(email)\n"
    rules += category("c", "topic == law and pii.empty", GLOBAL)
    assert ask(leaking, HEAD + rules + REST) == []


# --- against the interpreter --------------------------------------------------------------------


ATOMS = (
    "topic == law",
    "topic.code >= 0.5",
    "pii.empty",
    "pii.any(phone)",
    'tenant == "acme"',
    'tenant in ["acme", "globex"]',
    "plan == pro",
    "vip",
    "urgent",
    "load in 3..4",
)


@st.composite
def cached(draw: st.DrawFn) -> str:
    """A policy of categories that may meet, and of routes that may use them."""
    text = HEAD
    terms = ("similarity: 0.9", "similarity: 0.8", "similarity: 0.9, scope: tenant")
    names = [f"c{at}" for at in range(draw(st.integers(1, 3)))]
    for name in names:
        text += category(name, draw(joined(ATOMS)), draw(st.sampled_from(terms)))
    if draw(st.booleans()):
        action = draw(st.sampled_from(("redact pii", 'reject 403 "x"')))
        text += f"guard g {{ when {draw(joined(ATOMS))}  {action} }}\n"
    uses = st.sampled_from(("", "", "cache off", *(f"cache {name}" for name in names)))
    for at in range(draw(st.integers(0, 2))):
        when = draw(joined(ATOMS))
        text += f"route r{at} priority {at} {{ when {when}  to mini {draw(uses)} }}\n"
    return text + f"default route rest {{ to mini {draw(uses)} }}\n"


@settings(max_examples=40, deadline=None)
@given(tried(12, cached()))
def test_no_request_contradicts_what_is_said_of_categories(case: Tried) -> None:
    policy, proved = case.policy, {}
    for check in (overlapping, leaking):
        found = list(check(case.analysis))
        proved[check] = {f.subjects for f in found if f.verdict is Verdict.PROVED}
        assert proved[check] == {f.subjects for f in found}, "all of this can be decided"
        for finding in found:
            assert finding.witness is not None
            Replayed(roomy(policy), finding.witness)
    tenants = {*telling_tenants_apart(policy), "pii"}
    kept: dict[tuple[str, str], set[object]] = {}
    for request, signals in case.requests:
        values = all_values(policy, request, signals)
        decision = decide(roomy(policy), request, signals)
        route = next((r for r in policy.routes if r.name == decision.route), None)
        claiming = [c for c in policy.categories if evaluate(c.when.expr, values)]
        if route is not None and route.cache is None:
            for first, second in combinations(claiming, 2):
                if terms(first) != terms(second):
                    assert (second.name, first.name) in proved[overlapping]
        shared = next((c for c in policy.categories if c.name == decision.category), None)
        if shared is not None and shared.scope is None:
            said = {s for s in proved[leaking] if s[0] == shared.name}
            if values.get("pii") and not decision.redacted:
                assert said
            for condition in _way_in(shared, route):
                for name in tenants & _fields(policy, condition):
                    kept.setdefault((shared.name, name), set()).add(values[name])
                    assert said or len(kept[shared.name, name]) == 1


def _way_in(category: p.Category, route: p.Route | None) -> list[p.Condition]:
    assert route is not None
    return [route.when] if route.cache is not None else [category.when, route.when]


def _fields(policy: p.Policy, condition: p.Condition) -> set[str]:
    from routec.compiler.dependencies import reads

    found = reads(policy.signals, condition.expr)
    return {name for name, variable in found.items() if variable.source == "field"}
