"""Findings as SARIF 2.1.0, for code scanning and editors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from routec.cli.frequency import frequency_object
from routec.cli.render.about import About, Knows, example_line, nothing
from routec.cli.render.line_hashes import line_hashes
from routec.compiler.rules import RULES
from routec.dsl.diagnostic import Diagnostic, Fix, Related, Rule, Severity, Verdict
from routec.dsl.source import Source, Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_WHAT = "## What it does"


def sarif_document(
    findings: Sequence[Diagnostic],
    sources: Mapping[str, Source],
    knows: Knows = nothing,
) -> dict[str, Any]:
    """The log of one run.

    Columns count Unicode code points, ends are exclusive. The verdict, the names of the
    declarations concerned, the help, the witness and the frequency are in a result's
    ``properties``. What was not decided is of kind ``open``.

    Args:
        findings: in the order to show.
        sources: all files that were read, by name; they are the run's artifacts.
        knows: tells what else is known of a finding.
    """
    rules = {rule.code: rule for rule in (*RULES, *(finding.rule for finding in findings))}
    ordered = [rules[code] for code in sorted(rules)]
    number = {rule.code: index for index, rule in enumerate(ordered)}
    prints = _fingerprints(findings, sources)
    results = [
        _result(finding, number[finding.code], partial, knows(finding))
        for finding, partial in zip(findings, prints, strict=True)
    ]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "routec",
                        "version": version("routec"),
                        "rules": [_rule(rule) for rule in ordered],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "artifacts": [{"location": {"uri": _uri(name)}} for name in sources],
                "results": results,
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": _text(rule.summary)},
        "fullDescription": {"text": _text(_description(rule))},
        "help": {"text": _text(rule.page), "markdown": _text(rule.page)},
        "defaultConfiguration": {
            "level": rule.severity.value,
            "enabled": rule.severity is not Severity.NOTE,
        },
    }


def _description(rule: Rule) -> str:
    """What the rule's page says it does, on one line."""
    _, found, rest = rule.page.partition(_WHAT)
    paragraph = rest.partition("\n## ")[0]
    return " ".join(paragraph.split()) if found else rule.summary


def _result(
    finding: Diagnostic, rule: int, fingerprints: dict[str, str], about: About
) -> dict[str, Any]:
    # Whatever is not a failure has the level "none" (3.27.10).
    open_ = finding.verdict is Verdict.UNKNOWN
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "kind": "open" if open_ else "fail",
        "level": "none" if open_ else finding.severity.value,
        "message": {"text": _message(finding, about)},
        "locations": [{"physicalLocation": _place(finding.span)}],
        "properties": {
            "verdict": finding.verdict.value,
            "subjects": list(finding.subjects),
            "help": finding.help,
            "witness": None if finding.witness is None else dict(finding.witness),
        },
    }
    if about.frequency is not None:
        result["properties"]["frequency"] = frequency_object(about.frequency)
    if finding.related:
        result["relatedLocations"] = [
            {
                "id": index,
                "physicalLocation": _place(related.span),
                "message": {"text": _text(_label(related))},
            }
            for index, related in enumerate(finding.related, start=1)
        ]
    if fingerprints:
        result["partialFingerprints"] = fingerprints
    if finding.fix is not None and finding.fix.edits:
        result["fixes"] = [_fix(finding.fix)]
    return result


def _message(finding: Diagnostic, about: About) -> str:
    """The message, links to the related places, the example and the help."""
    lines = [_text(finding.message)]
    for index, related in enumerate(finding.related, start=1):
        label = _text(_label(related)).replace("[", "\\[").replace("]", "\\]")
        lines.append(f"[{label}]({index})")
    lines += (_text(shown) for shown in example_line(finding, about))
    if finding.help is not None:
        lines.append(f"help: {_text(finding.help)}")
    return "\n".join(lines)


def _label(related: Related) -> str:
    named = related.subject is None or f"`{related.subject}`" in related.message
    return related.message if named else f"{related.message}: `{related.subject}`"


def _text(text: str) -> str:
    """A text as a message has it: braces mark placeholders there and are doubled (3.11.5)."""
    return text.replace("{", "{{").replace("}", "}}")


def _fix(fix: Fix) -> dict[str, Any]:
    changes: dict[str, list[dict[str, Any]]] = {}
    for edit in fix.edits:
        replacement = {
            "deletedRegion": _region(edit.span),
            "insertedContent": {"text": edit.text},
        }
        changes.setdefault(edit.span.file, []).append(replacement)
    return {
        "description": {"text": _text(fix.title)},
        "artifactChanges": [
            {"artifactLocation": {"uri": _uri(file)}, "replacements": replacements}
            for file, replacements in changes.items()
        ],
        "properties": {"applicability": fix.applicability.value},
    }


def _place(span: Span) -> dict[str, Any]:
    return {"artifactLocation": {"uri": _uri(span.file)}, "region": _region(span)}


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _uri(name: str) -> str:
    """A file's name as a URI: relative where the name is, so that it is found in any checkout."""
    path = str(PurePosixPath(name))
    try:
        quoted = quote(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # half a character, which no file system gives
        quoted = quote(path.encode("utf-8", "replace"))
    return f"file://{quoted}" if name.startswith("/") else quoted


def _fingerprints(
    findings: Sequence[Diagnostic], sources: Mapping[str, Source]
) -> list[dict[str, str]]:
    """For each finding what tells it from others whatever is written before and after it."""
    wanted: dict[str, set[int]] = {}
    for finding in findings:
        if finding.span.file in sources:
            wanted.setdefault(finding.span.file, set()).add(finding.span.line)
    hashes = {file: line_hashes(sources[file].text, lines) for file, lines in wanted.items()}
    prints: list[dict[str, str]] = []
    for finding in findings:
        span = finding.span
        value = hashes.get(span.file, {}).get(span.line)
        if value is None:
            prints.append({})
            continue
        line = sources[span.file].line(span.line)
        column = span.column - (len(line) - len(line.lstrip()))
        prints.append(
            {
                "primaryLocationLineHash": value,
                "primaryLocationStartColumnFingerprint": str(column),
            }
        )
    return prints
