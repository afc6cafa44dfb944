"""What text signals can and cannot be true together, and the conversations that show it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routec.compiler import policy as p
from routec.compiler.theory.text import (
    Budget,
    Impossible,
    Possible,
    TextSignal,
    TextTheory,
    Undecided,
    matches,
)
from routec.compiler.theory.text.matcher import Reading
from tests.compiler.theory.test_text_matcher import KEYWORDS, of_production


def keyword(
    name: str,
    *phrases: str,
    match: str = "word",
    case: bool = False,
    scope: str = "last_user",
    decoded: bool = False,
) -> TextSignal:
    return TextSignal(name, p.Keyword(phrases, match, case, scope), decoded)


def regex(
    name: str, pattern: str, flags: str = "", scope: str = "last_user", decoded: bool = False
) -> TextSignal:
    return TextSignal(name, p.Regex(pattern, flags, scope), decoded)


def ask(signals: Sequence[TextSignal], **assignment: bool) -> Any:
    return TextTheory(signals).check(assignment)


def implied(*signals: TextSignal) -> set[tuple[str, str]]:
    pairs = TextTheory(signals).implications()
    return {(one, other) for (one, true), (other, also) in pairs if true and also}


# Implications.


@pytest.mark.parametrize(
    ("one", "other", "holds"),
    [
        (keyword("a", "pay now", "please pay"), keyword("b", "pay"), True),
        (keyword("a", "pay now", "refund"), keyword("b", "pay"), False),
        (keyword("a", "payroll"), keyword("b", "pay"), False),
        (keyword("a", "payroll"), keyword("b", "pay", match="substring"), True),
        (keyword("a", "pay", match="substring"), keyword("b", "pay"), False),
        (keyword("a", "to pay now", match="substring"), keyword("b", "pay"), True),
        (keyword("a", " pay ", match="substring"), keyword("b", "pay"), True),
        (keyword("a", "pay", match="substring"), keyword("b", " pay", match="substring"), False),
        (keyword("a", "日本語", match="substring"), keyword("b", "日本"), True),
        (keyword("a", "日本語"), keyword("b", "本"), True),
        (keyword("a", "SQL", case=True), keyword("b", "sql"), True),
        (keyword("a", "sql"), keyword("b", "SQL", case=True), False),
        (keyword("a", "404"), keyword("b", "404", case=True), True),
        (keyword("a", "STRASSE"), keyword("b", "straße"), True),
        (keyword("a", "ﬁre  now"), keyword("b", "FIRE NOW"), True),
        # There is ǰ but no capital of it: folding J and an accent leaves no plain j.
        (
            keyword("a", "J", match="substring", case=True),
            keyword("b", "j", match="substring"),
            False,
        ),
        (keyword("a", "J", case=True), keyword("b", "j"), True),
    ],
)
def test_keywords_that_imply_each_other(one: TextSignal, other: TextSignal, holds: bool) -> None:
    assert (("a", "b") in implied(one, other)) is holds
    answer = ask([one, other], a=True, b=False)
    assert isinstance(answer, Impossible if holds else Possible)


@pytest.mark.parametrize(
    ("scope", "other", "holds"),
    [
        ("last_user", "all_user", True),
        ("last_user", "all", True),
        ("last_user", "system", False),
        ("all_user", "last_user", False),
        ("all_user", "all", True),
        ("system", "all", True),
        ("system", "last_user", False),
        ("all", "all_user", False),
        ("all", "system", False),
    ],
)
@pytest.mark.parametrize("phrase", ["refund", r"\brefund\b"])
def test_a_wider_scope_sees_what_a_narrower_one_sees(
    scope: str, other: str, holds: bool, phrase: str
) -> None:
    make = keyword if phrase.isalpha() else regex
    signals = [make("a", phrase, scope=scope), make("b", phrase, scope=other)]
    answer = ask(signals, a=True, b=False)
    assert isinstance(answer, Impossible if holds else Possible)
    if make is keyword:
        assert (("a", "b") in implied(*signals)) is holds


def test_a_phrase_across_two_messages_is_not_in_the_text_of_all() -> None:
    messages = [("user", "pay"), ("assistant", "how?"), ("user", "now")]
    user = keyword("a", "pay now", scope="all_user")
    everything = keyword("b", "pay now", scope="all")
    assert matches(user, messages)
    assert not matches(everything, messages)
    assert not implied(user, everything)
    assert not isinstance(ask([user, everything], a=True, b=False), Impossible)


def test_regexes_imply_what_is_true_of_all_their_matches() -> None:
    sql = keyword("sql", "sql", "postgres")
    either = regex("either", "sql|postgres", "i", scope="all")
    long, short = regex("long", r"\d{4}-\d{4}"), regex("short", r"\d{4}", scope="all_user")
    assert implied(sql, either, long, short) == {("sql", "either"), ("long", "short")}


def test_constant_regexes_imply_themselves() -> None:
    theory = TextTheory([regex("always", "a*"), regex("never", r"a\bb"), regex("free", "a")])
    assert theory.implications() == [
        (("always", False), ("always", True)),
        (("never", True), ("never", False)),
    ]


# Conversations.


def test_nothing_required_is_an_empty_message() -> None:
    assert ask([keyword("a", "refund")], a=False) == Possible((("user", ""),))
    assert ask([keyword("a", "refund")]) == Possible((("user", ""),))


def test_phrases_stand_in_the_order_of_declaration() -> None:
    signals = [keyword("a", "Refund"), keyword("b", "my order"), keyword("c", "now")]
    assert ask(signals, c=True, a=True, b=True) == Possible((("user", "Refund my order now"),))


def test_a_phrase_that_holds_another_is_enough() -> None:
    signals = [keyword("a", "pay"), keyword("b", "please pay")]
    assert ask(signals, a=True, b=True) == Possible((("user", "please pay"),))


def test_a_phrase_that_hits_something_false_is_passed_over() -> None:
    signals = [keyword("a", "refund order", "money back"), keyword("b", "order")]
    assert ask(signals, a=True, b=False) == Possible((("user", "money back"),))


def test_phrases_that_would_make_a_third_are_kept_apart() -> None:
    signals = [keyword("a", "pay"), keyword("b", "now"), keyword("c", "pay now")]
    assert ask(signals, a=True, b=True, c=False) == Possible((("user", "pay, now"),))


def test_case_tells_signals_apart() -> None:
    signals = [keyword("a", "it"), keyword("b", "it", case=True)]
    assert ask(signals, a=True, b=False) == Possible((("user", "IT"),))


def test_a_part_of_a_word_is_no_word() -> None:
    signals = [keyword("a", "pay", match="substring"), keyword("b", "pay")]
    assert ask(signals, a=True, b=False) == Possible((("user", "pays"),))


def test_messages_are_added_only_where_scopes_need_them() -> None:
    last = keyword("last", "refund")
    users = keyword("users", "refund", scope="all_user")
    rules = keyword("rules", "be kind", scope="system")
    everything = keyword("everything", "refund", scope="all")
    signals = [last, users, rules, everything]
    assert ask(signals, users=True) == Possible((("user", "refund"),))
    assert ask(signals, users=True, last=False) == Possible((("user", "refund"), ("user", "")))
    assert ask(signals, everything=True, users=False) == Possible(
        (("assistant", "refund"), ("user", ""))
    )
    assert ask(signals, rules=True, last=True) == Possible(
        (("system", "be kind"), ("user", "refund"))
    )


def test_a_regex_is_shown_by_a_shortest_match() -> None:
    signals = [regex("a", r"\bTKT-[0-9]{3}\b"), regex("b", r"TKT-0")]
    assert ask(signals, a=True) == Possible((("user", "TKT-000"),))
    assert ask(signals, a=True, b=False) == Possible((("user", "TKT-100"),))


def test_a_false_regex_that_matches_nothing_at_all_needs_a_text() -> None:
    answer = ask([regex("empty", "^$"), regex("letter", "[a-z]")], empty=False, letter=False)
    assert answer == Possible((("user", " "),))


# Conflicts.


def test_reasons_are_only_what_is_needed() -> None:
    signals = [
        keyword("a", "pay now", "refund"),
        keyword("b", "pay"),
        keyword("c", "refund", "order"),
        keyword("d", "now"),
        keyword("e", "hello"),
    ]
    answer = ask(signals, a=True, b=False, c=False, e=True)
    assert answer == Impossible((("a", True), ("b", False), ("c", False)))


def test_regexes_conflict_where_one_language_holds_the_other() -> None:
    signals = [regex("a", r"\d{4}-\d{4}"), regex("b", r"\d{4}"), keyword("c", "x")]
    assert ask(signals, a=True, b=False, c=True) == Impossible((("a", True), ("b", False)))
    assert isinstance(ask(signals, a=False, b=True), Possible)


def test_regexes_and_keywords_are_compared() -> None:
    sql = keyword("sql", "sql", "postgres")
    assert ask([sql, regex("r", "(?i)sql|postgres")], sql=True, r=False) == Impossible(
        (("sql", True), ("r", False))
    )
    assert isinstance(ask([sql, regex("r", "sql|postgres")], sql=True, r=False), Possible)
    # RE2's \b takes é for no letter, a keyword's boundary does not.
    answer = ask([sql, regex("r", r"\bsql\b")], r=True, sql=False)
    assert isinstance(answer, Possible)
    # RE2's \s leaves out the vertical tab.
    spaced = [keyword("k", "pay now"), regex("r", r"pay\s+now", "i")]
    assert ask(spaced, k=True, r=False) == Possible((("user", "pay\vnow"),))


def test_two_anchors_cannot_both_be_met() -> None:
    signals = [regex("a", "^foo"), regex("b", "^bar"), keyword("c", "hello")]
    assert ask(signals, a=True, b=True, c=True) == Impossible((("a", True), ("b", True)))
    assert isinstance(
        ask([regex("a", "^foo", "m"), regex("b", "^bar", "m")], a=True, b=True), Possible
    )


def test_an_anchor_in_a_message_is_none_in_a_wider_scope() -> None:
    signals = [regex("last", "^foo"), regex("users", "^foo", scope="all_user")]
    answer = ask(signals, last=True, users=False)
    assert answer == Possible((("user", "ok"), ("user", "foo")))
    assert isinstance(ask(signals, last=False, users=True), Possible)


def test_where_there_is_no_message_its_empty_text_is_in_no_wider_scope() -> None:
    blank = regex("blank", "^$")
    line = regex("line", "^$", "m", scope="all")
    messages = [("assistant", "hello")]
    assert matches(blank, messages)
    assert not matches(line, messages)
    assert not isinstance(ask([blank, line], blank=True, line=False), Impossible)
    assert implied(blank, line) == set()
    letter = keyword("letter", "a")
    assert isinstance(ask([blank, letter, line], letter=True, line=False), Possible)


def test_characters_beyond_ascii_are_tried() -> None:
    foo = keyword("foo", "foo")
    assert ask([regex("a", r"[^\x00-\x7f]")], a=True) == Possible((("user", "é"),))
    for pattern in (r"^[^\x00-\x7f]foo", r"foo[^\x00-\x7f]$"):
        signals = [foo, regex("r", pattern)]
        assert isinstance(ask(signals, foo=True, r=True), Possible)
        assert isinstance(ask(signals, foo=False, r=True), Possible)
    # A white space that is neither ASCII nor rewritten by NFKC.
    signals = [keyword("k", "pay now"), regex("r", r"\A[\x21-\x7f]+[^\x00-\x84][\x21-\x7f]+\z")]
    assert ask(signals, k=True, r=True) == Possible((("user", "pay\x85now"),))


def test_letters_that_fold_to_others_are_tried() -> None:
    signals = [keyword("k", "masse"), regex("r", "s", "i")]
    assert ask(signals, k=True, r=False) == Possible((("user", "maße"),))


def test_an_impossible_regex_is_its_own_reason() -> None:
    assert ask([regex("a", "$b")], a=True) == Impossible((("a", True),))
    assert ask([regex("a", "b?")], a=False) == Impossible((("a", False),))
    # Text is in NFKC, in which no ligature occurs.
    assert ask([regex("a", "ﬁ")], a=True) == Impossible((("a", True),))


def test_two_regexes_that_leave_no_order() -> None:
    signals = [
        regex("ab", "a.*b", "s"),
        regex("ba", "b.*a", "s"),
        keyword("a", "a", case=True),
        keyword("b", "b", case=True),
    ]
    assert ask(signals, a=True, b=True, ab=False, ba=False) == Impossible(
        (("a", True), ("b", True), ("ab", False), ("ba", False))
    )
    assert ask(signals, a=True, b=True, ab=False) == Possible((("user", "b a"),))


def test_decoded_views_are_texts_of_their_own() -> None:
    plain = keyword("plain", "ignore")
    seen = keyword("seen", "ignore all", decoded=True)
    also = keyword("also", "ignore", decoded=True)
    # In base64 the phrase would make `seen` true, but not `plain`.
    assert not isinstance(ask([plain, seen], seen=True, plain=False), Impossible)
    assert ask([seen, also], seen=True, also=False) == Impossible((("seen", True), ("also", False)))
    assert implied(plain, seen, also) == {("plain", "also"), ("seen", "also")}
    anchors = [regex("a", "^foo", decoded=True), regex("b", "^bar", decoded=True)]
    assert not isinstance(ask(anchors, a=True, b=True), Impossible)


# Budgets and bad questions.


def test_what_costs_too_much_is_undecided() -> None:
    # All 2**8 ways in which the last letters may be an `a` have to be looked at.
    signals = [regex("a", "a.{7}$"), regex("b", "[^x].{7}$")]
    question = {"a": True, "b": False}
    answer = TextTheory(signals, budget=Budget(steps=5_000)).check(question)
    assert answer == Undecided("`a`, `b` took more than 5,000 steps of automata")
    assert answer == TextTheory(signals, budget=Budget(steps=5_000)).check(question)
    assert isinstance(TextTheory(signals, budget=Budget(total=5_000)).check(question), Undecided)
    assert TextTheory(signals).check(question) == Impossible((("a", True), ("b", False)))
    large = TextTheory([regex("a", "a{900}")], budget=Budget(nodes=500))
    assert large.check({"a": True}) == Undecided("`a` is not modelled: its automaton is too large")


def test_a_pattern_of_bytes_is_undecided() -> None:
    answer = ask([regex("a", r"\C")], a=True)
    assert isinstance(answer, Undecided)


def test_unknown_signals_and_doubled_names_are_errors() -> None:
    with pytest.raises(KeyError):
        ask([keyword("a", "x")], b=True)
    with pytest.raises(ValueError, match="one name"):
        TextTheory([keyword("a", "x"), keyword("a", "y")])


# Against brute force.

LETTERS = "abA "
SHORT_TEXTS = ["".join(row) for n in range(6) for row in itertools.product(LETTERS, repeat=n)]

SMALL_PHRASES = st.text("abA ", min_size=1, max_size=3).filter(str.strip)
SMALL_KEYWORDS = st.builds(
    p.Keyword,
    st.lists(SMALL_PHRASES, min_size=1, max_size=2).map(tuple),
    st.sampled_from(["word", "substring"]),
    st.booleans(),
    st.just("last_user"),
)
SMALL_PATTERNS = st.recursive(
    st.sampled_from(["a", "b", "A", ".", "[ab]", "[^a]", r"\b", r"\B", "^", "$", r"\s", r"\w"]),
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=2).map(lambda parts: f"(?:{'|'.join(parts)})")
        | inner.map(lambda part: f"(?:{part})*")
    ),
    max_leaves=4,
)
SMALL_REGEXES = st.builds(
    p.Regex, SMALL_PATTERNS, st.sampled_from(["", "i", "m", "s"]), st.just("last_user")
)


def named(definitions: Iterable[p.Keyword | p.Regex]) -> list[TextSignal]:
    return [TextSignal(f"s{at}", definition) for at, definition in enumerate(definitions)]


def holds(signals: Sequence[TextSignal], values: Mapping[str, bool], messages: Any) -> bool:
    reading = Reading(messages)
    return all(reading.matches(s) is values[s.name] for s in signals if s.name in values)


def judge(
    signals: Sequence[TextSignal], values: dict[str, bool], conversations: Iterable[Any]
) -> Any:
    """Check an answer against conversations and, for its reasons, without each one of them."""
    theory = TextTheory(signals)
    answer = theory.check(values)
    if isinstance(answer, Possible):
        assert holds(signals, values, answer.messages)
    elif isinstance(answer, Impossible):
        reasons = dict(answer.reasons)
        assert reasons.items() <= values.items()
        for messages in conversations:
            assert not holds(signals, reasons, messages), messages
        for name in reasons:
            fewer = {other: value for other, value in reasons.items() if other != name}
            assert not isinstance(theory.check(fewer), Impossible)
    return answer


@given(st.lists(SMALL_KEYWORDS, min_size=1, max_size=4), st.data())
@settings(max_examples=100, deadline=None)
def test_keywords_are_always_decided(definitions: list[p.Keyword], data: st.DataObject) -> None:
    signals = named(definitions)
    values = {signal.name: data.draw(st.booleans()) for signal in signals}
    answer = judge(signals, values, ([("user", text)] for text in SHORT_TEXTS))
    assert not isinstance(answer, Undecided)
    if isinstance(answer, Possible):
        text = answer.messages[-1][1]
        assert all(of_production(s.definition, text) is values[s.name] for s in signals)


@given(st.lists(SMALL_KEYWORDS | SMALL_REGEXES, min_size=1, max_size=3), st.data())
@settings(max_examples=120, deadline=None)
def test_regexes_are_decided_against_brute_force(
    definitions: list[p.Keyword | p.Regex], data: st.DataObject
) -> None:
    signals = named(definitions)
    values = {signal.name: data.draw(st.booleans()) for signal in signals}
    texts = [*SHORT_TEXTS, *("".join(row) for row in itertools.product("aéZ-\n", repeat=4))]
    judge(signals, values, ([("user", text)] for text in texts))


SCOPES = st.sampled_from(["last_user", "all_user", "system", "all"])
PIECES = ["", "a", "b", "ab", "a b", " b", "b\na"]
CONVERSATIONS = [
    list(zip(roles, texts, strict=True))
    for n in range(4)
    for roles in itertools.product(["user", "system", "assistant"], repeat=n)
    for texts in itertools.product(PIECES, repeat=n)
    if n < 3 or "" not in texts
]


@given(
    st.lists(st.tuples(SMALL_KEYWORDS | SMALL_REGEXES, SCOPES), min_size=2, max_size=3), st.data()
)
@settings(max_examples=40, deadline=None)
def test_scopes_are_decided_against_brute_force(
    definitions: list[tuple[Any, str]], data: st.DataObject
) -> None:
    signals = named(
        p.Keyword(d.phrases, d.match, d.case_sensitive, scope)
        if isinstance(d, p.Keyword)
        else p.Regex(d.pattern, d.flags, scope)
        for d, scope in definitions
    )
    values = {signal.name: data.draw(st.booleans()) for signal in signals}
    judge(signals, values, CONVERSATIONS)
    for (one, is_true), (other, also) in TextTheory(signals).implications():
        clash = {one: is_true} | ({other: not also} if one != other else {})
        assert not any(holds(signals, clash, messages) for messages in CONVERSATIONS)


@given(st.lists(KEYWORDS, min_size=2, max_size=4), st.data())
@settings(max_examples=100, deadline=None)
@example(
    [
        p.Keyword(("ẞ",), "substring", True, "last_user"),
        p.Keyword(("ss",), "substring", False, "last_user"),
    ],
    None,
)
def test_unicode_keywords_imply_what_production_says(
    definitions: list[p.Keyword], data: st.DataObject | None
) -> None:
    signals = named(definitions)
    pairs = TextTheory(signals).implications()
    texts = ["ẞ\u0307"] if data is None else []
    for _ in range(6 if data is not None else 0):
        assert data is not None
        phrases = [phrase for definition in definitions for phrase in definition.phrases]
        glue = st.sampled_from(["", " ", "x", "\u030c", "\u0307", "日", "-"])
        parts = data.draw(st.lists(st.sampled_from(phrases) | glue, max_size=4))
        texts.append("".join(parts))
    for text in texts:
        found = {s.name: of_production(s.definition, text) for s in signals}
        for (one, is_true), (other, also) in pairs:
            assert found[one] is not is_true or found[other] is also
