"""Profiles: written and read back whole, refused with a reason, and silent about what is private."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.plan import Profile, ProfileError, dump_profile, load_profile
from routec.compiler.plan.profile import MAX_BYTES, MAX_ROWS, Answer, Lookups, Seconds, row_of
from routec.compiler.plan.rows import OTHER, rows_of
from routec.compiler.program import Program
from routec.compiler.types import Scores

POLICY = """\
policy p
request { tenant: string, tier: enum(free, pro), groups: set(string), seats: int = 1 }
signal urgent = keyword("asap")
signal lang   = language()
signal topic  = classifier("topic") { labels: [law, code], on_error: code }
signal need   = score { 1 * urgent }
model m { provider: openai }
route a priority 1 { when tenant == "acme" and "staff" in groups and lang == de and need > 0 to m }
route b priority 2 { when topic == law and tier == pro and seats > 3 to m }
default route rest { to m }
"""

numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=8)
values = st.one_of(
    st.booleans(),
    st.integers(-(2**60), 2**60),
    numbers,
    texts,
    st.none(),
    st.lists(st.one_of(texts, st.none()), max_size=3).map(tuple),
    st.builds(
        Answer, st.one_of(texts, st.none()), st.dictionaries(texts, st.floats(0, 1), max_size=3)
    ),
)
durations = st.floats(0, 3600)
lookups = st.tuples(*[st.integers(0, 10**6)] * 3).map(lambda n: Lookups(sum(n), n[0], n[1]))
profiles = st.builds(
    Profile,
    policy=texts,
    requests=st.integers(0, 2**50),
    seconds=st.builds(
        Seconds,
        scan=st.one_of(st.none(), durations),
        signals=st.dictionaries(texts, durations, max_size=3),
    ),
    cache=st.dictionaries(texts, lookups, max_size=2),
    rows=st.lists(st.dictionaries(texts, values, max_size=3), max_size=4).map(tuple),
)


@pytest.fixture(scope="module")
def program() -> Program:
    checked = check_bytes("p.route", POLICY.encode())
    assert checked.policy is not None
    return lower(checked.policy, normaliser="1")


@settings(max_examples=60, deadline=None)
@given(profiles)
def test_what_is_written_is_read(profile: Profile) -> None:
    read = load_profile(dump_profile(profile))
    assert read == profile
    assert dump_profile(read) == dump_profile(profile)


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "invalid-profile", "truncated"),
        (b"\xff\xfe", "invalid-profile", "malformed"),
        (b"[" * 100_000, "invalid-profile", "expected `object`"),
        (b'{"version":1,"rows":' + b"[" * 100_000, "invalid-profile", "recursion"),
        (b'{"version":2}', "unsupported-version", "version 2"),
        (b"{}", "invalid-profile", "`version`"),
        (b'{"version":1,"row":[]}', "invalid-profile", "`row`"),
        (b'{"version":1,"rows":[{"a":NaN}]}', "invalid-profile", "malformed"),
        (b'{"version":1,"rows":[{"a":1e999}]}', "invalid-profile", "out of range"),
        (b'{"version":1,"rows":[{"a":{"scores":{"x":1.5}}}]}', "invalid-profile", "<= 1.0"),
        (b'{"version":1,"seconds":{"scan":-1}}', "invalid-profile", ">= 0.0"),
        (b'{"version":1,"cache":{"c":{"asked":1,"exact":2}}}', "invalid-profile", "`cache.c`"),
        (
            b'{"version":1,"rows":[' + b",".join([b"{}"] * (MAX_ROWS + 1)) + b"]}",
            "invalid-profile",
            "length",
        ),
        (b" " * (MAX_BYTES + 1), "too-large", "16 MiB"),
    ],
)
def test_what_is_no_profile_is_refused_with_the_reason(data: bytes, code: str, said: str) -> None:
    with pytest.raises(ProfileError) as refused:
        load_profile(data)
    assert refused.value.code == code
    assert said in refused.value.message
    assert refused.value.help


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_not_written(number: float) -> None:
    with pytest.raises(ProfileError, match="`a` of row 1"):
        dump_profile(Profile(rows=({"a": number},)))
    with pytest.raises(ProfileError):
        dump_profile(Profile(rows=({"a": Answer("x", {"x": number})},)))


def test_strings_that_the_policy_never_mentions_are_not_recorded(program: Program) -> None:
    row = row_of(
        program,
        {
            "tenant": "a secret customer",
            "tier": "free",
            "groups": frozenset({"staff", "a secret group"}),
            "seats": 7,
            "urgent": True,
            "lang": Scores("cy", {"confidence": 0.5}),
            "topic": Scores("law", {"law": 0.75, "code": 0.25}),
            "need": 1.0,
            "who": "nobody asked",
        },
    )
    assert row == {
        "tenant": None,
        "tier": "free",
        "groups": ("staff", None),
        "seats": 7,
        "urgent": True,
        "lang": Answer(None, {"confidence": 0.5}),
        "topic": Answer("law", {"law": 0.75, "code": 0.25}),
    }
    data = dump_profile(Profile(rows=(row,)))
    assert b"secret" not in data
    assert b"cy" not in data
    assert row_of(program, {"tenant": "acme"}) == {"tenant": "acme"}


def test_an_unmentioned_string_is_known_to_be_another_one(program: Program) -> None:
    rows = rows_of(program, Profile(rows=({"tenant": None, "groups": (None,)},)))
    assert list(rows.columns["tenant"]) == [OTHER]
    assert list(rows.columns["groups"]) == [frozenset({OTHER})]


def test_a_missing_value_is_taken_from_another_request(program: Program) -> None:
    law, code = (Answer(name, {"law": 0.5, "code": 0.5}) for name in ("law", "code"))
    given_: tuple[dict[str, object], ...] = ({"topic": law}, {}, {"topic": code}, {"urgent": True})
    rows = rows_of(program, Profile(rows=given_))  # type: ignore[arg-type]
    topics = list(rows.columns["topic"])
    assert (topics[0], topics[2]) == (law, code)
    assert all(topic in (law, code) for topic in topics)
    assert list(rows.columns["urgent"]) == [True] * 4


@pytest.mark.parametrize("value", ["yes", 1, (), Answer("law", {"law": 1.0})])
def test_a_value_of_another_type_counts_as_missing(program: Program, value: object) -> None:
    profile = Profile(rows=({"urgent": value, "seats": 1}, {"urgent": False}))  # type: ignore[dict-item]
    assert list(rows_of(program, profile).columns["urgent"]) == [False, False]


def test_costly_signals_without_any_value_are_named(program: Program) -> None:
    assert rows_of(program, Profile(rows=({"urgent": True},))).assumed == ("topic",)
    assert rows_of(program).assumed == ()
