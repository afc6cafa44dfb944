"""RC401 and RC402: what every request pays, and what the dearest one costs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given, settings

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import holds
from routec.compiler.analysis.cost import costly, over, worst
from routec.compiler.analysis.needs import SCAN, Call, calls, settled
from routec.compiler.analysis.supposing import roomy
from routec.compiler.interpreter import all_values, decide
from routec.compiler.theory.solver import Sat
from routec.compiler.types import Scores, Value
from routec.dsl.diagnostic import Diagnostic
from tests.compiler.analysis.asking import Tried, analysis_of, ask, only, related, tried
from tests.compiler.mutation.replay import Replayed

HEAD = """policy desk
request { vip: bool = false  seats: int = 1 }
signal urgent = keyword("asap")
signal size = tokens()
signal pii = entities(email)
signal near = similarity { examples: ["x"] }
signal far = contrast { high: ["x"], low: ["y"] }
signal topic = classifier("topic") { labels: [law, code], on_error: code }
signal again = classifier("topic") { labels: [law, code], on_error: code }
signal attack = classifier("attack") { labels: [ok, bad], on_error: bad, timeout: 2ms }
signal risk = external("risk") { type: bool, on_error: true }
signal slow = external("slow") { type: bool, on_error: true, timeout: 80ms }
model mini { provider: openai }
model opus { provider: anthropic }
"""
REST = "default route rest { to mini }\n"
GUARD = 'guard g { when attack.bad >= 0.9  reject 403 "x" }\n'


def paid(rules: str) -> list[tuple[str, ...]]:
    """Signals of each call that every request pays for."""
    found = ask(costly, HEAD + rules + REST)
    assert all((f.code, f.severity, f.verdict) == ("RC401", "note", "proved") for f in found)
    return [f.subjects for f in found]


# --- RC401 ------------------------------------------------------------------------------------


def test_a_guard_that_asks_a_classifier_of_every_request() -> None:
    finding = only(costly, HEAD + GUARD + REST)
    assert (finding.code, finding.severity) == ("RC401", "note")
    assert finding.subjects == ("attack",)
    assert related(finding) == ["g"]
    assert "about 2 ms" in finding.message
    assert "guard `g`" in (finding.help or "")


@pytest.mark.parametrize(
    "rules",
    [
        GUARD.replace("when ", "when not vip and "),
        GUARD + 'guard first priority 9 { when urgent  reject 403 "y" }\n',
        GUARD.replace("when ", "when size > 2k and "),
        "route r priority 1 { when urgent or topic == law  to opus }\n",
        "route r priority 2 { when vip  to opus }\n"
        "route s priority 1 { when topic == law  to opus }\n",
        "category c { when topic == law, similarity: 0.9 }\n"
        "route r priority 1 { when vip  to opus cache off }\n",
        "route r priority 1 { when near > 0.5 or risk  to opus }\n",
    ],
)
def test_signals_that_some_request_can_do_without(rules: str) -> None:
    assert paid(rules) == []


@pytest.mark.parametrize(
    ("rules", "signals"),
    [
        ("route r priority 1 { when topic == law  to opus }\n", [("topic",)]),
        ("route r priority 1 { when topic == law and again == law to opus }\n", [("topic", "again")]),
        ("route r priority 1 { when near > 0.5 or far > 1  to opus }\n", [("near", "far")]),
        ("category c { when topic == law, similarity: 0.9 }\n", [("topic",)]),
        ("route r priority 1 { when risk  to opus }\n" + GUARD, [("attack",)]),
        ("signal s = score { 0.5 * near + vip }\nroute r priority 1 { when s > 1.2 to opus }\n", [("near",)]),
        ('guard t { when risk  tag "x" }\n' + GUARD, [("attack",), ("risk",)]),
        ("guard t { when far > 1  redact pii }\n", [("far",)]),
    ],
)  # fmt: skip
def test_signals_that_no_request_can_do_without(rules: str, signals: list[tuple[str, ...]]) -> None:
    assert paid(rules) == signals


def test_the_category_matters_only_where_the_cache_is_on() -> None:
    category = "category c { when topic == law, similarity: 0.9 }\n"
    assert ask(costly, HEAD + category + "default route rest { to mini cache off }") == []
    assert ask(costly, HEAD + category + "default route rest { to mini cache c }") == []


# --- RC402 ------------------------------------------------------------------------------------


def worst_of(rules: str) -> Decimal:
    found = worst(analysis_of(HEAD + rules + REST))
    assert found.doubt is None
    return found.cost


@pytest.mark.parametrize(
    ("rules", "milliseconds"),
    [
        ("", "0.01"),
        (GUARD, "2.01"),
        ("route r priority 1 { when topic == law  to opus }\n", "8.01"),
        ("route r priority 1 { when topic == law and again == law  to opus }\n", "8.01"),
        ("route r priority 1 { when near > 0.5 and far > 1  to opus }\n", "5.01"),
        ("route r priority 1 { when near > 0.5 and topic == law  to opus }\n", "13.01"),
        ("route r priority 1 { when near > 0.5 or topic == law  to opus }\n", "13.01"),
        ("route r priority 1 { when risk  to opus }\n", "50.01"),
        ("route r priority 1 { when slow  to opus }\n", "80.01"),
        ("route r priority 1 { when pii.empty  to opus }\n", "0.11"),
        ("guard m { when vip  redact pii }\n", "0.11"),
        ("route r priority 2 { when vip and topic == law  to opus }\n"
         "route s priority 1 { when not vip and risk  to opus }\n", "50.01"),
        ('guard a { when urgent and attack.bad > 0.5  reject 403 "x" }\n'
         "route r priority 1 { when urgent and topic == law  to opus }\n", "10.01"),
    ],
)  # fmt: skip
def test_the_worst_path_adds_up_what_one_request_can_need(rules: str, milliseconds: str) -> None:
    assert worst_of(rules) * 1000 == Decimal(milliseconds)


def over_budget(p99: str, rules: str) -> list[Diagnostic]:
    return ask(over, HEAD.replace("policy desk", f"policy desk {{ p99: {p99} }}") + rules + REST)


def test_a_policy_that_allows_itself_less_than_its_worst_path() -> None:
    rules = GUARD + "route r priority 1 { when near > 0.5  to opus }\n"
    assert over_budget("8ms", rules) == []
    (finding,) = over_budget("7ms", rules)
    assert (finding.code, finding.severity, finding.verdict) == ("RC402", "warning", "proved")
    assert finding.subjects == ("desk", "near, far", "attack")
    assert "7.01 ms, more than the 7 ms" in finding.message
    assert finding.witness is not None
    text = HEAD + rules + REST
    replayed = Replayed(analysis_of(text).policy, finding.witness)
    assert replayed.decide().outcome == "route"


def test_a_policy_without_a_demand_may_cost_anything() -> None:
    assert ask(over, HEAD + GUARD + REST) == []


# --- against the interpreter --------------------------------------------------------------------


def others(signal: p.Signal, value: Value) -> list[Value]:
    """Some more values of a costly signal."""
    definition = signal.definition
    if isinstance(definition, p.Classifier):
        sure = [Scores(x, {y: float(x == y) for y in definition.labels}) for x in definition.labels]
        return [value, *sure]
    if isinstance(definition, p.Repeated):
        return [True, False]
    return [value, -1.0, 0.0, 0.5, 0.85, 1.0]


def variants(call: Call, values: Mapping[str, Value]) -> list[dict[str, Value]]:
    """The values with those of one call replaced."""
    found: list[dict[str, Value]] = [dict(values)]
    for signal in call.signals:
        found = [f | {signal.name: v} for f in found for v in others(signal, values[signal.name])]
    return found


@settings(max_examples=20, deadline=None)
@given(tried(6))
def test_what_a_request_does_not_need_cannot_change_its_decision(case: Tried) -> None:
    policy, analysis = roomy(case.policy), case.analysis
    table = analysis.subject.table
    every = [c for c in calls(policy.signals.values()) if c.stage is not p.Stage.SCAN]
    known = [settled(table, policy, call) for call in every]
    must = {f.subjects for f in costly(analysis)}
    found = worst(analysis)
    assert found.doubt is None
    for request, signals in case.requests:
        values = all_values(policy, request, signals)
        needed = [not holds(condition, values) for condition in known]
        cost = sum((c.cost for c, needs in zip(every, needed, strict=True) if needs), Decimal(0))
        assert cost <= found.cost
        for call, needs in zip(every, needed, strict=True):
            if any({s.name for s in call.signals} & set(names) for names in must):
                assert needs
            if not needs and call.stage is not p.Stage.LIGHT:
                decisions = [decide(policy, request, v) for v in variants(call, signals)]
                assert all(decision == decisions[0] for decision in decisions)


@settings(max_examples=20, deadline=None)
@given(tried(0))
def test_the_worst_path_is_the_greatest_of_all_combinations(case: Tried) -> None:
    policy, subject = case.policy, case.analysis.subject
    every = calls(policy.signals.values())
    scan = SCAN if any(c.stage is p.Stage.SCAN for c in every) else Decimal(0)
    dear = [c for c in every if c.stage is not p.Stage.SCAN]
    needs = [subject.no(settled(subject.table, policy, call)) for call in dear]
    greatest = scan
    for size in range(1, len(dear) + 1):
        for chosen in combinations(range(len(dear)), size):
            together = subject.both(*(needs[at] for at in chosen))
            if isinstance(subject.possible(together), Sat):
                cost = sum((dear[at].cost for at in chosen), scan)
                greatest = max(greatest, cost)
    assert worst(case.analysis).cost == greatest
