"""Findings, one a line: what an editor or a pipeline can match."""

from __future__ import annotations

from collections.abc import Iterable

from routec.cli.render.styled import Line, Style
from routec.cli.text import visible
from routec.dsl.diagnostic import Diagnostic


def concise(findings: Iterable[Diagnostic]) -> list[Line]:
    """Each finding as ``file:line:column: severity[CODE] message``."""
    lines: list[Line] = []
    for finding in findings:
        span = finding.span
        style: Style = finding.severity.value
        lines.append(
            (
                (f"{visible(span.file)}:{span.line}:{span.column}: ", "strong"),
                (f"{finding.severity.value}[{finding.code}]", style),
                (f" {visible(finding.message)}", ""),
            )
        )
    return lines
