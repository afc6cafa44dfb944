"""Findings and results as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from routec.cli.frequency import frequency_object
from routec.cli.render.about import About, Knows, nothing
from routec.dsl.diagnostic import Diagnostic, Severity, Verdict
from routec.dsl.source import Span

VERSION = 1
"""Version of the findings' layout."""


def write_json(value: Any) -> None:
    """Write one JSON value and a line end to standard output, in UTF-8 whatever the locale."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    binary.write(text.encode("utf-8", "replace"))


def findings_document(
    findings: Sequence[Diagnostic],
    policy: str | None,
    knows: Knows = nothing,
) -> dict[str, Any]:
    """The object of `check --format json`.

    Args:
        findings: in the order to show.
        policy: name of the policy; ``None`` unless exactly one was read.
        knows: tells what else is known of a finding.
    """
    return {
        "version": VERSION,
        "policy": policy,
        "summary": summary(findings),
        "findings": [finding_object(finding) | _frequency(knows(finding)) for finding in findings],
    }


def _frequency(about: About) -> dict[str, Any]:
    return {} if about.frequency is None else {"frequency": frequency_object(about.frequency)}


def fixed_object(finding: Diagnostic) -> dict[str, Any]:
    """A finding that a fix has settled: what it was, and the fix; its place is gone."""
    assert finding.fix is not None
    return {
        "code": finding.code,
        "name": finding.rule.name,
        "message": finding.message,
        "file": finding.span.file,
        "title": finding.fix.title,
        "applicability": finding.fix.applicability.value,
    }


def summary(findings: Iterable[Diagnostic]) -> dict[str, int]:
    """How many findings there are of each severity, and beside them how many are not decided."""
    counts = dict.fromkeys((*(severity.value for severity in Severity), "unknown"), 0)
    for finding in findings:
        unknown = finding.verdict is Verdict.UNKNOWN
        counts["unknown" if unknown else finding.severity.value] += 1
    return counts


def finding_object(finding: Diagnostic) -> dict[str, Any]:
    """One finding, as the contract lays it out."""
    fix = finding.fix
    return {
        "code": finding.code,
        "name": finding.rule.name,
        "severity": finding.severity.value,
        "verdict": finding.verdict.value,
        "message": finding.message,
        "help": finding.help,
        "file": finding.span.file,
        "range": range_object(finding.span),
        "subjects": list(finding.subjects),
        "related": [
            {
                "message": related.message,
                "file": related.span.file,
                "range": range_object(related.span),
                "subject": related.subject,
            }
            for related in finding.related
        ],
        "witness": None if finding.witness is None else dict(finding.witness),
        "fix": None
        if fix is None
        else {
            "title": fix.title,
            "applicability": fix.applicability.value,
            "edits": [
                {"file": edit.span.file, "range": range_object(edit.span), "text": edit.text}
                for edit in fix.edits
            ],
        },
    }


def range_object(span: Span) -> dict[str, dict[str, int]]:
    """A place: lines and columns from 1, columns in code points, the end exclusive."""
    return {
        "start": {"line": span.line, "column": span.column},
        "end": {"line": span.end_line, "column": span.end_column},
    }
