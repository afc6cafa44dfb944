"""The theory's own matcher says what the scanner in production says."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routec.compiler import policy as p
from routec.compiler.theory.text import TextSignal, matches
from routec.compiler.theory.text.keywords import KeywordIndex
from routec.compiler.theory.text.matcher import scope_text
from routec.compiler.theory.text.normal import (
    collapse,
    extends_word,
    fold,
    is_unspaced,
    normalise,
)
from routec.runtime.events.request import Message, Request
from routec.safety import keywords as production
from routec.safety import text as production_text
from routec.safety.scan import Keyword, Pattern, Scanner

# Letters that fold to two, compose, decompose, or stand in scripts without spaces.
LETTERS = st.sampled_from(
    "abjJkKsSßẞIİıﬁﬂée\u0301\u0307\u030c\u0345ΐΣσς_09.-' \t\n\r\u00a0\u2028\u200b\u00ad①Ⅷ"
    "日本語かが\u3099ทย์ລາวกកမခ̧ᾳΑ가ᄀ\u1161\u11a8\ud800\x00\x1f\u0085\U00010400\U0001f600"
)
TEXTS = st.text(LETTERS, max_size=12) | st.text(max_size=12)
PHRASES = st.text(LETTERS, min_size=1, max_size=4).filter(
    lambda text: bool(collapse(fold(normalise(text))).strip())
)
KEYWORDS = st.builds(
    p.Keyword,
    st.lists(PHRASES, min_size=1, max_size=3).map(tuple),
    st.sampled_from(["word", "substring"]),
    st.booleans(),
    st.just("last_user"),
)


def of_production(definition: p.Keyword | p.Regex, text: str) -> bool:
    if isinstance(definition, p.Regex):
        scanner = Scanner([], [Pattern("it", definition.pattern, definition.flags)])
    else:
        match: Any = definition.match
        scanner = Scanner([Keyword("it", definition.phrases, match, definition.case_sensitive)])
    return bool(scanner.scan(production_text.normalise(text)))


@settings(deadline=None)
@given(TEXTS)
@example("e" + "\u0301" * 40 + "x")
@example("\u0390" * 20)
def test_normal_forms_are_those_of_production(text: str) -> None:
    normal = normalise(text)
    assert normal == production_text.normalise(text)
    assert fold(normal) == production_text.fold(normal)
    assert collapse(normal) == production.collapse(normal)


def test_every_character_is_classified_as_in_production() -> None:
    for code in (*range(0x3400), *range(0xA000, 0xAC00), *range(0xF900, 0x12000), 0x20000, 0x323B0):
        character = chr(code)
        unspaced = production._UNSPACED.match(character) is not None
        assert is_unspaced(character) is unspaced, hex(code)
        expected = production.is_word_character(character) and not unspaced
        assert extends_word(character) is expected, hex(code)


@given(KEYWORDS, TEXTS, st.data())
@settings(max_examples=120, deadline=None)
def test_keywords_match_as_in_production(
    definition: p.Keyword, around: str, data: st.DataObject
) -> None:
    inside = data.draw(st.sampled_from(definition.phrases))
    other = data.draw(st.sampled_from([str.upper, str.lower, str.casefold, str.title, str]))
    at = data.draw(st.integers(0, len(around)))
    signal = TextSignal("it", definition)
    for text in (around, around[:at] + other(inside) + around[at:]):
        expected = of_production(definition, text)
        assert matches(signal, [("user", text)]) is expected
        assert (KeywordIndex([signal]).found(normalise(text)) == {"it"}) is expected


@pytest.mark.parametrize(
    ("pattern", "flags", "text"),
    [
        (r"\bfoo\b", "", "a foo"),
        (r"^b", "m", "a\nb"),
        (r"^b", "", "a\nb"),
        (r"b$", "", "b\n"),
        ("a.b", "s", "a\nb"),
        ("cafe\u0301", "", "café"),
        ("É", "i", "é"),
        (r"\p{Greek}+", "", "λόγος"),
    ],
)
def test_regexes_match_as_in_production(pattern: str, flags: str, text: str) -> None:
    definition = p.Regex(pattern, flags, "last_user")
    assert matches(TextSignal("it", definition), [("user", text)]) is of_production(
        definition, text
    )


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["user", "assistant", "system", "developer", "tool"]),
        st.text("ab\u0301 ", max_size=3),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(MESSAGES, st.sampled_from(["last_user", "all_user", "system", "all"]))
def test_scopes_are_those_of_the_runtime(messages: list[tuple[str, str]], scope: str) -> None:
    request = Request("id", {}, tuple(Message(role, text) for role, text in messages))
    assert normalise(scope_text(messages, scope)) == request.text(scope)


def test_normalised_text_is_nfkc() -> None:
    assert normalise("ﬁ\u200bK") == unicodedata.normalize("NFKC", "ﬁK") == "fiK"
