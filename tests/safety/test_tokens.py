"""The declared token estimate, and real tokenizers in its place."""

import re
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from routec.safety.tokens import (
    EstimatedCounter,
    TokenCounter,
    estimate_tokens,
    load_counter,
    most_tokens,
)

TEXTS = st.text(st.sampled_from("abcdefg 123.,!\n\té漢字😀가\u0301Ω") | st.characters())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        (" ", 0),
        ("hello", 1),
        ("hello world", 2),
        ("internationalisation", 3),
        ("1234567", 3),
        ("wait...", 3),
        ("a\n\nb", 3),
        ("a  b", 3),
        ("漢字", 2),
        ("안녕", 2),
        ("Привет", 3),
        ("😀", 2),
        ("naïve", 3),
        ("where is my order?", 5),
    ],
)
def test_the_estimate_follows_its_rule(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


IDEOGRAPHS = (
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
)
SYMBOLS = "\u2010-\u2027\u2030-\u205e\u2070-\u2bff\u3001-\u303f\uff00-\uffef\U0001f000-\U0001faff"
KINDS = re.compile(
    r"(?P<space>\s)|(?P<letter>[A-Za-z])|(?P<digit>[0-9])|(?P<sign>[\x00-\x7f])"
    rf"|(?P<ideograph>[{IDEOGRAPHS}])|(?P<symbol>[{SYMBOLS}])|(?P<other>.)",
    re.DOTALL,
)
PER_TOKEN = {"letter": 7, "digit": 3, "sign": 2, "other": 2, "ideograph": 1}


def counted(text: str) -> int:
    """The estimate, run by run, straight from the rule."""
    total = 0
    for kind, matches in groupby(KINDS.finditer(text), lambda match: match.lastgroup):
        run = "".join(match.group() for match in matches)
        if kind == "space":
            total += run != " "
        elif kind == "symbol":
            total += 2 * len(run)
        else:
            total += -(-len(run) // PER_TOKEN[kind])
    return total


ASCII_RUNS = ("a", "Zz", "word", "eightlet", "7", "1234", ".", "?!,", "\x00")
SPACES = (" ", "  ", "\n", "\t", "\r\n", "\x1c", "\u2003", "\x85")
WIDE_RUNS = ("é", "Привет", "漢", "カナ", "’", "😀", "\u0301")
RUNS = st.sampled_from(ASCII_RUNS + SPACES + WIDE_RUNS)
# Runs that end at, before and after the places where a block of 64 characters ends.
LONG_RUNS = st.builds(
    str.__mul__,
    st.sampled_from("aZ7. \n\té\xa0\x85Я\u3000漢’😀\U00020000\ud800"),
    st.integers(1, 5) | st.integers(55, 80) | st.integers(120, 135),
)
# Every code point with the surrogates, and texts whose code points take one, two or four bytes.
ANYTHING = (
    st.text(st.characters(codec=None, exclude_categories=()), max_size=200)
    | st.text(st.characters(max_codepoint=0x7F), max_size=300)
    | st.text(st.characters(max_codepoint=0xFF), max_size=300)
    | st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=()), max_size=300)
)


@given(st.lists(RUNS | LONG_RUNS, max_size=30).map("".join))
def test_the_estimate_is_the_sum_over_the_runs(text: str) -> None:
    assert estimate_tokens(text) == counted(text)


@given(ANYTHING)
def test_the_estimate_is_the_sum_over_the_runs_of_any_text(text: str) -> None:
    assert estimate_tokens(text) == counted(text)


def test_every_code_point_is_of_the_class_that_the_rule_says() -> None:
    # Fourteen of a class, which tell it from every class that it could be taken for.
    tokens = {"letter": 2, "digit": 5, "sign": 7, "other": 7}
    tokens |= {"space": 1, "ideograph": 14, "symbol": 28}
    every = "".join(map(chr, range(0x110000)))
    expected = [tokens[match.lastgroup or ""] for match in KINDS.finditer(every)]
    assert [estimate_tokens(character * 14) for character in every] == expected


@pytest.mark.parametrize("value", [None, b"text", 7, ["text"]])
def test_what_is_no_string_has_no_estimate(value: object) -> None:
    with pytest.raises(TypeError, match="a text must be a str, not"):
        estimate_tokens(value)  # type: ignore[arg-type]


@given(TEXTS, TEXTS)
def test_joining_two_texts_joins_their_estimates(a: str, b: str) -> None:
    apart, together = estimate_tokens(a) + estimate_tokens(b), estimate_tokens(a + b)
    assert apart - 1 <= together <= apart + 1
    assert together >= estimate_tokens(a) - 1


@given(TEXTS)
def test_there_are_no_more_tokens_than_their_bound(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= most_tokens(len(text), text.isascii())
    assert most_tokens(len(text), False) == 2 * len(text)


def test_an_estimate_is_a_counter() -> None:
    counter: TokenCounter = EstimatedCounter()
    assert counter.count("hello world") == 2


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    words = {"[UNK]": 0, "hello": 1, "world": 2}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(max_length=4)
    tokenizer.enable_padding(length=4)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_a_tokenizer_file_counts_everything_and_nothing_more(vocabulary: Path) -> None:
    counter: TokenCounter = load_counter(vocabulary)
    assert counter.count("hello world") == 2
    assert counter.count("hello world " * 500) == 1000
    assert counter.count("") == 0
    assert counter.count("hello \ud800") == 2


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tokenizer file at"):
        load_counter(tmp_path / "absent.json")
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{}")
    with pytest.raises(ValueError, match="is not a tokenizer file"):
        load_counter(broken)
