"""RC207: declarations that nothing in use mentions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from routec.compiler import check
from routec.compiler.analysis.analysis import open_analysis
from routec.compiler.analysis.usage import unused
from routec.compiler.interpreter import decide
from tests.compiler.analysis.asking import Tried, analysis_of, ask, fixed, only, related, tried

HEAD = """policy desk
request { tenant: string = "a"  vip: bool = false }
signal urgent = keyword("asap")
signal topic = classifier("topic") { labels: [law, code], on_error: code }
model mini { provider: openai, context: 8k }
model opus { provider: anthropic, context: 8k }
route fast priority 9 { when urgent and topic == law  to opus }
"""
REST = "default route rest { to mini }\n"


def test_a_policy_that_uses_all_it_declares_is_clean() -> None:
    assert ask(unused, HEAD + REST) == []


@pytest.mark.parametrize(
    ("declaration", "what", "name"),
    [
        ('signal old = keyword("fax")', "signal", "old"),
        ("let handy = urgent or vip", "let", "handy"),
        ("model spare { provider: google }", "model", "spare"),
        ("pool both = [mini, opus]", "pool", "both"),
    ],
)
def test_what_nothing_mentions_is_unused_and_can_go(declaration: str, what: str, name: str) -> None:
    text = HEAD + "# About it.\n" + declaration + "\n" + REST
    finding = only(unused, text)
    assert (finding.code, finding.severity, finding.subjects) == ("RC207", "warning", (name,))
    assert finding.message == f"{what} `{name}` is never used"
    assert finding.related == ()
    assert fixed(text, [finding]) == HEAD + REST


@pytest.mark.parametrize(
    "use",
    [
        'guard g { when old  tag "x" }',
        "route r priority 5 { when vip and old  to opus }",
        "let handy = not old\nroute r priority 5 { when handy  to opus }",
        "signal need = score { 0.5 * old }\nroute r priority 5 { when need > 0.3  to opus }",
        "signal need = score { 0.5 * (vip and old) }\n"
        "signal band = bands(need) { low: < 0.3, high }\n"
        "route r priority 5 { when band == low and vip  to opus }",
        "let handy = old\nsignal need = score { 0.5 * handy + 0.1 * vip }\n"
        "route r priority 5 { when need > 0.3  to opus }",
        "category c { when old, similarity: 0.9, ttl: 1h, scope: tenant }",
        'assert "a" { never old and route == fast and not urgent }',
    ],
)
def test_guards_routes_categories_and_promises_use_what_they_read(use: str) -> None:
    assert ask(unused, HEAD + f'signal old = keyword("fax")\n{use}\n' + REST) == []


def test_a_redaction_uses_its_signal() -> None:
    text = HEAD + "signal pii = entities(email)\nguard g { when vip  redact pii }\n" + REST
    assert ask(unused, text) == []


def test_a_test_uses_nothing_and_keeps_the_fix_away() -> None:
    text = HEAD + 'signal old = keyword("fax")\n' + REST
    text += 'test "t" { request { text: "x" } with { old: true, topic: code } expect route rest }\n'
    finding = only(unused, text)
    assert finding.subjects == ("old",)
    assert related(finding) == ["t"]
    assert finding.fix is None


def test_what_only_unused_things_use_is_unused_too() -> None:
    text = HEAD + 'signal old = keyword("fax")\nlet handy = old or vip\n' + REST
    found = ask(unused, text)
    assert [f.subjects for f in found] == [("old",), ("handy",)]
    assert [f.fix is None for f in found] == [True, False]
    once = fixed(text, found)
    assert fixed(once, ask(unused, once)) == HEAD + REST


def test_a_label_that_is_spelt_like_a_signal_is_no_use_of_it() -> None:
    text = HEAD + 'signal law = keyword("law")\n' + REST
    assert only(unused, text).subjects == ("law",)


def test_a_route_that_is_never_taken_uses_nothing() -> None:
    text = HEAD + 'signal old = keyword("fax")\nmodel big { provider: google }\n'
    text += "route all priority 5 { when vip or not vip  to opus }\n"
    text += "route dead priority 1 { when old  to big }\n" + REST.replace("mini", "opus")
    found = ask(unused, text)
    assert [(f.subjects, related(f)) for f in found] == [
        (("mini",), []),
        (("old",), ["dead"]),
        (("big",), ["dead"]),
    ]


def test_a_category_without_a_route_that_leaves_the_cache_on_is_unused() -> None:
    category = "category c { when vip, similarity: 0.9, ttl: 1h, scope: tenant }\n"
    assert ask(unused, HEAD + category + REST) == []
    off = HEAD.replace("to opus }", "to opus cache off }")
    text = off + category + "default route rest { to mini cache off }\n"
    finding = only(unused, text)
    assert finding.message == "category `c` is never used"
    assert fixed(text, [finding]) == off + "default route rest { to mini cache off }\n"
    forced = off + category + "default route rest { to mini cache c }\n"
    assert ask(unused, forced) == []


def test_a_category_that_no_request_meets_is_left_to_another_rule() -> None:
    category = "category c { when vip and not vip, similarity: 0.9, ttl: 1h, scope: tenant }\n"
    assert ask(unused, HEAD + category + REST) == []


def test_a_budget_uses_its_route_and_is_unused_where_all_requests_take_it_anyway() -> None:
    budget = "budget cap { per: tenant, limit: $5, window: 1d, then: rest }\n"
    assert ask(unused, HEAD + budget + REST) == []
    only_rest = """policy desk
request { tenant: string = "a" }
model mini { provider: openai }
"""
    finding = only(unused, only_rest + budget + REST)
    assert finding.message == "budget `cap` is never used"
    dead = "route dead priority 1 { when urgent and not urgent  to big }\n"
    text = HEAD + "model big { provider: google }\n" + dead + REST
    assert only(unused, text).subjects == ("big",)
    spent = budget.replace("then: rest", "then: dead")
    assert ask(unused, text + spent) == []


def test_imported_declarations_are_a_library(tmp_path: Path) -> None:
    (tmp_path / "lib.route").write_text('signal old = keyword("fax")\n')
    (tmp_path / "p.route").write_text(HEAD + 'import "lib.route"\nlet mine = vip\n' + REST)
    checked = check(tmp_path / "p.route")
    assert checked.policy is not None
    found = list(unused(open_analysis(checked.policy, checked.sources)))
    assert [f.subjects for f in found] == [("mine",)]


@settings(max_examples=20, deadline=None)
@given(tried())
def test_removing_what_is_unused_changes_no_decision(case: Tried) -> None:
    found = list(unused(case.analysis))
    again = analysis_of(fixed(case.text, found)).policy
    gone = {f.subjects[0] for f in found if f.fix is not None}
    assert not gone & {*again.signals, *again.lets, *again.models}
    for request, values in case.requests:
        left = {n: v for n, v in values.items() if n in again.signals}
        decision = decide(case.policy, request, values)
        assert decide(again, request, left) == decision
        named = {decision.model, *decision.candidates, *decision.fallbacks, decision.shadow}
        assert not {f.subjects[0] for f in found} & {*named, decision.category}
