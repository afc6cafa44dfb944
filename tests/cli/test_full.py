"""The source frame: the right columns whatever stands in the line."""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from routec.cli.render.full import WINDOW, full
from routec.cli.render.styled import plain, write
from routec.dsl.diagnostic import Diagnostic, Related, Rule, Severity
from routec.dsl.source import Source, Span

from .support import Terminal

RULE = Rule("RC101", "unknown-name", Severity.ERROR, "A page.")


def place(source: Source, wanted: str, after: int = 0) -> Span:
    at = source.text.index(wanted, after)
    return source.span(at, at + len(wanted))


def show(finding: Diagnostic, *sources: Source) -> str:
    return plain(full([finding], {source.name: source for source in sources}))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ascii", "route a { when HERE to mini }"),
        ("wide", 'signal s = keyword("日本語", "中文") HERE'),
        ("emoji", 'signal s = keyword("👨‍👩‍👧 🇩🇪 ⚠️") HERE'),
        ("combining", 'signal s = keyword("e\u0301a\u0308") HERE'),
        ("tabs", "\troute\ta {\twhen HERE }"),
        ("tab after wide", "日\tHERE"),
        ("controls", 'signal s = keyword("\x1b[31m\x07\u202e\u2066") HERE'),
        ("last column", "to HERE"),
    ],
)
def test_the_mark_stands_under_the_place(name: str, text: str, snapshot: SnapshotAssertion) -> None:
    source = Source("p.route", f"policy p\n{text}\n")
    assert show(Diagnostic(RULE, "unknown `HERE`", place(source, "HERE")), source) == snapshot


def test_wide_places_are_marked_in_their_whole_width(snapshot: SnapshotAssertion) -> None:
    source = Source("p.route", 'signal s = keyword("日本語") { x }')
    finding = Diagnostic(RULE, "bad phrase", place(source, '"日本語"'), help="write `asap`")
    assert show(finding, source) == snapshot


def test_related_places_are_marked_too(snapshot: SnapshotAssertion) -> None:
    text = "signal a = turns()\nsignal b = turns()\n\n\n\nsignal a = tokens() # a\n"
    source = Source("p.route", text)
    finding = Diagnostic(
        RULE,
        "declared twice",
        place(source, "a", text.rindex("signal")),
        help="rename one",
        related=(
            Related("first here", place(source, "a")),
            Related("on the same line", place(source, "tokens()")),
        ),
    )
    assert show(finding, source) == snapshot


def test_related_places_in_other_files(snapshot: SnapshotAssertion) -> None:
    here, there = (
        Source("p.route", "route x {}"),
        Source("common/日.route", "\n" * 11 + "route x {}"),
    )
    related = (Related("first here", place(there, "x")),)
    finding = Diagnostic(RULE, "declared twice", place(here, "x"), related=related)
    assert show(finding, here, there) == snapshot
    assert show(finding, here) == snapshot(name="unread file")


def test_a_place_of_several_lines(snapshot: SnapshotAssertion) -> None:
    source = Source("p.route", "x\nroute a {\n  when b\n  to c\n}\ny\n")
    whole = source.span(source.text.index("route"), source.text.index("}") + 1)
    assert show(Diagnostic(RULE, "too long", whole), source) == snapshot
    to_line_end = source.span(source.text.index("route"), source.text.index("  when"))
    assert show(Diagnostic(RULE, "too long", to_line_end), source) == snapshot(name="line end")


def test_long_lines_are_clipped_around_the_place(snapshot: SnapshotAssertion) -> None:
    source = Source("p.route", "a" * 500 + " HERE " + "日" * 500)
    text = show(Diagnostic(RULE, "unknown `HERE`", place(source, "HERE")), source)
    assert text == snapshot
    assert max(map(len, text.splitlines())) < WINDOW + 20


def test_a_finding_without_source(snapshot: SnapshotAssertion) -> None:
    span = Span("huge.route", 0, 0, 1, 1, 1, 1)
    assert show(Diagnostic(RULE, "the file is too large", span, help="split it")) == snapshot


def test_places_past_the_end_are_marked_there(snapshot: SnapshotAssertion) -> None:
    source = Source("p.route", "policy p\nroute a {")
    end = len(source.text)
    assert show(Diagnostic(RULE, "expected `}`", source.span(end, end)), source) == snapshot


def test_messages_cannot_steer_the_terminal() -> None:
    source = Source("\x1b[2Jp.route", "x")
    finding = Diagnostic(RULE, "unknown `\x1b[31m\r\n`", place(source, "x"), help="a\u202eb")
    text = show(finding, source)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert len(text.splitlines()) == len(
        show(Diagnostic(RULE, "m", place(source, "x"), "h"), source).splitlines()
    )


def test_colour_only_on_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    source = Source("p.route", "route [bold]x[/] 日 {}")
    lines = full([Diagnostic(RULE, "unknown `x`", place(source, "x"))], {"p.route": source})

    def shown() -> str:
        stream = Terminal()
        write(lines, stream)
        return stream.getvalue()

    coloured = shown()
    assert "\x1b[1;31merror[RC101]\x1b[0m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown() == plain(lines)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert shown() == plain(lines)


@given(
    before=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=40
    ),
    after=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=40),
)
def test_marks_line_up_with_any_text(before: str, after: str) -> None:
    source = Source("p.route", f"{before} HERE {after}")
    span = source.span(len(before) + 1, len(before) + 5)
    lines = show(Diagnostic(RULE, "unknown", span), source).splitlines()
    [shown] = [one for one in lines if one.startswith("1 |")]
    [marks] = [one for one in lines if "^" in one.removeprefix("  |") and one.startswith("  |")]
    assert marks.count("^") == 4
    prefix = shown[: shown.index(" HERE") + 1]
    if " HERE" not in before:
        assert cell_len(prefix) == marks.index("^")
    assert all(category(c) not in ("Cc", "Zl", "Zp") for c in shown)
