"""Findings for a person: the source around them, with the places marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from routec.cli.frequency import in_traffic
from routec.cli.render.about import About, Knows, example, nothing
from routec.cli.render.styled import Line, Style, line
from routec.cli.text import expanded, visible, width, wrapped
from routec.dsl.diagnostic import Applicability, Diagnostic, Verdict
from routec.dsl.source import Source, Span

WINDOW = 120
"""Code points of a line that are shown; of a longer one, those around the place."""
_BEFORE = 30
"""Code points that a window shows before the place."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A stretch of one line: columns in code points from 1, the end exclusive."""

    line: int
    start: int
    end: int
    label: str
    primary: bool


COLUMNS = 100
"""Columns at which what is said around the source is broken."""


def full(
    findings: Iterable[Diagnostic], sources: Mapping[str, Source], knows: Knows = nothing
) -> list[Line]:
    """Each finding with its source, marked ``^`` at its place and ``-`` at related ones.

    Below stand the request that shows it, its help and its fix.

    Args:
        findings: in the order to show.
        sources: the files by name; a finding in none of them is shown without source.
        knows: tells what else is known of a finding.
    """
    lines: list[Line] = []
    for finding in findings:
        lines += _finding(finding, sources, knows(finding))
        lines.append(line())
    return lines


def heading(finding: Diagnostic) -> tuple[str, Style]:
    """How a finding is announced: by its severity, or as something not decided."""
    if finding.verdict is Verdict.UNKNOWN:
        return "undecided", "note"
    return finding.severity.value, finding.severity.value


def _finding(finding: Diagnostic, sources: Mapping[str, Source], about: About) -> list[Line]:
    word, severity = heading(finding)
    code = f"[{finding.code}]" if finding.code else ""
    lines = _head(word + code, severity, visible(finding.message))
    places: dict[str, list[tuple[Span, str, bool]]] = {}
    places[finding.span.file] = [(finding.span, "", True)]
    for related in finding.related:
        found = places.setdefault(related.span.file, [])
        found.append((related.span, visible(related.message), False))
    numbers = [s.end_line for marked in places.values() for s, _, _ in marked]
    gutter = len(str(max(numbers)))
    for file, marked in places.items():
        arrow = "-->" if file == finding.span.file else ":::"
        first = marked[0][0]
        place = f" {visible(file)}:{first.line}:{first.column}"
        lines.append(((" " * gutter + arrow, "frame"), (place, "")))
        source = sources.get(file)
        if source is not None:
            marks = [m for span, label, main in marked for m in _marks(source, span, label, main)]
            lines += _frame(source, marks, gutter, severity)
        else:
            lines += [
                ((" " * gutter + " = ", "frame"), (label, ""))
                for _, label, primary in marked
                if not primary
            ]
    notes = list(_notes(finding, about))
    if notes:
        lines.append(_bar(gutter))
    for label, pieces in notes:
        lines += _note(label, pieces, gutter)
    return lines


def _head(word: str, style: Style, message: str) -> list[Line]:
    first, *others = wrapped(message.split(" "), COLUMNS - len(word) - 2)
    return [
        ((word, style), (f": {first}", "strong")),
        *(line(f"  {other}", "strong") for other in others),
    ]


def _notes(finding: Diagnostic, about: About) -> Iterator[tuple[str, list[str]]]:
    """What is said below the source: labels, and texts as pieces between which lines may break."""
    shown = example(finding, about)
    if shown is not None:
        yield shown
    if about.frequency is not None:
        yield "traffic", in_traffic(about.frequency).split(" ")
    if finding.verdict is Verdict.ESTIMATED:
        yield "note", ["this is seen in data, not proved"]
    elif finding.verdict is Verdict.UNKNOWN:
        yield (
            "note",
            [
                "this",
                "is",
                "not",
                "decided,",
                "and",
                "fails",
                "no",
                "check",
                "without",
                "`--strict`",
            ],
        )
    # What a fix says need not be said twice.
    if finding.help is not None and not (finding.fix and finding.help == "remove it"):
        yield "help", finding.help.split(" ")
    if finding.fix is not None:
        safe = finding.fix.applicability is Applicability.SAFE
        option = "--fix" if safe else "--unsafe-fixes"
        yield "fix", f"{finding.fix.title} ({finding.fix.applicability}: `{option}`)".split(" ")


def _note(label: str, pieces: list[str], gutter: int) -> list[Line]:
    """A labelled text, its further lines below its beginning."""
    before = " " * gutter + " = "
    indent = len(before) + len(label) + 2
    first, *others = wrapped([visible(piece) for piece in pieces], max(40, COLUMNS - indent))
    return [
        ((before, "frame"), (f"{label}: ", "strong"), (first, "")),
        *(line(" " * indent + other) for other in others),
    ]


def _marks(source: Source, span: Span, label: str, primary: bool) -> list[_Mark]:
    """What to mark of a span: all of it within one line, else its first and its last line."""
    if span.end_line == span.line:
        return [_Mark(span.line, span.column, span.end_column, label, primary)]
    last, end = span.end_line, span.end_column
    while last > span.line and not source.line(last)[: end - 1].strip():
        last -= 1
        end = len(source.line(last)) + 1
    first_end = max(len(source.line(span.line)) + 1, span.column)
    if last == span.line:
        return [_Mark(last, span.column, first_end, label, primary)]
    text = source.line(last)
    indent = len(text) - len(text.lstrip())
    return [
        _Mark(span.line, span.column, first_end, "", primary),
        _Mark(last, indent + 1, end, label, primary),
    ]


def _frame(source: Source, marks: Sequence[_Mark], gutter: int, severity: Style) -> list[Line]:
    by_line: dict[int, list[_Mark]] = {}
    for mark in sorted(marks, key=lambda m: (m.line, not m.primary, m.start)):
        by_line.setdefault(mark.line, []).append(mark)
    lines: list[Line] = [_bar(gutter)]
    before: int | None = None
    for number, here in by_line.items():
        if before is not None and number == before + 2:
            lines.append(_source_line(source, before + 1, gutter, 0))
        elif before is not None and number > before + 2:
            lines.append((("." * max(3, gutter), "frame"),))
        before = number
        shown: int | None = None
        for mark in here:
            offset = _window(len(source.line(number)), mark)
            if offset != shown:
                lines.append(_source_line(source, number, gutter, offset))
                shown = offset
            lines.append(_marker(source.line(number), mark, gutter, offset, severity))
    return lines


def _window(length: int, mark: _Mark) -> int:
    """First code point to show, from 0, of a line that has `length` of them."""
    if length <= WINDOW:
        return 0
    return max(0, min(mark.start - 1 - _BEFORE, length - WINDOW))


def _clipped(text: str, offset: int) -> tuple[str, str, str]:
    """The shown stretch of a line, and what stands for the rest before and after it."""
    before = "…" if offset > 0 else ""
    after = "…" if offset + WINDOW < len(text) else ""
    return before, text[offset : offset + WINDOW], after


def _source_line(source: Source, number: int, gutter: int, offset: int) -> Line:
    before, text, after = _clipped(source.line(number), offset)
    shown = f" {before}{expanded(text)}{after}".rstrip()
    return ((f"{number:>{gutter}} |", "frame"), (shown, ""))


def _marker(text: str, mark: _Mark, gutter: int, offset: int, severity: Style) -> Line:
    before, window, _ = _clipped(text, offset)
    at = max(0, mark.start - 1 - offset)
    end = max(at, min(mark.end - 1 - offset, len(window)))
    # Widths of prefixes, not sums of widths: combining marks and joined emoji share a column.
    start_column = width(before) + width(expanded(window[:at]))
    end_column = width(before) + width(expanded(window[:end]))
    sign = "^" if mark.primary else "-"
    signs = sign * max(1, end_column - start_column)
    style: Style = severity if mark.primary else "secondary"
    label = f" {mark.label}" if mark.label else ""
    return (
        (" " * gutter + " |", "frame"),
        (" " + " " * start_column, ""),
        (signs + label, style),
    )


def _bar(gutter: int) -> Line:
    return ((" " * gutter + " |", "frame"),)
