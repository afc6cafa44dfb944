"""Findings as workflow commands of GitHub Actions, which shows them beside the changed lines."""

from __future__ import annotations

from collections.abc import Sequence

from routec.cli.render.about import About, Knows, example_line, nothing
from routec.cli.render.styled import Line, line
from routec.cli.text import visible
from routec.dsl.diagnostic import Diagnostic, Severity, Verdict
from routec.dsl.source import Span

SHOWN = 10
"""Annotations of one kind that GitHub shows of a step; the others are in its log only."""

_KINDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def github(findings: Sequence[Diagnostic], knows: Knows = nothing) -> list[Line]:
    """Each finding as ``::error file=…,line=…,col=…,endColumn=…,title=…::message``.

    The worst come first, then those given first. Where GitHub leaves some out, a notice says so.

    Args:
        findings: what to annotate.
        knows: tells what else is known of a finding.
    """
    lines: list[Line] = []
    left_out: list[str] = []
    for severity, kind in _KINDS.items():
        found = [finding for finding in findings if _severity(finding) is severity]
        lines += (line(_command(kind, finding, knows(finding))) for finding in found)
        if len(found) > SHOWN:
            left_out.append(f"{SHOWN} of {len(found)} {severity.value}s")
    if left_out:
        text = f"GitHub shows {' and '.join(left_out)}; all are in the log of this step"
        lines.insert(0, line(f"::notice title=routec::{_data(text)}"))
    return lines


def _severity(finding: Diagnostic) -> Severity:
    """What a finding counts as; what is not decided fails no check, so it is a notice."""
    return Severity.NOTE if finding.verdict is Verdict.UNKNOWN else finding.severity


def _command(kind: str, finding: Diagnostic, about: About) -> str:
    title = f"{finding.code} {finding.rule.name}"
    place = {"file": visible(finding.span.file), **_place(finding.span), "title": title}
    properties = ",".join(f"{name}={_property(value)}" for name, value in place.items())
    parts = [finding.message]
    for related in finding.related:
        where = f"{related.span.file}:{related.span.line}:{related.span.column}"
        parts.append(f"{where}: {related.message}")
    parts += example_line(finding, about)
    if finding.help is not None:
        parts.append(f"help: {finding.help}")
    return f"::{kind} {properties}::{_data(chr(10).join(parts))}"


def _place(span: Span) -> dict[str, str]:
    """Where it is; GitHub takes columns only of places within one line."""
    if span.end_line != span.line:
        return {"line": str(span.line), "endLine": str(span.end_line)}
    return {"line": str(span.line), "col": str(span.column), "endColumn": str(span.end_column)}


def _data(text: str) -> str:
    """A message as a command takes it; its lines are kept."""
    lines = text.replace("%", "%25").split("\n")
    return "%0A".join(visible(part.removesuffix("\r")) for part in lines)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
