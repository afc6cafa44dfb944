"""Findings to render: a few that look like real ones, and random ones."""

from __future__ import annotations

from hypothesis import strategies as st

from routec.dsl.diagnostic import (
    Applicability,
    Diagnostic,
    Edit,
    Fix,
    Related,
    Rule,
    Severity,
    Verdict,
)
from routec.dsl.source import Source, Span

POLICY = """\
route fast priority 20 { when tier == pro  to opus }
route näh priority 10 {
  when tier == pro and urgent   # 50%, really
  to mini
}
"""
SOURCE = Source("policies/p 1.route", POLICY)
OTHER = Source("clean.route", "signal urgent = turns()\n")
SOURCES = {SOURCE.name: SOURCE, OTHER.name: OTHER}

UNREACHABLE = Rule("RC202", "unreachable-route", Severity.ERROR, "A route can never be chosen.")
DEAD = Rule("RC212", "dead-subcondition", Severity.WARNING, "A part never matters.")
OVERLAP = Rule("RC206", "overlapping-routes", Severity.NOTE, "Two routes meet.")


def place(text: str, occurrence: int = 0) -> Span:
    at = -1
    for _ in range(occurrence + 1):
        at = POLICY.index(text, at + 1)
    return SOURCE.span(at, at + len(text))


ERROR = Diagnostic(
    UNREACHABLE,
    "`näh` can never be chosen: `fast` covers it",
    place("näh"),
    help="raise its priority, or remove it",
    subjects=("näh",),
    related=(Related("covers it", place("fast"), "fast"),),
    witness={"attributes": {"tier": "pro"}, "outcome": {"kind": "route", "name": "fast"}},
)
WARNING = Diagnostic(
    DEAD,
    "`urgent` never matters in `{a}`",
    place("urgent"),
    fix=Fix("drop `urgent`", Applicability.SAFE, (Edit(place(" and urgent"), ""),)),
    verdict=Verdict.ESTIMATED,
)
NOTE = Diagnostic(OVERLAP, "two routes meet", place("{\n  when tier == pro"))

SURROGATES = st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"])
TEXTS = st.text(
    st.characters()
    | SURROGATES
    | st.sampled_from("%\r\n,:\t&<>\"'[]{}\\\x00\x1b\u202e\ufffe\uffff")
)
_FILES = (
    st.sampled_from(["p.route", "a b/ü.route", "/abs/p.route", "<stdin>", "a:b,c%.route"]) | TEXTS
)


@st.composite
def spans(draw: st.DrawFn, file: str) -> Span:
    line, column = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    lines, columns = draw(st.integers(0, 2)), draw(st.integers(0, 5))
    start = draw(st.integers(0, 50))
    end_column = columns + 1 if lines else column + columns
    return Span(file, start, start + columns, line, column, line + lines, end_column)


@st.composite
def findings(draw: st.DrawFn, files: st.SearchStrategy[str] = _FILES) -> Diagnostic:
    related = st.builds(Related, TEXTS, files.flatmap(spans), st.none() | TEXTS)
    fixes = st.builds(
        Fix,
        TEXTS,
        st.sampled_from(Applicability),
        st.lists(st.builds(Edit, files.flatmap(spans), TEXTS), max_size=2).map(tuple),
    )
    return Diagnostic(
        draw(st.sampled_from([UNREACHABLE, DEAD, OVERLAP])),
        draw(TEXTS),
        draw(files.flatmap(spans)),
        help=draw(st.none() | TEXTS),
        subjects=draw(st.lists(TEXTS, max_size=2).map(tuple)),
        related=draw(st.lists(related, max_size=2).map(tuple)),
        fix=draw(st.none() | fixes),
        verdict=draw(st.sampled_from(Verdict)),
        witness=draw(st.none() | st.dictionaries(TEXTS, TEXTS | st.floats(-1, 1), max_size=2)),
    )


SOURCE_SETS = st.dictionaries(_FILES, TEXTS, max_size=2).map(
    lambda texts: {name: Source(name, text) for name, text in texts.items()}
)
