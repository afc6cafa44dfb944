"""RC301: guards that open while a signal fails."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler.analysis.failures import failing_open
from routec.compiler.analysis.supposing import roomy
from routec.compiler.dependencies import reads
from routec.compiler.interpreter import decide
from routec.dsl.diagnostic import Diagnostic, Verdict
from tests.compiler.analysis.asking import Tried, analysis_of, ask, joined, only, related, tried
from tests.compiler.mutation.replay import Replayed

HEAD = """policy desk
request { tenant: string = "a"  vip: bool = false  seats: int = 1 }
signal urgent = keyword("asap")
signal near = similarity { examples: ["x"] }
signal far = similarity { examples: ["y"], on_error: 1 }
signal again = repeated { similarity: 0.8 }
signal hard = contrast { high: ["a"], low: ["b"] }
signal outer = external("risk") { type: enum(low, high), on_error: low }
model mini { provider: openai }
default route rest { to mini }
"""


def attack(on_error: str) -> str:
    return (
        'signal attack = classifier("a") { labels: [benign, jailbreak, odd], '
        f"on_error: {on_error} }}\n"
    )


OPEN, SHUT = attack("benign"), attack("jailbreak")


def opens(rules: str) -> Diagnostic:
    finding = only(failing_open, HEAD + rules)
    assert (finding.code, finding.severity, finding.verdict) == ("RC301", "warning", "proved")
    guard, signal = finding.subjects
    assert related(finding) == [signal]
    assert finding.witness is not None
    policy = analysis_of(HEAD + rules).policy
    replayed = Replayed(policy, finding.witness)
    assert replayed.decide().guard == guard
    failed = policy.signals[signal].on_error
    assert failed is not None
    otherwise = decide(policy, replayed.request, replayed.signals | {signal: failed})
    assert otherwise.guard is None
    assert finding.witness["failed"]["outcome"] == {"kind": "route", "name": otherwise.route}
    return finding


def test_a_guard_whose_classifier_fails_into_the_harmless_label() -> None:
    rules = OPEN + 'guard g { when attack.jailbreak >= 0.9  reject 403 "x" }'
    finding = opens(rules)
    assert finding.subjects == ("g", "attack")
    assert "it counts as `benign`" in finding.message
    assert "takes route `rest`" in finding.message
    assert finding.witness is not None
    assert finding.witness["failed"]["signals"] == {"attack": "benign", "attack.benign": 1.0}


@pytest.mark.parametrize(
    "condition",
    [
        "attack.jailbreak >= 0.9",
        "attack == jailbreak",
        "attack != benign and attack != odd",
        "urgent and attack == jailbreak",
        "far < 0.2 and vip and not vip",
        "far >= 0.8",
        "urgent",
        "outer == low",
    ],
)
def test_a_guard_that_rejects_on_failure_is_shut(condition: str) -> None:
    assert ask(failing_open, HEAD + SHUT + f'guard g {{ when {condition}  reject 403 "x" }}') == []


@pytest.mark.parametrize(
    ("condition", "signal"),
    [
        ("near >= 0.8", "near"),
        ("again", "again"),
        ("hard > 0.5", "hard"),
        ("outer == high", "outer"),
        ("far < 0.5", "far"),
        ("attack == odd", "attack"),
        ("not attack == jailbreak", "attack"),
    ],
)
def test_every_fallible_signal_is_looked_at(condition: str, signal: str) -> None:
    rules = SHUT + f'guard g {{ when {condition}  reject 403 "x" }}'
    assert opens(rules).subjects == ("g", signal)


def test_through_a_let_a_score_and_bands() -> None:
    rules = OPEN + "signal need = score { 0.5 * attack.jailbreak + 0.3 * urgent + 0.1 }\n"
    rules += "signal band = bands(need) { low: < 0.5, high }\nlet bad = band == high\n"
    finding = opens(rules + 'guard g { when bad  reject 403 "x" }')
    assert finding.subjects == ("g", "attack")


def test_a_score_that_stays_high_enough_without_the_signal_is_shut() -> None:
    rules = OPEN + "signal need = score { 0.1 * attack.jailbreak + 0.5 * urgent }\n"
    assert ask(failing_open, HEAD + rules + 'guard g { when need >= 0.5 reject 403 "x" }') == []
    finding = opens(rules + 'guard g { when need > 0.55  reject 403 "x" }')
    assert finding.subjects == ("g", "attack")


def test_a_score_of_conditions_and_of_another_score() -> None:
    rules = OPEN + "signal one = score { 0.4 * (attack == jailbreak and urgent) }\n"
    rules += "signal two = score { 2 * one + 0.2 * vip }\n"
    finding = opens(rules + 'guard g { when two >= 0.8 and seats > 1 reject 403 "x" }')
    assert finding.subjects == ("g", "attack")
    assert ask(failing_open, HEAD + rules + 'guard g { when two > 1 reject 403 "x" }') == []


def test_a_score_that_is_constant_once_the_signal_fails() -> None:
    rules = OPEN + "signal need = score { 0.6 * attack.jailbreak + 0.3 }\n"
    rules += "signal band = bands(need) { low: <= 0.3, high }\n"
    finding = opens(rules + 'guard g { when band == high  reject 403 "x" }')
    assert finding.subjects == ("g", "attack")
    assert ask(failing_open, HEAD + rules + 'guard g { when need >= 0.3 reject 403 "x" }') == []


def test_another_guard_may_catch_what_one_lets_past() -> None:
    first = 'guard g priority 2 { when attack.jailbreak >= 0.9 and urgent  reject 403 "x" }\n'
    for below, found in (("urgent", 0), ("urgent and vip", 1), ("not urgent", 1)):
        rules = OPEN + first + f'guard h {{ when {below}  reject 403 "y" }}'
        assert len(ask(failing_open, HEAD + rules)) == found


def test_guards_that_do_not_reject_do_not_count() -> None:
    rules = OPEN + "signal pii = entities(email)\n"
    assert ask(failing_open, HEAD + rules + "guard g { when attack == jailbreak redact pii }") == []


def test_a_guard_that_never_acts_first_lets_nothing_past() -> None:
    rules = OPEN + 'guard g priority 2 { when urgent  reject 403 "x" }\n'
    rules += 'guard h { when urgent and attack == jailbreak  reject 403 "y" }'
    assert ask(failing_open, HEAD + rules) == []


def test_each_signal_of_a_guard_is_reported() -> None:
    rules = OPEN + 'guard g { when attack == jailbreak or near >= 0.8  reject 403 "x" }'
    assert [f.subjects for f in ask(failing_open, HEAD + rules)] == [("g", "near"), ("g", "attack")]


ATOMS = (
    "attack == jailbreak",
    "attack.jailbreak >= 0.7",
    "attack.odd < 0.3",
    "near >= 0.8",
    "far < 0.5",
    "again",
    "hard > 0.5",
    "outer == high",
    "urgent",
    "vip",
    "seats > 2",
    "need >= 0.5",
    "need < 0.2",
    "band == mid",
)


@st.composite
def guarded(draw: st.DrawFn) -> str:
    """A policy of guards over signals that can fail."""
    share = st.sampled_from(("0.1", "0.5", "-0.4", "1"))
    terms = ("attack.jailbreak", "urgent", "(again and vip)", "(attack == odd)")
    chosen = draw(st.lists(st.sampled_from(terms), min_size=1, max_size=3, unique=True))
    text = HEAD + attack(draw(st.sampled_from(("benign", "jailbreak", "odd"))))
    text += (
        "signal need = score { 0.6 * near + "
        + " + ".join(f"{draw(share)} * {t}" for t in chosen)
        + " }\n"
    )
    text += "signal band = bands(need) { low: < 0.1, mid: <= 0.4, high }\n"
    for at in range(draw(st.integers(1, 3))):
        action = draw(st.sampled_from(('reject 403 "x"', 'reject 403 "x"', 'tag "x"')))
        text += f"guard g{at} {{ when {draw(joined(ATOMS))}  {action} }}\n"
    return text


@settings(max_examples=40, deadline=None)
@given(tried(12, guarded()))
def test_no_request_contradicts_what_is_said_of_guards(case: Tried) -> None:
    policy = roomy(case.policy)
    found = list(failing_open(case.analysis))
    said = {f.subjects for f in found}
    for finding in found:
        assert finding.verdict is Verdict.PROVED
        assert finding.witness is not None
        replayed = Replayed(policy, finding.witness)
        name = finding.subjects[1]
        failed = policy.signals[name].on_error
        assert failed is not None
        assert replayed.decide().guard == finding.subjects[0]
        assert decide(policy, replayed.request, replayed.signals | {name: failed}).guard is None
    for request, signals in case.requests:
        guard = decide(policy, request, signals).guard
        if guard is None:
            continue
        when = next(g.when.expr for g in policy.guards if g.name == guard)
        for name in reads(policy.signals, when):
            failed = policy.signals[name].on_error if name in policy.signals else None
            if failed is not None:
                otherwise = decide(policy, request, signals | {name: failed})
                assert otherwise.guard is not None or (guard, name) in said
