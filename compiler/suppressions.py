"""Findings that the author has seen and accepts: ``# routec: ignore[CODE] reason``.

At the end of a line such a comment suppresses the findings whose place starts on
that line. On a line of its own it suppresses those whose place starts in what
begins on the next line (further comment lines between do not matter): a whole
declaration, or inside one, the entries, statements or conditions that start there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from routec.compiler.edits import line_end, line_start, remove_comment
from routec.compiler.rules import RULES, find_rule
from routec.compiler.rules.unused_suppression import RULE as UNUSED
from routec.compiler.rules.unused_suppression import (
    never_suppressed,
    no_reason,
    no_rule_named,
    no_such_rule,
    nothing_suppressed,
)
from routec.dsl import SYNTAX_ERROR, ast
from routec.dsl.diagnostic import Applicability, Diagnostic, Edit, Fix, Severity
from routec.dsl.source import Source, Span

# What only looks like a suppression is one too, to be complained of; prose is not.
_DIRECTIVE = re.compile(r"(?:(?<=\s)|^)#[ \t]*routec:[ \t]*(?:ignore\b|\w+[ \t]*\[)")
_IGNORE = re.compile(r"[ \t]*ignore[ \t]*\[([^\]]*)\]")
_NEVER = frozenset({SYNTAX_ERROR.code, UNUSED.code})
_UNREAD = frozenset({SYNTAX_ERROR.code, "RC106"})


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Findings sorted by whether the author accepts them.

    Attributes:
        kept: those that no comment suppresses, in the order given.
        suppressed: those that one does, in the order given.
        own: what is wrong with the comments (RC900), in the order of the files.
    """

    kept: tuple[Diagnostic, ...]
    suppressed: tuple[Diagnostic, ...]
    own: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class _Directive:
    """One ``# routec: ignore[…] reason``.

    Attributes:
        span: from its ``#`` to the end of its reason.
        names: codes or names in the brackets, as written.
        listed: whether there are brackets after ``ignore``.
        reason: whether there is one.
        line: where findings are suppressed; ``None`` for nowhere.
        start: offset from which findings are suppressed, beside those on the line.
        end: offset up to which.
    """

    span: Span
    names: tuple[tuple[str, Span], ...]
    listed: bool
    reason: bool
    line: int | None
    start: int
    end: int

    def covers(self, finding: Diagnostic) -> bool:
        """Whether the finding's place is one that this comment speaks of."""
        place = finding.span
        return place.line == self.line or self.start <= place.start < self.end


def apply(
    findings: Sequence[Diagnostic],
    modules: Iterable[ast.Module],
    sources: Mapping[str, Source],
    judged: Collection[str] | None = None,
) -> Suppressed:
    """Sort findings by the suppressions in the comments of a policy's files.

    Args:
        findings: all findings, before any selection.
        modules: the parsed files.
        sources: the files by name.
        judged: codes of the rules that were looked into; a suppression of another is
            not called unused. ``None`` for all rules. Nothing is called unused where
            part of the policy could not be read.
    """
    by_file: dict[str, list[int]] = {}
    for index, finding in enumerate(findings):
        by_file.setdefault(finding.span.file, []).append(index)
    unread = any(finding.code in _UNREAD for finding in findings)
    known = frozenset() if unread else judged
    hidden: set[int] = set()
    own: list[Diagnostic] = []
    for module in modules:
        source = sources.get(module.span.file)
        if source is None:
            continue
        here = by_file.get(source.name, [])
        for directive in _directives(module, source):
            covered = [index for index in here if directive.covers(findings[index])]
            hides, complaints = _judge(directive, covered, findings, source, known)
            hidden |= hides
            own += complaints
    return Suppressed(
        tuple(f for index, f in enumerate(findings) if index not in hidden),
        tuple(f for index, f in enumerate(findings) if index in hidden),
        tuple(own),
    )


def unused_in_all(
    checks: Sequence[tuple[Collection[str], Sequence[Diagnostic]]],
) -> list[Diagnostic]:
    """What is wrong with suppressions for every policy that reads them.

    A comment in a shared file may be of use to one of the policies that import it.

    Args:
        checks: of each policy, the names of the files read and its `Suppressed.own`.
    """
    first: dict[tuple[Span, str], Diagnostic] = {}
    for _, own in checks:
        for finding in own:
            first.setdefault((finding.span, finding.message), finding)
    said = [{(finding.span, finding.message) for finding in own} for _, own in checks]
    return [
        finding
        for key, finding in first.items()
        if all(
            key in keys
            for (files, _), keys in zip(checks, said, strict=True)
            if finding.span.file in files
        )
    ]


def _judge(
    directive: _Directive,
    covered: Sequence[int],
    findings: Sequence[Diagnostic],
    source: Source,
    judged: Collection[str] | None,
) -> tuple[set[int], list[Diagnostic]]:
    """The findings that a comment hides, and what is wrong with it."""
    hides: set[int] = set()
    own: list[Diagnostic] = []
    unused: list[tuple[str, Span]] = []
    for word, span in directive.names:
        rule = find_rule(word)
        if rule is None:
            near = _nearest(word)
            fix = _without(source, directive, {span})
            if near is not None:
                edit = Edit(span, near)
                fix = Fix(f"replace it by `{near}`", Applicability.UNSAFE, (edit,))
            own.append(no_such_rule(word, near, span, fix))
            continue
        if rule.code in _NEVER:
            own.append(never_suppressed(rule.name, span, _without(source, directive, {span})))
            continue
        met = [index for index in covered if findings[index].code == rule.code]
        errors = {index for index in met if findings[index].severity is Severity.ERROR}
        if not met and (judged is None or rule.code in judged):
            unused.append((word, span))
        elif errors and not directive.reason:
            own.append(no_reason(rule.name, span))
        hides.update(met if directive.reason else set(met) - errors)
    if unused:
        spans = {span for _, span in unused}
        everything = len(unused) == len(directive.names)
        place = directive.span if everything else unused[0][1]
        names = [word for word, _ in unused]
        nowhere = directive.line is None
        fix = _without(source, directive, spans)
        own.append(nothing_suppressed(names, place, above_nothing=nowhere, fix=fix))
    if not directive.names:
        removal = _without(source, directive, ()) if directive.listed else None
        own.append(no_rule_named(directive.span, removal))
    return hides, own


def _without(source: Source, directive: _Directive, gone: Collection[Span]) -> Fix:
    """The fix that takes names out of a comment, and the comment where none is left."""
    left = [word for word, span in directive.names if span not in gone]
    if not left:
        edit = remove_comment(source, directive.span)
        return Fix("remove the comment", Applicability.SAFE, (edit,))
    names = directive.names[0][1].to(directive.names[-1][1])
    words = ", ".join(f"`{word}`" for word, span in directive.names if span in gone)
    return Fix(f"remove {words}", Applicability.SAFE, (Edit(names, ", ".join(left)),))


def _nearest(word: str) -> str | None:
    for given, known in (
        (word.lower(), [rule.name for rule in RULES]),
        (word.upper(), [rule.code for rule in RULES]),
    ):
        near = get_close_matches(given, known, n=1)
        if near:
            return near[0]
    return None


def _directives(module: ast.Module, source: Source) -> Iterator[_Directive]:
    for comment in module.comments:
        if "routec" not in comment.text:
            continue
        text = "#" + comment.text
        starts = [match.start() for match in _DIRECTIVE.finditer(text)]
        if not starts:
            continue
        line, start, end = _target(module, source, comment)
        for begin, stop in zip(starts, [*starts[1:], len(text)], strict=True):
            part = text[begin:stop].rstrip()
            ignore = _IGNORE.match(part, part.index(":") + 1)
            names: list[tuple[str, Span]] = []
            reason = False
            if ignore:
                first = begin + ignore.start(1)
                reason = re.search(r"\w", part[ignore.end() :]) is not None
                for word in re.finditer(r"[^\s,](?:[^,]*[^\s,])?", ignore.group(1)):
                    place = _part(comment.span, first + word.start(), first + word.end())
                    names.append((word.group(), place))
            span = _part(comment.span, begin, begin + len(part))
            yield _Directive(span, tuple(names), ignore is not None, reason, line, start, end)


def _part(span: Span, start: int, end: int) -> Span:
    """A stretch of a span of one line, by offsets in it."""
    return Span(
        span.file,
        span.start + start,
        span.start + end,
        span.line,
        span.column + start,
        span.line,
        span.column + end,
    )


def _target(
    module: ast.Module, source: Source, comment: ast.Comment
) -> tuple[int | None, int, int]:
    """What a comment speaks of: a line, and a stretch of the text."""
    text, line = source.text, comment.span.line
    if text[line_start(text, comment.span.start) : comment.span.start].strip():
        return line, 0, 0
    while True:
        line += 1
        shown = source.line(line).strip()
        if not shown:
            return None, 0, 0
        if not shown.startswith("#"):
            break
    begin = line_start(text, _offset(text, comment.span.start, line - comment.span.line))
    end = line_end(text, begin)
    after = comment.span.end
    first = bisect_right(module.declarations, after, key=lambda declaration: declaration.span.end)
    inside: list[Span] = []
    for declaration in module.declarations[first:]:
        if declaration.span.start >= end:
            break
        inside += _starting(declaration, begin, end)
    if not inside:
        return line, 0, 0
    return line, min(span.start for span in inside), max(span.end for span in inside)


def _offset(text: str, at: int, lines: int) -> int:
    """Start of the line that is so many lines below the one that `at` is on."""
    for _ in range(lines):
        at = line_end(text, at) + 1
    return at


def _starting(node: Any, begin: int, end: int) -> Iterator[Span]:
    """Places of the outermost nodes, this one or below it, that start in a stretch."""
    span = getattr(node, "span", None)
    if span is None or span.start >= end or span.end <= begin:
        return
    if span.start >= begin:
        yield span
        return
    for field in fields(node):
        value = getattr(node, field.name)
        for child in value if isinstance(value, tuple) else (value,):
            yield from _starting(child, begin, end)
