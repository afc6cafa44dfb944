"""Comparing two policies: each relation in plain cases, and in general against brute force."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routec.compiler import check_bytes
from routec.compiler import policy as p
from routec.compiler.diff import Difference, Relation, compare
from routec.compiler.diff.union import Seen
from routec.compiler.interpreter import Request, decide
from routec.compiler.theory.solver import Budget
from routec.compiler.theory.text import TextSignal, matches
from routec.compiler.types import Scores, Value
from tests.compiler.policies import Made, bodies, conditions, policies, requests, signal_values

RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

BASE = """\
policy shop
request { tier: enum(free, pro, max) = free  seats: int = 1  vip: bool = false }
signal urgent = keyword("urgent", "asap")
signal refund = similarity { examples: ["money back"] }
signal topic  = classifier("topic") { labels: [billing, code, other], on_error: other }
signal pii    = entities(email, iban)
signal need   = score { 0.5 * refund + 0.3 * urgent }
signal band   = bands(need) { low: < 0.3, high }
model mini { provider: openai, input: $0.25, output: $2.00, context: 128k }
model opus { provider: anthropic, input: $5.00, output: $25.00, context: 200k }
category bills { when topic == billing, similarity: 0.93, ttl: 10m, scope: tier }
guard spam  { when urgent and tier == free  reject 429 "later" }
guard clean { when pii.any(iban)  redact pii  tag "iban" }
route refunds priority 20 { when refund >= 0.8 to opus set "x-desk" = "refunds" }
route large priority 10 { when seats > 30 or band == high to opus fallback mini cache off tag "large" }
default route general { to mini }
"""


def policy(text: str) -> p.Policy:
    checked = check_bytes("p.route", text.encode())
    assert checked.policy is not None, [f.message for f in checked.findings]
    return checked.policy


def difference(*edits: tuple[str, str], old: str = BASE) -> Difference:
    """Between the policy above and the same with these replacements."""
    new = old
    for before, after in edits:
        assert before in new, before
        new = new.replace(before, after, 1)
    return compare(policy(old), policy(new))


def relations(found: Difference) -> dict[str, str]:
    """Outcomes that are not equivalent, and what became of them."""
    return {
        o.outcome: o.relation.value for o in found.outcomes if o.relation is not Relation.EQUIVALENT
    }


def pairs(found: Difference) -> set[tuple[str, str]]:
    return {(c.before, c.after) for c in found.changes}


def witness(found: Difference, before: str, after: str) -> Mapping[str, Any]:
    [one] = [c for c in found.changes if (c.before, c.after) == (before, after)]
    assert one.witness is not None
    return one.witness


# --- what is no change ------------------------------------------------------------------------


def test_a_policy_is_equivalent_to_itself() -> None:
    found = difference()
    assert found.relation is Relation.EQUIVALENT
    assert not found.changes
    assert not found.redefined
    assert [o.outcome for o in found.outcomes if o.facet == "ending"] == [
        "guard spam", "route refunds", "route large", "route general",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "edits",
    [
        [("policy shop", "# a comment\npolicy shop_2")],
        [("route large", "route big"), ("guard spam", "guard noise")],
        [("priority 20", "priority 21")],
        [("seats > 30", "seats >= 31")],
        [("urgent and tier == free", "tier == free and urgent")],
        [("urgent and tier == free", "not (tier in [pro, max] or not urgent)")],
        [('"urgent", "asap"', '"asap", "urgent"')],
        [('"urgent", "asap"', '"urgent", "asap", "so urgent"')],
        [("category bills", "category invoices")],
        [("band == high", "need >= 0.3")],
        [("0.5 * refund + 0.3 * urgent", "0.3 * urgent + 0.5 * refund")],
        [("signal urgent", "signal hasty"), ("0.3 * urgent", "0.3 * hasty"), ("when urgent", "when hasty")],
        [("default route", "let nobody = vip and not vip\nroute no priority 5 { when nobody to opus }\ndefault route")],
        [("default route", "route yes priority 5 { when vip or not vip to mini }\ndefault route")],
        [("input: $0.25", "input: $0.30")],
    ],
    ids=lambda edits: " ".join(before for before, _ in edits),
)  # fmt: skip
def test_what_decides_the_same_is_equivalent(edits: list[tuple[str, str]]) -> None:
    found = difference(*edits)
    assert relations(found) == {}
    assert found.relation is Relation.EQUIVALENT


def test_equal_routes_may_change_places() -> None:
    one = 'route a priority 5 { when vip to opus tag "x" }\n'
    other = 'route b priority 5 { when tier == max to opus tag "x" }\n'
    for_both = BASE.replace("default route", one + other + "default route")
    found = difference((one + other, other + one), old=for_both)
    assert found.relation is Relation.EQUIVALENT


# --- each relation ----------------------------------------------------------------------------


def test_a_stricter_threshold_narrows() -> None:
    found = difference(("refund >= 0.8", "refund >= 0.9"))
    assert found.relation is Relation.CHANGED
    # From 0.6 on the need is high, so that the large route takes what refunds lets go.
    assert relations(found) == {
        "route refunds": "narrowed",
        "route large": "widened",
        "category bills": "narrowed",
        "tag large": "widened",
        "header x-desk: refunds": "narrowed",
    }
    assert pairs(found) == {
        ("route refunds", "route large"),
        ("category bills", "no category"),
        ("no tag large", "tag large"),
        ("header x-desk: refunds", "no header x-desk"),
    }
    shown = witness(found, "route refunds", "route large")
    assert 0.8 <= shown["signals"]["refund"] < 0.9
    assert shown["outcome"] == {
        "kind": "route", "name": "large", "before": {"kind": "route", "name": "refunds"},
    }  # fmt: skip


def test_an_outcome_that_wins_some_and_loses_some_is_changed() -> None:
    found = difference(("seats > 30 or band == high", "seats in 20..25"))
    assert relations(found)["route large"] == "changed"
    assert pairs(found) >= {("route large", "route general"), ("route general", "route large")}
    assert 20 <= witness(found, "route general", "route large")["attributes"]["seats"] <= 25


def test_another_body_is_another_outcome_under_the_same_name() -> None:
    found = difference(('to opus set "x-desk"', 'to mini fallback opus set "x-desk"'))
    assert relations(found) == {
        "route refunds (old)": "narrowed",
        "route refunds (new)": "widened",
    }
    assert pairs(found) == {("route refunds (old)", "route refunds (new)")}


def test_bodies_that_change_places_keep_their_outcomes() -> None:
    """Rules that exchange what they do exchange their requests."""
    found = difference(
        ("refund >= 0.8 to opus set", "refund >= 0.8 to mini set"),
        ("default route general { to mini }", "default route general { to opus }"),
    )
    assert {(c.before, c.after) for c in found.changes if c.facet == "ending"} == {
        ("route refunds (now general)", "route general (now refunds)"),
        ("route general (now refunds)", "route refunds (now general)"),
    }


def test_rules_that_do_the_same_share_an_outcome() -> None:
    found = difference(("fallback mini cache off", "cache off"))
    assert relations(found)["route refunds, large"] == "widened"
    assert relations(found)["route large (old)"] == "narrowed"


def test_what_a_guard_says_is_its_outcome() -> None:
    found = difference(('reject 429 "later"', 'reject 403 "no"'))
    assert pairs(found) == {("guard spam (old)", "guard spam (new)")}
    shown = witness(found, "guard spam (old)", "guard spam (new)")
    assert "urgent" in shown["text"] or "asap" in shown["text"]


def test_more_redaction_is_told_by_kind() -> None:
    found = difference(("pii.any(iban)", "pii.any(iban, email)"))
    assert relations(found) == {"redact email": "widened", "tag iban": "widened"}
    # An iban was always masked where there was one.
    assert "redact iban" in {o.outcome for o in found.outcomes}


def test_cache_terms_are_an_outcome_of_their_own() -> None:
    assert relations(difference(("ttl: 10m", "ttl: 20m"))) == {
        "category bills (old)": "narrowed", "category bills (new)": "widened",
    }  # fmt: skip
    assert relations(difference((" cache off tag", " tag"))) == {"category bills": "widened"}


def test_a_smaller_model_refuses_larger_requests() -> None:
    found = difference(("context: 128k", "context: 64k"))
    assert relations(found)["reject context_overflow"] == "widened"
    assert 64_000 < witness(found, "no overflow", "reject context_overflow")["tokens"] <= 128_000


def test_every_change_names_what_it_depends_on() -> None:
    found = difference(("seats > 30", "seats > 40"))
    [change] = [c for c in found.changes if c.facet == "ending"]
    assert set(change.matters) >= {"seats", "refund"}
    assert "vip" not in change.matters


# --- redefinitions ----------------------------------------------------------------------------


def test_a_list_of_keywords_that_only_grows_widens() -> None:
    found = difference(('"urgent", "asap"', '"urgent", "asap", "pronto"'))
    assert relations(found)["guard spam"] == "widened"
    assert relations(found)["route large"] == "changed"
    assert ("signal", "urgent", "phrases: 1 added") in {
        (r.kind, r.name, r.how) for r in found.redefined
    }
    shown = witness(found, "route general", "guard spam")
    assert "pronto" in shown["text"]
    assert shown["signals"]["urgent (old)"] is False
    assert shown["signals"]["urgent (new)"] is True


def test_a_list_of_keywords_that_only_shrinks_narrows() -> None:
    found = difference(('"urgent", "asap"', '"urgent"'))
    assert relations(found)["guard spam"] == "narrowed"


def test_phrases_that_need_those_already_there_change_nothing_decided() -> None:
    found = difference(('"urgent", "asap"', '"urgent", "asap", "not urgent"'))
    assert relations(found) == {}
    assert [r.name for r in found.redefined if r.kind == "signal"][:1] == ["urgent"]


def test_another_classifier_may_say_anything() -> None:
    found = difference(('classifier("topic")', 'classifier("topic-2")'))
    assert relations(found) == {"category bills": "changed"}
    assert [r.name for r in found.redefined] == ["topic"]


def test_entities_are_seen_the_same_whichever_are_asked_for() -> None:
    found = difference(("entities(email, iban)", "entities(email, iban, phone)"))
    assert relations(found) == {"redact phone": "widened"}


def test_other_weights_of_a_score_are_compared_exactly() -> None:
    # Half the weight and half the bound decide the same, where the keyword is not there.
    halved = [("0.5 * refund + 0.3 * urgent", "0.25 * refund + 0.15 * urgent"), ("low: < 0.3", "low: < 0.15")]  # fmt: skip
    assert relations(difference(*halved)) == {}
    assert relations(difference(halved[0]))["route large"] == "narrowed"


def test_another_failure_value_shows_where_the_signal_fails() -> None:
    found = difference(("on_error: other", "on_error: billing"))
    assert relations(found) == {"category bills": "widened"}
    shown = witness(found, "no category", "category bills")
    assert shown["failing"] == ["topic"]
    assert "topic" not in shown["signals"]


def test_another_failure_value_counts_in_sums_too() -> None:
    found = difference(
        ('{ examples: ["money back"] }', '{ examples: ["money back"], on_error: 0.7 }')
    )
    assert relations(found)["route large"] == "changed"
    assert found.redefined[0].how == "on_error 0.0 became 0.7"


def test_a_keyword_that_a_guard_now_depends_on_sees_more() -> None:
    """Decoded text too, of which no example is written."""
    old = BASE.replace(
        "guard spam  { when urgent and tier == free", "guard spam  { when tier == free"
    )
    found = difference(
        ("guard clean", 'guard loud { when urgent tag "loud" }\nguard clean'), old=old
    )
    assert relations(found)["tag loud"] == "widened"
    assert relations(found)["route large"] == "unknown"
    assert found.redefined[0].how == "also sees decoded text, as a guard depends on it"


def test_another_default_shows_where_the_field_is_absent() -> None:
    found = difference(("max) = free", "max) = pro"))
    assert relations(found)["guard spam"] == "narrowed"
    shown = next(c.witness for c in found.changes if c.before == "guard spam")
    assert shown is not None
    assert shown["absent"] == ["tier"]
    assert "tier" not in shown["attributes"]


def test_a_model_that_means_another_target_is_another_outcome() -> None:
    found = difference(("provider: openai", "provider: azure"))
    # The other route only falls back to it.
    assert pairs(found) == {
        ("route general (old)", "route general (new)"), ("route large (old)", "route large (new)"),
    }  # fmt: skip
    assert [(r.kind, r.name) for r in found.redefined] == [("model", "mini")]


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (("enum(free, pro, max)", "enum(free, pro)"), "`tier` is enum(free, pro, max)", "`tier` is enum(free, pro)"),
        (("seats: int = 1", "seats: float = 1"), "`seats` is int", "`seats` is float"),
        (("seats: int = 1", "seats: int"), "`seats` is optional", "`seats` is required"),
        (("vip: bool = false", ""), "", ""),
        (("vip: bool = false", "vip: bool = false  tenant: string"), "`tenant` is ignored", "`tenant` is required"),
    ],
)  # fmt: skip
def test_requests_that_only_one_policy_takes_are_told(
    edit: tuple[str, str], before: str, after: str
) -> None:
    found = difference(edit)
    assert relations(found) == {}
    assert pairs(found) == ({(before, after)} if before else set())
    assert found.relation is (Relation.CHANGED if before else Relation.EQUIVALENT)


def test_a_field_of_an_unlike_type_is_another_field() -> None:
    found = difference(("vip: bool = false", 'vip: string = "no"'), ("seats > 30", 'vip == "yes"'))
    assert "which have no value in common" in found.redefined[0].how
    assert relations(found)["route large"] == "changed"


# --- effort -----------------------------------------------------------------------------------


def pigeons(extra: str) -> str:
    """A guard that never holds, though that is hard to see, and a route."""
    holes, birds = range(8), range(9)
    sits = [" or ".join(f"p{b}_{h}" for h in holes) for b in birds]
    alone = [f"not (p{b}_{h} and p{c}_{h})" for h in holes for b in birds for c in birds if b < c]
    fields = " ".join(f"p{b}_{h}: bool = false" for b in birds for h in holes)
    hard = " and ".join([*(f"({s})" for s in sits), *alone])
    return (
        f"policy p\nrequest {{ {fields} n: int = 0 }}\nmodel m {{ }}\nmodel k {{ }}\n"
        f'guard hard {{ when {hard} {extra} reject 403 "x" }}\n'
        "route r priority 1 { when n > 1 to k }\ndefault route d { to m }\n"
    )


def test_what_the_effort_does_not_decide_is_unknown_and_loses_nothing_else() -> None:
    old, new = pigeons(""), pigeons("and n < 7").replace("n > 1", "n > 2")
    found = compare(policy(old), policy(new), Budget(query=100, total=500, last=50))
    by_name = {o.outcome: o for o in found.outcomes}
    assert by_name["guard hard"].relation is Relation.UNKNOWN
    assert "conflicts" in (by_name["guard hard"].reason or "")
    assert ("route r", "route d") in pairs(found)
    assert found.relation is Relation.CHANGED


def test_nothing_found_and_something_unknown_is_unknown() -> None:
    old, new = pigeons(""), pigeons("and n < 7")
    found = compare(policy(old), policy(new), Budget(query=100, total=500, last=50))
    assert found.relation is Relation.UNKNOWN
    assert not found.changes


# --- in general -------------------------------------------------------------------------------

GROWN = {
    'keyword("urgent", "asap")': 'keyword("urgent", "asap", "hurry")',
    "entities(email, iban, phone)": "entities(email, iban, us_ssn, phone)",
    "= free\n  seats": "= pro\n  seats",
    "seats: int = 1": "seats: int = 4",
    "- 0.2 }": "- 0.1 }",
    "low: < 0.3, mid": "low: < 0.2, mid",
    "on_error: other": "on_error: law",
    "quality: 0.93": "quality: 0.1",
    "context: 2k": "context: 4k",
}
"""Edits of declarations of random policies."""


@st.composite
def edited(draw: st.DrawFn, made: Made) -> str:
    """A random policy with one to three random edits."""
    text = made.text
    names = tuple(n for n in re.findall(r"signal (\w+) =", text) if n != "handy")
    lets = tuple(re.findall(r"let (\w+) =", text))
    categories = tuple(re.findall(r"category (\w+)", text))
    for _ in range(draw(st.integers(1, 3))):
        kinds = ["condition", "body", "priority", "declaration"]
        kind = draw(st.sampled_from(kinds))
        if kind == "declaration":
            known = [(a, b) for a, b in GROWN.items() if a in text]
            before, after = draw(st.sampled_from(known))
            text = text.replace(before, after)
            continue
        blocks = list(re.finditer(r"(?:default )?route \w+.*?\n}", text, re.S))
        block = draw(st.sampled_from(blocks))
        old = new = block.group()
        if kind == "condition" and "  when " in old:
            condition = draw(conditions((*names, *lets)))
            new = re.sub(r"  when .*", lambda _, c=condition: f"  when {c}", old)
        elif kind == "body":
            body = draw(bodies(categories))
            new = re.sub(r"  to .*\n}", lambda _, b=body: f"  {b}\n}}", old, flags=re.S)
        elif kind == "priority":
            rank = draw(st.integers(0, 4)) * 10
            new = re.sub(r"priority \d+", f"priority {rank}", old)
        text = text[: block.start()] + new + text[block.end() :]
    return text


TEXTS = ("", "urgent", "asap TKT-7", "hurry", "TKT-12 hurry", "nothing of note")


def text_values(one: p.Policy, text: str) -> dict[str, bool]:
    """The values of keyword and regex signals."""
    messages = (("user", text),)
    return {
        name: matches(TextSignal(name, signal.definition), messages)
        for name, signal in one.signals.items()
        if isinstance(signal.definition, p.Keyword | p.Regex)
    }


def seen(one: p.Policy, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values that a policy has of what was measured."""
    found: dict[str, Value] = {}
    for name, signal in one.signals.items():
        if signal.stage is p.Stage.DERIVED:
            continue
        value = values[name]
        if isinstance(signal.definition, p.Entities) and isinstance(value, frozenset):
            value &= set(signal.definition.kinds)
        found[name] = value
    return found


def does(
    found: Difference, at: int, request: Request, values: Mapping[str, Value]
) -> dict[str, Any]:
    """The outcome in each facet of what one policy decides."""
    one = (found.union.old, found.union.new)[at].policy
    roomy = replace(one, models={n: replace(m, context=None) for n, m in one.models.items()})
    entities = [
        v for n, v in values.items()
        if isinstance(one.signals[n].definition, p.Entities) and isinstance(v, frozenset)
    ]  # fmt: skip
    decision = decide(roomy, request, values)
    overflow = decide(one, request, values).overflow
    doing = found.doing[at]
    return doing.of(doing.facts(Seen(decision, overflow, frozenset().union(*entities))))


@RELAXED
@given(st.data())
def test_every_relation_holds_of_every_request_tried(data: st.DataObject) -> None:
    made = data.draw(policies(max_routes=4))
    new = policy(data.draw(edited(made)))
    found = compare(made.policy, new)
    assert Relation.UNKNOWN not in {o.relation for o in found.outcomes}
    labels = {(f.name, o.key): o.label for f in found.facets for o in f.outcomes.values()}
    became = {(o.facet, o.outcome): o.relation for o in found.outcomes}
    for _ in range(12):
        request = data.draw(requests(made.policy))
        measured = data.draw(signal_values(made.policy))
        if isinstance(kinds := measured.get("pii"), frozenset) and data.draw(st.booleans()):
            measured["pii"] = kinds | {"us_ssn"}
        text = data.draw(st.sampled_from(TEXTS))
        tokens = measured.get("size", request.tokens)
        assert isinstance(tokens, int)
        request = replace(request, tokens=tokens, max_tokens=None)
        old_does, new_does = (
            does(found, at, request, seen(one, {**measured, **text_values(one, text)}))
            for at, one in enumerate((made.policy, new))
        )
        for facet in {*old_does, *new_does}:
            before, after = old_does.get(facet), new_does.get(facet)
            if before == after:
                continue
            assert found.relation is Relation.CHANGED
            if before is not None:
                label = labels[facet, before]
                assert became[facet, label] in (Relation.NARROWED, Relation.CHANGED), label
            if after is not None:
                label = labels[facet, after]
                assert became[facet, label] in (Relation.WIDENED, Relation.CHANGED), label


def again(found: Difference, at: int, shown: Mapping[str, Any]) -> dict[str, Any]:
    """What one policy does to a request as it was written down."""
    one = (found.union.old, found.union.new)[at].policy
    suffix = (" (old)", " (new)")[at]
    values: dict[str, Value] = {}
    for name, signal in one.signals.items():
        if signal.stage is p.Stage.DERIVED:
            continue
        own = name + suffix
        key = own if own in shown["signals"] or own in shown.get("failing", ()) else name
        if key in shown.get("failing", ()):
            assert signal.on_error is not None
            values[name] = signal.on_error
            continue
        value = shown["signals"][key]
        if isinstance(signal.definition, p.Classifier):
            scores = {x: shown["signals"].get(f"{key}.{x}", 0.0) for x in signal.definition.labels}
            values[name] = Scores(value, scores)
        elif signal.kind == "language":
            confidence = shown["signals"].get(f"{key}.confidence", None)
            values[name] = Scores(value, {"confidence": 0.0 if confidence is None else confidence})
        elif isinstance(value, list):
            values[name] = frozenset(value) & set(signal.type.members)
        else:
            values[name] = value
    attributes = {
        name: frozenset(value) if isinstance(value, list) else value
        for name, value in shown["attributes"].items()
    }
    size = next((values[n] for n, s in one.signals.items() if s.kind == "tokens"), None)
    tokens = shown.get("tokens", 0) if size is None else size
    return does(found, at, Request("again", attributes, int(tokens)), values)


@RELAXED
@given(st.data())
def test_every_witness_shows_its_change_as_it_is_written_down(data: st.DataObject) -> None:
    made = data.draw(policies(max_routes=4))
    new = policy(data.draw(edited(made)))
    found = compare(made.policy, new)
    labels = {(f.name, o.key): o.label for f in found.facets for o in f.outcomes.values()}
    for change in found.changes:
        shown = change.witness
        if shown is None:
            assert change.facet == "request"
            continue
        keys = [again(found, at, shown).get(change.facet) for at in (0, 1)]
        assert keys[0] != keys[1]
        for key, label in zip(keys, (change.before, change.after), strict=True):
            if key is not None:
                assert labels[change.facet, key] == label
        for one in (made.policy, new):
            for name, value in text_values(one, shown["text"]).items():
                key_ = next(
                    k for k in (name, f"{name} (old)", f"{name} (new)") if k in shown["signals"]
                )
                if key_ == name:
                    assert shown["signals"][name] is value
    moved = {c.before for c in found.changes} | {c.after for c in found.changes}
    for outcome in found.outcomes:
        assert (outcome.outcome in moved) is (outcome.relation is not Relation.EQUIVALENT)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(policies(max_routes=4), st.randoms(use_true_random=False))
def test_names_comments_and_layout_are_no_change(made: Made, random: Random) -> None:
    text = "# the same\n" + made.text.replace("\n", "  # here\n\n")
    for old in sorted(set(re.findall(r"\b(?:r|g)\d\b", text)), key=lambda _: random.random()):
        text = re.sub(rf"\b(route|guard) {old}\b", rf"\1 {old}_renamed", text)
    text = text.replace("route rest", "route everything_else")
    found = compare(made.policy, policy(text))
    assert found.relation is Relation.EQUIVALENT, relations(found)
    assert not found.redefined
