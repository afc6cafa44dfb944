"""Findings, one a line: what an editor or a pipeline can match."""

from __future__ import annotations

from collections.abc import Iterable

from routec.cli.render.full import heading
from routec.cli.render.styled import Line
from routec.cli.text import visible
from routec.dsl.diagnostic import Diagnostic


def concise(findings: Iterable[Diagnostic]) -> list[Line]:
    """Each finding as ``file:line:column: severity[CODE] message``, undecided ones so called."""
    lines: list[Line] = []
    for finding in findings:
        span = finding.span
        word, style = heading(finding)
        lines.append(
            (
                (f"{visible(span.file)}:{span.line}:{span.column}: ", "strong"),
                (f"{word}[{finding.code}]", style),
                (f" {visible(finding.message)}", ""),
            )
        )
    return lines
