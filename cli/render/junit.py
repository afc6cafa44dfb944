"""Findings as JUnit XML, which most build servers show as test results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routec.cli.render.about import About, Knows, example_line, nothing
from routec.cli.render.full import heading
from routec.cli.render.styled import Line, line
from routec.cli.selection import fails
from routec.cli.text import visible
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Source

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def junit(
    findings: Sequence[Diagnostic],
    sources: Mapping[str, Source],
    knows: Knows = nothing,
    *,
    strict: bool = False,
) -> list[Line]:
    """A document with a suite for each file, and in it a case for each finding.

    A case fails where its finding makes the check fail; others pass and have the finding as
    their output. A file without findings has one case, which passes. The document is
    ASCII, so that it reads the same in every encoding.

    Args:
        findings: in the order to show.
        sources: all files that were read, by name; they come first.
        knows: tells what else is known of a finding.
        strict: whether warnings make the check fail too, and what is not decided.
    """
    by_file: dict[str, list[Diagnostic]] = {name: [] for name in sources}
    for finding in findings:
        by_file.setdefault(finding.span.file, []).append(finding)
    tests = sum(max(1, len(found)) for found in by_file.values())
    failures = sum(fails(finding, strict=strict) for finding in findings)
    lines = [line('<?xml version="1.0" encoding="utf-8"?>')]
    lines.append(line(_open("testsuites", name="routec check", **_counts(tests, failures))))
    for file, found in by_file.items():
        failures = sum(fails(finding, strict=strict) for finding in found)
        counts = _counts(max(1, len(found)), failures)
        lines.append(line("  " + _open("testsuite", name=file, **counts)))
        if not found:
            passed = _open("testcase", name="check", classname=file, file=file)
            lines.append(line(f"    {passed}</testcase>"))
        for finding in found:
            lines += _case(finding, knows(finding), fails(finding, strict=strict))
        lines.append(line("  </testsuite>"))
    lines.append(line("</testsuites>"))
    return lines


def _counts(tests: int, failures: int) -> dict[str, str]:
    return {"tests": str(tests), "failures": str(failures), "errors": "0", "skipped": "0"}


def _case(finding: Diagnostic, about: About, fails: bool) -> list[Line]:
    span = finding.span
    name = f"{finding.code} {finding.rule.name} at {span.line}:{span.column}"
    parts = [f"{span.file}:{span.line}:{span.column}: {finding.message}"]
    for related in finding.related:
        where = f"{related.span.file}:{related.span.line}:{related.span.column}"
        parts.append(f"{where}: {related.message}")
    parts += example_line(finding, about)
    if finding.help is not None:
        parts.append(f"help: {finding.help}")
    text = _escaped("\n".join(parts))
    if fails:
        begin = _open("failure", type=finding.code, message=finding.message)
        inner = f"{begin}{text}</failure>"
    else:
        inner = f"<system-out>{heading(finding)[0]}: {text}</system-out>"
    case = _open("testcase", name=name, classname=span.file, file=span.file, line=str(span.line))
    return [line(f"    {case}"), line(f"      {inner}"), line("    </testcase>")]


def _open(tag: str, **attributes: str) -> str:
    """The tag that opens an element."""
    written = "".join(f' {name}="{_escaped(value)}"' for name, value in attributes.items())
    return f"<{tag}{written}>"


def _escaped(text: str) -> str:
    """A text for XML: what no document may hold, or what would mislead a reader, becomes ``�``."""
    return "".join(_reference(character) for character in text)


def _reference(character: str) -> str:
    if character in "\t\n\r":
        return f"&#{ord(character)};"
    if " " <= character <= "~":
        return _ENTITIES.get(character, character)
    shown = "\ufffd" if character in "\ufffe\uffff" else visible(character)
    return f"&#{ord(shown)};"
