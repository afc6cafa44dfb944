"""The declared token estimate, and real tokenizers in its place."""

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


def kind_of(character: str) -> str:
    """The class that the estimate puts a character in, straight from the rule."""
    if character.isspace():
        return "space"
    if character.isascii():
        return "letter" if character.isalpha() else "digit" if character.isdigit() else "sign"
    if "\u3040" <= character <= "\u30ff" or "\u4e00" <= character <= "\u9fff":
        return "ideograph"
    return "symbol" if character in "‘’“”😀→" else "other"


def counted(text: str) -> int:
    """The estimate, run by run."""
    total = 0
    for kind, run in groupby(text, kind_of):
        characters = list(run)
        length = len(characters)
        if kind == "space":
            total += characters != [" "]
        elif kind in ("ideograph", "symbol"):
            total += length * (2 if kind == "symbol" else 1)
        else:
            total += -(-length // {"letter": 7, "digit": 3, "sign": 2, "other": 2}[kind])
    return total


ASCII_RUNS = ("a", "Zz", "word", "eightlet", "7", "1234", ".", "?!,", "\x00")
SPACES = (" ", "  ", "\n", "\t", "\r\n", "\x1c", "\u2003", "\x85")
WIDE_RUNS = ("é", "Привет", "漢", "カナ", "’", "😀", "\u0301")
RUNS = st.sampled_from(ASCII_RUNS) | st.sampled_from(SPACES) | st.sampled_from(WIDE_RUNS)


@given(st.lists(RUNS, max_size=30).map("".join))
def test_the_estimate_is_the_sum_over_the_runs(text: str) -> None:
    assert estimate_tokens(text) == counted(text)


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
