"""What regex signals match, and what an author hears about a pattern that cannot be used."""

import random
import re

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.safety import patterns
from routec.safety.scan import Pattern, Scanner, compile_error


def found(pattern: str, text: str, flags: str = "") -> bool:
    return Scanner(patterns=[Pattern("p", pattern, flags)]).scan(text) == {"p"}


@pytest.mark.parametrize(
    ("pattern", "flags", "text"),
    [
        (r"\bTKT-[0-9]{6}\b", "", "see TKT-123456, please"),
        ("hello", "i", "well HELLO there"),
        ("ÄPFEL", "i", "zwei äpfel"),
        ("^b", "m", "a\nb"),
        ("a.b", "s", "a\nb"),
        ("(?i)x", "", "X"),
        (r"\p{Han}{2}", "", "退款"),
        ("e\u0301", "", "é"),
        ("", "", ""),
        ("a|b", "i", "B"),
        (r"\x00", "", "a\x00"),
    ],
)
def test_a_pattern_is_searched_for_anywhere(pattern: str, flags: str, text: str) -> None:
    assert found(pattern, text, flags)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("^b", "a\nb"), ("a.b", "a\nb"), ("hello", "HELLO"), (r"\bnow\b", "knows"), ("a$", "a\n")],
)
def test_without_its_flag_it_does_not_match(pattern: str, text: str) -> None:
    assert not found(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(a)\1", "backreferences are not supported"),
        (r"(?P<n>a)(?P=n)", "not supported"),
        (r"\k<n>", "backreferences are not supported"),
        ("(?=a)", "lookaround is not supported"),
        ("(?!a)", "lookaround is not supported"),
        ("(?<=a)b", "lookaround is not supported"),
        ("(?<!a)b", "lookaround is not supported"),
        ("(?>a)", "atomic groups are not supported"),
        ("a*+", "possessive repetition is not supported"),
        ("a{2000}", "repetition `{2000}` is too large"),
        ("((a{100}){100}){100}", "too large"),
        ("x{1,1000}y{1,1000}" + r"\p{L}{1,500}", "the pattern is too large"),
        ("(", "missing `)`"),
        (")", "`)` without `(`"),
        ("a)(b", "`)` without `(`"),
        ("[a", "missing `]` after `[a`"),
        ("*a", "nothing to repeat before `*`"),
        ("\\", r"a lone `\` at the end"),
        (r"\Z", r"write `\z`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("(?x)a", "not supported"),
        ("a" * 5000, "5000 characters: at most 4096"),
        ("\ud800", "lone surrogate"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern: str, reason: str) -> None:
    for flags in ("", "i", "ims"):
        message = compile_error(pattern, flags)
        assert message is not None
        assert reason in message
        assert not message.endswith(".")
        assert message[0] == "`" or message[0].islower()
    with pytest.raises(ValueError, match=r"^regex `p`: "):
        Pattern("p", pattern)


def test_an_unknown_flag_is_named() -> None:
    assert compile_error("a", "ix") == "unknown regex flag `x`: use `i`, `m` or `s`"


def test_a_good_pattern_has_no_error() -> None:
    assert compile_error(r"\bTKT-[0-9]{6}\b", "ims") is None


def test_many_patterns_are_answered_together_by_name() -> None:
    scanner = Scanner(patterns=[Pattern(f"p{n}", rf"\bitem{n}\b") for n in range(300)])
    assert scanner.scan("item7, item299 and item300") == {"p7", "p299"}


def test_a_hostile_text_cannot_make_the_search_explode() -> None:
    # Classic catastrophic patterns, and a text without a match at its end.
    scanner = Scanner(
        patterns=[Pattern("a", "(a+)+$"), Pattern("b", "(a|aa)+c"), Pattern("c", "b")]
    )
    assert scanner.scan("a" * 100_000 + "b") == {"c"}


def test_patterns_too_large_for_one_set_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SET_MEMORY", 1 << 20)
    many = [Pattern(f"p{n}", rf"(?:x{n}\p{{L}}{{1,4}})y") for n in range(60)]
    index = patterns.PatternSet(many)
    assert len(index._shards) > 1
    assert index.scan("x3ééy x51aby x60ay") == {"p3", "p51"}


def test_a_set_that_runs_out_of_memory_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    # A set that gives up reports that nothing matched. Silence must not pass for "no".
    class Exhausted:
        @classmethod
        def SearchSet(cls, options: object) -> "Exhausted":
            return cls()

        def Add(self, pattern: str) -> int:
            return 0

        def Compile(self) -> None:
            pass

        def Match(self, text: bytes) -> None:
            return None

    monkeypatch.setattr(re2, "Set", Exhausted)
    index = patterns.PatternSet([Pattern("yes", "b+", "i"), Pattern("no", "z")])
    assert index.scan("aBBa") == {"yes"}


def test_a_lone_surrogate_in_the_text_is_read_as_a_replacement_character() -> None:
    assert found("\ufffda", "\ud800a")
    assert found("😀", "\U0001f600 \udc00")


# Syntax on which RE2 and Python agree, so that Python's own engine is the oracle.
ATOMS = st.sampled_from(["a", "b", "ab", "[ab]", ".", "[^a]", "(a|b)", "(?:ab|c)"])
REPEATED = st.tuples(ATOMS, st.sampled_from(["", "*", "+", "?", "{2}", "{1,2}"])).map("".join)
PATTERNS = st.lists(REPEATED, min_size=1, max_size=4).map("".join)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(PATTERNS, st.sampled_from(["", "i", "s", "is"])), max_size=6),
    st.text(st.sampled_from("abcAB\né"), max_size=12),
)
def test_the_set_answers_what_python_answers_for_each(
    sources: list[tuple[str, str]], text: str
) -> None:
    together = Scanner(
        patterns=[Pattern(str(n), pattern, flags) for n, (pattern, flags) in enumerate(sources)]
    )
    letters = {"i": re.IGNORECASE, "s": re.DOTALL}
    expected = set()
    for n, (pattern, flags) in enumerate(sources):
        options = 0
        for flag in flags:
            options |= letters[flag]
        if re.search(pattern, text, options):
            expected.add(str(n))
    assert together.scan(text) == expected


def test_long_random_text_agrees_with_python() -> None:
    rng = random.Random(5)
    text = "".join(rng.choice("ab") for _ in range(20_000))
    ten_apart = "a[ab]{9}a[ab]{9}b"
    assert found(ten_apart, text) == bool(re.search(ten_apart, text))
