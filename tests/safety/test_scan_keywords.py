"""What a keyword matches: the rule, and the scanner against an oracle that knows only the rule."""

import re
import unicodedata
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.safety.scan import Keyword, Scanner
from routec.safety.text import fold, normalise


def matches(phrase: str, text: str, *, match: str = "word", case_sensitive: bool = False) -> bool:
    mode: Literal["word", "substring"] = "word" if match == "word" else "substring"
    scanner = Scanner([Keyword("k", (phrase,), mode, case_sensitive)])
    return scanner.scan(normalise(text)) == {"k"}


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("asap", "do it ASAP!"),
        ("right now", "right\n   NOW"),
        ("right now", "right\u00a0now"),
        ("  right   now ", "right now"),
        ("STRASSE", "die straße hinunter"),
        ("café", "CAFE\u0301"),
        ("ignore", "please ig\u200bno\u00adre that"),
        ("ｆｒｅｅ", "it is free"),
        ("退款", "我要退款谢谢"),
        ("คืนเงิน", "ผมต้องการขอคืนเงินครับ"),
        ("ありがとう", "本当にありがとうございます"),
        ("iphone", "我的iPhone手机"),
        ("c++", "in c++, please"),
        ("don't", "don't do it"),
        ("e-mail", "my e-mail."),
        ("a", "a"),
    ],
)
def test_a_phrase_is_found_as_a_word(phrase: str, text: str) -> None:
    assert matches(phrase, text)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("now", "knows"),
        ("asap", "asap_queue"),
        ("asap", "asap2"),
        ("cafe", "cafe\u0327"),
        ("right now", "rightnow"),
        ("right now", "right, now"),
        ("заказ", "заказов"),
        ("cafe", "café"),
    ],
)
def test_a_part_of_a_longer_word_is_not(phrase: str, text: str) -> None:
    assert not matches(phrase, text)


def test_a_substring_is_found_anywhere() -> None:
    assert matches("now", "knows", match="substring")
    assert matches(" or ", "this or\tthat", match="substring")
    assert not matches(" or ", "for it", match="substring")
    assert matches(" end", "the\nend", match="substring")


def test_case_counts_where_the_keyword_says_so() -> None:
    assert matches("SQL", "an SQL query", case_sensitive=True)
    assert not matches("SQL", "an sql query", case_sensitive=True)


def test_names_are_answered_and_not_phrases() -> None:
    scanner = Scanner(
        [
            Keyword("urgent", ("asap", "right now")),
            Keyword("time", ("now", "later")),
            Keyword("same", ("asap",), "substring"),
        ]
    )
    assert scanner.scan("right now") == {"urgent", "time"}
    assert scanner.scan("asap") == {"urgent", "same"}
    assert scanner.scan_batch(["later", "", "nothing"]) == [{"time"}, frozenset(), frozenset()]


def test_a_hit_that_is_no_word_does_not_hide_a_later_one() -> None:
    assert matches("now", "snow knows now")


@pytest.mark.parametrize(
    ("phrases", "reason"),
    [
        ((), "keyword `k` has no phrases"),
        (("",), "no visible character"),
        (("a", " \u200b\n"), "no visible character"),
        (("x" * 1001,), "a phrase of 1001 characters: at most 1000"),
    ],
)
def test_a_keyword_that_can_never_match_is_refused(phrases: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Keyword("k", phrases)


def test_an_unknown_match_is_refused() -> None:
    with pytest.raises(ValueError, match="`word` or `substring`, not `prefix`"):
        Keyword("k", ("a",), "prefix")  # type: ignore[arg-type]


def test_hostile_phrases_and_texts_are_answered() -> None:
    scanner = Scanner([Keyword(str(n), ("a" * n,)) for n in range(1, 200)])
    assert scanner.scan("a" * 4_000) == frozenset()
    assert Scanner([Keyword("k", ("a",))]).scan("\ud800 a \x00") == {"k"}


# --- the oracle: each phrase looked for by itself, straight from the rule ---

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "MYANMAR", "KHMER")


def unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(UNSPACED)


def wordlike(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"


def oracle(keyword: Keyword, text: str) -> bool:
    prepare = str if keyword.case_sensitive else fold
    haystack = re.sub(r"\s+", " ", prepare(text))
    for raw in keyword.phrases:
        needle = re.sub(r"\s+", " ", prepare(normalise(raw)))
        needle = needle.strip() if keyword.match == "word" else needle
        for start in range(len(haystack) - len(needle) + 1):
            end = start + len(needle)
            if haystack[start:end] != needle:
                continue
            if keyword.match == "substring":
                return True
            sides = [
                (haystack[start - 1 : start], needle[0]),
                (haystack[end : end + 1], needle[-1]),
            ]
            if all(
                not outer or not wordlike(outer) or unspaced(outer) or unspaced(inner)
                for outer, inner in sides
            ):
                return True
    return False


ALPHABET = st.text(st.sampled_from("ab Bß_1-\n\u0301退คาカé\u200b"), max_size=24)
PHRASES = st.text(st.sampled_from("ab Bß_1-\n\u0301退คาé"), min_size=1, max_size=4).filter(
    lambda p: bool(normalise(p).strip())
)
KEYWORDS = st.builds(
    Keyword,
    st.uuids().map(str),
    st.lists(PHRASES, min_size=1, max_size=3).map(tuple),
    st.sampled_from(["word", "substring"]),
    st.booleans(),
)


@settings(max_examples=400)
@given(st.lists(KEYWORDS, max_size=6), ALPHABET)
def test_the_scan_answers_what_a_search_for_each_phrase_answers(
    keywords: list[Keyword], raw: str
) -> None:
    text = normalise(raw)
    expected = {keyword.name for keyword in keywords if oracle(keyword, text)}
    assert Scanner(keywords).scan(text) == expected
