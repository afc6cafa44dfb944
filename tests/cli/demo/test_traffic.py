"""The sample traffic: the same everywhere, true to its labels, and no toy."""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import unicodedata
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.cli.demo.traffic import (
    ATTACK_KINDS,
    MALFORMED_KINDS,
    TOPICS,
    Attribute,
    Sample,
    answer,
    attributes_for,
    generate,
    make_malformed,
    message_text,
)
from routec.cli.demo.traffic.malformed import NESTING
from routec.cli.demo.traffic.phrasebook import intents, slot_values, slots_of

SCHEMA = (
    Attribute("tenant", "string", required=True),
    Attribute("tier", "enum", ("free", "pro", "enterprise"), default="free", path="user.tier"),
    Attribute("roles", "set"),
    Attribute("beta", "bool", default=False),
    Attribute("seats", "int", default=1),
    Attribute("risk", "float", default=0.0, path="user.risk"),
)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(islice(generate(7, SCHEMA), 2_000))


# --- determinism ---------------------------------------------------------------


def digest(seed: int, count: int = 300) -> str:
    stream = islice(generate(seed, SCHEMA), count)
    return hashlib.sha256(b"\n".join(s.encode() for s in stream)).hexdigest()


@settings(max_examples=10, deadline=None)
@given(st.integers())
def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    assert digest(seed, 60) == digest(seed, 60)


def test_other_seeds_give_other_traffic() -> None:
    assert len({digest(seed, 20) for seed in (-1, 0, 1, 2, 2**70)}) == 5


def test_the_bytes_do_not_depend_on_machine_or_version() -> None:
    assert digest(1) == "f334f43c39da76f8b98d85200b0d8ff5df532d61016d99b7ab8cc4dbe4b6704e"


def test_time_starts_where_told_and_never_runs_back() -> None:
    start = datetime(2030, 5, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    times = [s.event["time"] for s in islice(generate(3, start=start, rate=100.0), 500)]
    assert times[0] == "2030-05-01T10:00:00.000Z"
    parsed = [datetime.fromisoformat(t) for t in times]
    gaps = [(b - a).total_seconds() for a, b in pairwise(parsed)]
    assert min(gaps) >= 0
    assert 0.008 < sum(gaps) / len(gaps) < 0.012
    assert len(set(gaps)) > 10


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        next(generate(1, rate=rate))


def test_a_start_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        next(generate(1, start=datetime(2030, 1, 1)))


# --- events ----------------------------------------------------------------------


def test_events_have_the_shape_of_the_contract(samples: list[Sample]) -> None:
    for sample in samples:
        event = json.loads(sample.encode())
        assert list(event) == ["request_id", "time", "attributes", "body"]
        messages = event["body"]["messages"]
        assert messages[-1]["role"] == "user"
        assert {m["role"] for m in messages} <= {"system", "user", "assistant"}
        assert all(message_text(m).strip() for m in messages)
        assert "{" not in sample.text.replace("{{", ""), sample.text
    assert len({s.event["request_id"] for s in samples}) == len(samples)


def test_bodies_have_what_the_structure_signals_look_for(samples: list[Sample]) -> None:
    bodies = [s.event["body"] for s in samples]
    assert any("tools" in b for b in bodies)
    assert any("max_tokens" in b for b in bodies)
    assert any(isinstance(b["messages"][-1]["content"], list) for b in bodies)
    assert any(b["messages"][0]["role"] == "system" for b in bodies)


# --- truth -----------------------------------------------------------------------


def test_planted_spans_are_exact(samples: list[Sample]) -> None:
    planted = 0
    for sample in samples:
        for entity in sample.truth.entities:
            text = message_text(sample.event["body"]["messages"][entity.message])
            assert text[entity.start : entity.end] == entity.text
            planted += 1
    assert planted > 100


def test_two_thousand_samples_show_everything(samples: list[Sample]) -> None:
    truths = [s.truth for s in samples]
    assert {t.topic for t in truths} == set(TOPICS)
    assert {t.language for t in truths} == {"en", "de", "fr", "es", "it", "zh", "ja"}
    assert {t.kind for t in truths} == {None, *ATTACK_KINDS}
    assert {t.difficulty for t in truths} == {"trivial", "easy", "medium", "hard"}
    assert {t.length for t in truths} == {"short", "medium", "long", "very_long"}
    assert {e.kind for t in truths for e in t.entities} == {
        "credit_card",
        "iban",
        "phone",
        "email",
        "us_ssn",
        "ip_address",
        "api_key",
    }
    seen = {(t.topic, t.intent) for t in truths if t.kind is None}
    assert seen == {(topic, i.name) for topic in TOPICS for i in intents(topic)}
    for flag in ("unhappy", "urgent"):
        assert {getattr(t, flag) for t in truths} == {True, False}
    assert {t.turn for t in truths} == {1, 2}


def test_intents_and_tenants_have_a_popular_head(samples: list[Sample]) -> None:
    tenants = Counter(s.event["attributes"]["tenant"] for s in samples).most_common()
    assert tenants[0][1] > 2 * tenants[-1][1]
    billing = Counter(
        s.truth.intent for s in samples if s.truth.topic == "billing" and s.truth.language == "en"
    ).most_common()
    assert billing[0][1] > 2 * billing[-1][1]


def test_groups_ask_one_question_in_several_ways(samples: list[Sample]) -> None:
    groups: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        groups[sample.truth.group].add(sample.text)
    assert sum(len(texts) > 1 for texts in groups.values()) > 100


def test_repeats_repeat_word_by_word(samples: list[Sample]) -> None:
    texts = {s.event["request_id"]: s for s in samples}
    repeats = [s for s in samples if s.truth.repeat_of]
    assert len(repeats) > 50
    for sample in repeats:
        original = texts[sample.truth.repeat_of or ""]
        assert sample.text == original.text
        assert sample.truth.group == original.truth.group
        assert original.truth.repeat_of is None


def test_unhappy_users_ask_again(samples: list[Sample]) -> None:
    for sample in samples:
        users = [m for m in sample.event["body"]["messages"] if m["role"] == "user"]
        assert len(users) == sample.truth.turn
        if sample.truth.unhappy:
            assert sample.truth.turn == 2


def test_lengths_are_what_they_say(samples: list[Sample]) -> None:
    for sample in samples:
        words = len(sample.text.split())
        match sample.truth.length:
            case "short":
                assert words < 80
            case "medium":
                assert 30 <= words < 200
            case "long":
                assert 300 < words < 1_100
            case "very_long":
                assert 3_000 < words < 6_500


def test_disguises_hide_what_they_hide(samples: list[Sample]) -> None:
    for sample in samples:
        text = sample.text
        match sample.truth.kind:
            case "base64":
                blob = max(text.split(), key=len)
                assert len(base64.b64decode(blob, validate=True).decode()) > 20
            case "rot13":
                plain = codecs.decode(text, "rot13").lower()
                assert any(w in plain for w in (" the ", " you ", " and ", " your ", " your "))
            case "homoglyph":
                scripts = {unicodedata.name(c).split()[0] for c in text if c.isalpha()}
                assert scripts == {"LATIN", "CYRILLIC"}
            case "zero_width":
                assert any(unicodedata.category(c) == "Cf" for c in text)
            case "lookalike":
                assert not sample.truth.attack
        assert sample.truth.attack == (sample.truth.kind not in (None, "lookalike"))


# --- phrase files ------------------------------------------------------------------


@pytest.mark.parametrize("topic", TOPICS)
def test_topics_are_rich(topic: str) -> None:
    english = [i for i in intents(topic) if i.language == "en"]
    assert len(english) >= 12
    assert all(len(i.phrases) >= 6 for i in english)
    for intent in intents(topic):
        assert len(set(intent.phrases)) == len(intent.phrases)
        for phrase in intent.phrases:
            assert set(slots_of(phrase)) <= set(slot_values())


@pytest.mark.parametrize("topic", TOPICS)
def test_paraphrases_have_the_same_slots(topic: str) -> None:
    for intent in intents(topic):
        if intent.same:
            assert len({frozenset(slots_of(p)) for p in intent.phrases}) == 1, intent.name


def test_slot_values_are_distinct() -> None:
    for name, values in slot_values().items():
        assert len(values) >= 6, name
        assert len(set(values)) == len(values), name


# --- attributes ----------------------------------------------------------------------


def test_attributes_fit_their_declaration(samples: list[Sample]) -> None:
    for sample in samples:
        drawn = sample.event["attributes"]
        assert isinstance(drawn["tenant"], str)
        user = drawn.get("user", {})
        assert set(user) <= {"tier", "risk"}
        assert user.get("tier", "free") in ("free", "pro", "enterprise")
        assert 0 <= user.get("risk", 0) <= 1
        assert isinstance(drawn.get("beta", False), bool)
        assert isinstance(drawn.get("seats", 1), int)
        assert all(isinstance(role, str) for role in drawn.get("roles", []))
    for name in ("roles", "beta", "seats"):
        present = sum(name in s.event["attributes"] for s in samples)
        assert 0 < present < len(samples)


def test_what_a_form_says_mostly_agrees_with_the_text() -> None:
    schema = (
        Attribute("subject", "enum", ("service", "invoice", "technical", "legal"), required=True),
        Attribute("page", "enum", ("home", "cart"), required=True),
    )
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in islice(generate(3, schema), 2_000):
        found[sample.truth.topic][sample.event["attributes"]["subject"]] += 1
        assert sample.event["attributes"]["page"] in ("home", "cart")
    for topic, fitting in {
        "billing": {"invoice", "service"},
        "code": {"technical"},
        "legal": {"legal"},
        "medical": {"service"},
    }.items():
        drawn = found[topic]
        share = sum(drawn[member] for member in fitting) / drawn.total()
        assert 0.75 < share < 1, (topic, drawn)
    assert len(found["other"]) == 4


def test_a_path_through_a_value_is_an_error() -> None:
    clash = (
        Attribute("user", "string", required=True),
        Attribute("tier", "string", required=True, path="user.tier"),
    )
    with pytest.raises(ValueError, match=r"user\.tier"):
        attributes_for(clash, Random(1))


# --- malformed ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MALFORMED_KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_malformed_events_are_malformed(kind: str, seed: int) -> None:
    value = make_malformed(kind, Random(seed), SCHEMA)  # type: ignore[arg-type]
    match kind:
        case "truncated_json":
            with pytest.raises(ValueError):
                json.loads(value)
        case "invalid_utf8":
            with pytest.raises(UnicodeDecodeError):
                value.decode()
        case "oversized_text":
            assert len(value) > 2 * 1024 * 1024
            json.loads(value)
        case "deep_nesting":
            assert max(value.count(b"["), value.count(b"{")) >= NESTING
            with pytest.raises(RecursionError):
                json.loads(value)
        case "missing_attribute":
            assert "tenant" not in json.loads(value)["attributes"]
        case "wrong_types":
            event = json.loads(value)
            attributes, body = event["attributes"], event["body"]
            right = (
                isinstance(attributes, dict)
                and isinstance(body, dict)
                and isinstance(body["messages"], list)
                and isinstance(body["messages"][0], dict)
                and isinstance(body["messages"][0]["content"], str)
                and isinstance(body["messages"][0]["role"], str)
            )
            assert not right


def test_malformed_events_are_the_same_for_the_same_seed() -> None:
    for kind in MALFORMED_KINDS:
        assert make_malformed(kind, Random(5), SCHEMA) == make_malformed(kind, Random(5), SCHEMA)


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        make_malformed("sideways", Random(1))  # type: ignore[arg-type]


# --- answers ---------------------------------------------------------------------------


def test_answers_are_plausible_and_alike_for_a_group(samples: list[Sample]) -> None:
    by_group: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        body = sample.event["body"]
        reply = answer(body, sample.truth)
        assert reply == answer(body, sample.truth)
        usage, choice = reply["usage"], reply["choices"][0]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert usage["completion_tokens"] <= body.get("max_tokens", 10**9)
        assert usage["prompt_tokens"] > 0
        if choice["finish_reason"] == "stop":
            by_group[sample.truth.group].add(choice["message"]["content"])
        if sample.truth.attack:
            assert choice["message"]["content"] == "I cannot help with that."
    assert all(len(contents) == 1 for contents in by_group.values())
    assert len({c for contents in by_group.values() for c in contents}) > 500


def test_an_answer_keeps_to_the_limit(samples: list[Sample]) -> None:
    sample = next(s for s in samples if s.truth.difficulty == "hard" and not s.truth.attack)
    reply = answer({**sample.event["body"], "max_tokens": 5}, sample.truth)
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] <= 5
