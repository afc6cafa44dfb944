"""Literals have exact values, and a mistake in one is shown where it is."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.dsl import Diagnostic, Source, parse, read_source
from routec.dsl.literals import MAX_DIGITS

from .reading import HELPDESK, condition, error, marked, only, read, value
from .strategies import quote


@pytest.mark.parametrize(
    ("text", "exact", "unit"),
    [
        ("0.8", "0.8", "number"),
        (".6", "0.6", "number"),
        ("32k", "32000", "number"),
        ("1.5M", "1500000", "number"),
        ("-0.25", "-0.25", "number"),
        ("50ms", "0.05", "duration"),
        ("2s", "2", "duration"),
        ("10m", "600", "duration"),
        ("1.5h", "5400", "duration"),
        ("7d", "604800", "duration"),
        ("30%", "0.3", "percent"),
        ("$0.25", "0.25", "money"),
        ("$1.5k", "1500", "money"),
        ("- 5", "-5", "number"),
        ("0." + "1" * 29 + "%", "0.00" + "1" * 29, "percent"),
        ("9" * 30 + "d", str(int("9" * 30) * 86400), "duration"),
    ],
)
def test_numbers_are_exact(text: str, exact: str, unit: str) -> None:
    number = value(text)
    assert (number.value, number.unit, number.text) == (Decimal(exact), unit, text)


@pytest.mark.parametrize("text", ["12abc", "1K", "5mm", "$", "$x", "1_000", "0x1f", "1e3", "3mS"])
def test_what_is_no_number(text: str) -> None:
    policy = f"let x = a > {text}"
    found = error(policy)
    assert found.message == f"`{text}` is not a {'name' if text[0].isalpha() else 'number'}"
    assert marked(policy, found) == text


def test_numbers_are_bounded() -> None:
    assert value("1" * MAX_DIGITS).value == int("1" * MAX_DIGITS)
    policy = f"model m {{ a: {'1' * (MAX_DIGITS + 1)} }}"
    assert error(policy).message == "the number has more than 30 digits"


@settings(max_examples=100, deadline=None, database=None)
@given(
    st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\u2028\u2029"))
)
def test_any_text_can_be_quoted(text: str) -> None:
    assert value(quote(text)).value == text


def test_escapes() -> None:
    assert value(r'"\" \\ \n \t \u{e9} \u{1F600} \u{0}"').value == '" \\ \n \t é 😀 \0'
    assert value('""').value == ""


@pytest.mark.parametrize(
    "escape",
    [r"\q", r"\x41", r"\u0041", r"\u{}", r"\u{110000}", r"\u{d800}", r"\u{DFFF}", r"\u{1234567}"],
)
def test_bad_escapes_are_shown_where_they_are(escape: str) -> None:
    policy = f'model m {{ a: "fine \\n {escape} é" }}\nlet x = y'
    (found,) = read(policy).diagnostics
    assert marked(policy, found) in (escape, escape[:2])
    assert found.help
    assert [d.name.name for d in read(policy).module.declarations] == ["x"]


def test_several_bad_escapes_are_all_shown() -> None:
    policy = r'model m { a: "\a \b" }'
    assert [marked(policy, d) for d in read(policy).diagnostics] == [r"\a", r"\b"]


def test_triple_quotes_span_lines() -> None:
    text = '"""one\n "two" ""\r\n\\"""three\\u{21} # no comment\n"""'
    assert value(text).value == "\none"[1:] + '\n "two" ""\n"""three! # no comment\n'
    assert value('""""a" """').value == '"a" '
    assert value('""""""').value == ""


def test_regular_expressions() -> None:
    node = value(r"/\d+\/[a-z]\\\/#\"/ims")
    assert (node.pattern, node.flags) == (r"\d+/[a-z]\\/#\"", "ims")
    assert value(r"/\\\\/").pattern == r"\\\\"


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("/a/g", "unknown flag `g`", "g"),
        ("/a/ii", "twice the flag `i`", "i"),
        ("//", "the regular expression is empty", "//"),
        ("/a", "the regular expression is not closed on its line", "/a)"),
    ],
)
def test_bad_regular_expressions(text: str, message: str, place: str) -> None:
    policy = f"signal x = regex({text})"
    found = error(policy)
    assert (found.message, marked(policy, found)) == (message, place)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('let x = "abc == y', "the string is not closed on its line"),
        ('let x = "abc\\', "the string is not closed on its line"),
        ('let x = """abc\n == y', "the string is never closed"),
    ],
)
def test_open_strings_are_shown_where_they_open(text: str, message: str) -> None:
    found = error(text)
    assert found.message == message
    assert found.span.start == text.index('"')


# --- characters -------------------------------------------------------------


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x85", "\u202e", "\u2066", "\r", "\ud800"])
@pytest.mark.parametrize(
    "around", ["let x {} = y", 'let x = y == "a{}b"', "let x = y # a{}b", "{}let x = y"]
)
def test_characters_that_hide_something_are_refused(character: str, around: str) -> None:
    policy = around.format(character)
    found = error(policy)
    assert found.message == (
        f"the invisible character U+{ord(character):04X} may not stand in a policy"
    )
    assert marked(policy, found) == character


def test_line_ends_and_byte_order_marks() -> None:
    windows = HELPDESK.replace("\n", "\r\n")
    source = read_source("p.route", b"\xef\xbb\xbf" + windows.encode())
    assert isinstance(source, Source)
    parsed = parse(source)
    assert parsed.diagnostics == ()
    assert parsed.module.comments[0].text == read(HELPDESK).module.comments[0].text
    assert read("\ufeff" + HELPDESK).diagnostics == ()
    assert len(read("let x\ufeff = y").diagnostics) == 1


def test_bytes_that_are_not_utf8() -> None:
    found = read_source("p.route", "let é = a\n  ".encode() + b"\xff\xfe")
    assert isinstance(found, Diagnostic)
    assert found.message == "the file is not UTF-8: byte 13 is 0xff"
    assert (found.span.line, found.span.column) == (2, 3)
    shifted = read_source("p.route", b"\xef\xbb\xbf\xff")
    assert isinstance(shifted, Diagnostic)
    assert "byte 3" in shifted.message


def test_a_file_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_source("p.route", b"#" * (16 * 1024 * 1024 + 1))
    assert isinstance(found, Diagnostic)
    assert found.message == "the file is larger than 16 MiB"
    parsed = parse(Source("p.route", " " * (16 * 1024 * 1024 + 1)))
    assert [d.message for d in parsed.diagnostics] == [found.message]


# --- comments ---------------------------------------------------------------


def test_comments_are_kept_in_order() -> None:
    parsed = read('# one\nlet x = "# no" == y # two\nroute { # three\n}\nlet z = y#four')
    assert [c.text for c in parsed.module.comments] == [" one", " two", " three", "four"]
    assert only('signal x = regex(/#/) # "').args[0].pattern == "#"
    assert condition('a # not b\n or "x" == c').operands[0].name == "a"
