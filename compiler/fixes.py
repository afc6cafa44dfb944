"""Applying fixes: from findings to changed texts, and what they change as a diff."""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum

from routec.dsl.diagnostic import Applicability, Diagnostic, Edit
from routec.dsl.source import Source

_CONTEXT = 3


class Because(StrEnum):
    """Why a fix was not applied."""

    UNSAFE = "unsafe"
    """It may change decisions, and unsafe fixes were not asked for."""
    OVERLAPS = "overlaps"
    """It touches what another fix changes; a further round on the changed text may apply it."""
    UNREAD = "unread"
    """It edits a file whose text is not at hand."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A finding whose fix was not applied, and why."""

    finding: Diagnostic
    because: Because


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a round of fixes did.

    Attributes:
        texts: the new text of each changed file, by name.
        applied: findings whose fixes are in `texts`, in the order given.
        skipped: findings that have a fix which is not.
    """

    texts: dict[str, str]
    applied: tuple[Diagnostic, ...]
    skipped: tuple[Skipped, ...]


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text after all edits; their offsets are those of `text`.

    Edits may touch. Insertions at one place come in the order given, and before
    what replaces the text that follows.

    Raises:
        ValueError: two edits overlap, or one lies outside the text.
    """
    parts: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda edit: (edit.span.start, edit.span.end)):
        start, end = edit.span.start, edit.span.end
        if not 0 <= start <= end <= len(text):
            raise ValueError(f"an edit of {start} to {end} in a text of {len(text)} code points")
        if start < position:
            raise ValueError(f"an edit at {start} overlaps one that ends at {position}")
        parts += text[position:start], edit.text
        position = end
    parts.append(text[position:])
    return "".join(parts)


def fix_all(sources: Mapping[str, Source], findings: Sequence[Diagnostic], unsafe: bool) -> Fixed:
    """One round: every fix that does not collide with one before it.

    A fix is applied whole or not at all. Two fixes collide where their edits
    overlap, or insert at one place; the same fix of two findings is applied once
    and settles both. Whether fixes that are sound one by one are sound together is
    not decided here.

    Args:
        sources: the files by name.
        findings: in order of preference; those without a fix are passed over.
        unsafe: whether to apply unsafe fixes too.
    """
    claimed: dict[str, list[tuple[int, int]]] = {}
    edits: dict[str, list[Edit]] = {}
    seen: set[tuple[Edit, ...]] = set()
    applied: list[Diagnostic] = []
    skipped: list[Skipped] = []
    for finding in findings:
        fix = finding.fix
        if fix is None:
            continue
        if fix.applicability is not Applicability.SAFE and not unsafe:
            skipped.append(Skipped(finding, Because.UNSAFE))
        elif fix.edits in seen:
            applied.append(finding)
        elif any(edit.span.file not in sources for edit in fix.edits):
            skipped.append(Skipped(finding, Because.UNREAD))
        elif any(_collides(edit, claimed.get(edit.span.file, [])) for edit in fix.edits):
            skipped.append(Skipped(finding, Because.OVERLAPS))
        else:
            for edit in fix.edits:
                place = (edit.span.start, edit.span.end)
                insort(claimed.setdefault(edit.span.file, []), place)
                edits.setdefault(edit.span.file, []).append(edit)
            seen.add(fix.edits)
            applied.append(finding)
    texts = {file: apply_edits(sources[file].text, made) for file, made in edits.items()}
    changed = {file: text for file, text in texts.items() if text != sources[file].text}
    return Fixed(changed, tuple(applied), tuple(skipped))


def _collides(edit: Edit, claimed: list[tuple[int, int]]) -> bool:
    """Whether an edit meets one of those claimed, which are in order and do not overlap."""
    start, end = edit.span.start, edit.span.end
    at = bisect_left(claimed, (start, start))
    for other_start, other_end in claimed[max(0, at - 1) :]:
        if other_start > end:
            return False
        if other_start < end and start < other_end:
            return True
        insertion = start == end or other_start == other_end
        if insertion and other_start <= end and start <= other_end:
            return True
    return False


def diff(sources: Mapping[str, Source], texts: Mapping[str, str]) -> str:
    """What the new texts change, as a unified diff that ``patch -p0`` takes; empty for nothing.

    Args:
        sources: the files as they are, by name.
        texts: new texts by name, as in `Fixed`.
    """
    parts: list[str] = []
    for file, text in texts.items():
        name = file if file.isprintable() else json.dumps(file)
        old, new = _lines(sources[file].text), _lines(text)
        parts += (
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in unified_diff(old, new, name, name, n=_CONTEXT)
        )
    return "".join(parts)


def _lines(text: str) -> list[str]:
    """The lines with their ends; only ``\\n`` ends one, as everywhere in a policy."""
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines
