"""Applying fixes to policies: one a round, checked again after each, then written in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from routec.cli.checking import One, report
from routec.cli.errors import CommandError, unreadable
from routec.cli.selection import Selection
from routec.compiler.fixes import diff, fix_all
from routec.dsl.diagnostic import Applicability, Diagnostic, Edit, Severity
from routec.dsl.source import Source

ROUNDS = 1000
"""Most fixes applied to one policy in one run."""

_BOM = b"\xef\xbb\xbf"
_COMMENTS = "RC900"
"""Fixes of this rule change comments alone, so they are sound together."""

CheckText = Callable[[str, bytes], One]
"""Checks a policy by its name and its bytes."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """What fixes make of some policies.

    Attributes:
        before: every file that a fix changes, as it was.
        after: its new text, by name.
        bytes: what it held, by name.
        applied: findings that the fixes settle, in the order of their application.
        left: the policies after it; comments that fixes remove are still in them.
    """

    before: Mapping[str, Source]
    after: Mapping[str, str]
    bytes: Mapping[str, bytes]
    applied: tuple[Diagnostic, ...]
    left: tuple[One, ...]

    @property
    def diff(self) -> str:
        """What they change, as a unified diff."""
        return diff(self.before, self.after)


@dataclass(slots=True)
class _Work:
    """One policy while it is being fixed."""

    one: One
    data: bytes
    shared: bool


def fix(
    checks: Sequence[tuple[One, bytes]], check: CheckText, wanted: Selection, *, unsafe: bool
) -> Fixed:
    """Apply the fixes of selected findings, in memory.

    A fix that is proved for one policy says nothing of another one that imports the file, so
    in a file that another of these policies imports only comments are changed, unless `unsafe`.
    A fix whose policy would have a new error is left out.

    Args:
        checks: the policies and what their own files hold.
        check: checks a policy of another text.
        wanted: which findings are selected.
        unsafe: whether to apply unsafe fixes too.
    """
    imported = {n for one, _ in checks for n in one.checked.sources if n != one.name}
    shared = {os.path.realpath(name) for name in imported}
    before: dict[str, Source] = {}
    after: dict[str, str] = {}
    held: dict[str, bytes] = {}
    applied: list[Diagnostic] = []
    left: list[One] = []
    for one, data in checks:
        work = _Work(one, data, os.path.realpath(one.name) in shared)
        applied += _rounds(work, check, wanted, unsafe)
        left.append(work.one)
        if work.data != data:
            before[one.name] = one.checked.sources[one.name]
            after[one.name] = work.one.checked.sources[one.name].text
            held[one.name] = data
    comments = [f for f in report(left, wanted).findings if f.code == _COMMENTS]
    sources = {name: source for o in left for name, source in o.checked.sources.items()}
    last = fix_all(sources, comments, unsafe)
    applied += last.applied
    for name, text in last.texts.items():
        before.setdefault(name, sources[name])
        after[name] = text
        if name not in held:
            held[name] = _bytes_of(name, checks)
    return Fixed(before, after, held, tuple(applied), tuple(left))


def _rounds(work: _Work, check: CheckText, wanted: Selection, unsafe: bool) -> list[Diagnostic]:
    """Fix one policy's own file until nothing is left to fix; the findings that this settled."""
    applied: list[Diagnostic] = []
    refused: set[tuple[str, str, str]] = set()
    seen = {work.data}
    while len(applied) < ROUNDS:
        finding = _next(work, wanted, unsafe, refused)
        if finding is None:
            break
        assert finding.fix is not None
        source = work.one.checked.sources[work.one.name]
        new = fix_all({source.name: source}, [_as_written(finding, source)], unsafe=True).texts
        data = encoded(new.get(source.name, source.text), work.data)
        one = work.one if data in seen else check(work.one.name, data)
        if data in seen or _errors(one) > _errors(work.one):
            refused.add((finding.code, finding.message, finding.fix.title))
            continue
        seen.add(data)
        work.one, work.data = one, data
        applied.append(finding)
    return applied


def _next(
    work: _Work, wanted: Selection, unsafe: bool, refused: set[tuple[str, str, str]]
) -> Diagnostic | None:
    """The first finding that is to be fixed."""
    for finding in report([work.one], wanted).findings:
        fix = finding.fix
        if fix is None or not fix.edits or finding.code == _COMMENTS:
            continue
        if any(edit.span.file != work.one.name for edit in fix.edits):
            continue
        safe = fix.applicability is Applicability.SAFE and not work.shared
        if (safe or unsafe) and (finding.code, finding.message, fix.title) not in refused:
            return finding
    return None


def _as_written(finding: Diagnostic, source: Source) -> Diagnostic:
    """The finding with a fix whose line ends are those of the file."""
    assert finding.fix is not None
    if "\r\n" not in source.text:
        return finding
    edits = tuple(
        Edit(edit.span, edit.text.replace("\r\n", "\n").replace("\n", "\r\n"))
        for edit in finding.fix.edits
    )
    return replace(finding, fix=replace(finding.fix, edits=edits))


def _errors(one: One) -> int:
    """Errors that keep a policy from being understood."""
    found = (f for f in one.checked.findings if f.code[:3] in ("RC0", "RC1"))
    return sum(f.severity is Severity.ERROR for f in found)


def _bytes_of(name: str, checks: Sequence[tuple[One, bytes]]) -> bytes:
    for one, data in checks:
        if one.name == name:
            return data
    try:
        with open(name, "rb") as handle:
            return handle.read()
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error


def encoded(text: str, before: bytes) -> bytes:
    """A new text as bytes, with the byte order mark that the file had."""
    return (_BOM if before.startswith(_BOM) else b"") + text.encode("utf-8")


def write_files(fixed: Fixed) -> None:
    """Write every changed file, each in one step: it has its old text or its new one.

    Raises:
        CommandError: one cannot be written, or holds something else than what was checked.
    """
    for name, text in fixed.after.items():
        before = fixed.bytes[name]
        _replace(name, before, encoded(text, before))


def _replace(name: str, before: bytes, after: bytes) -> None:
    path = os.path.realpath(name)  # a link stays a link
    temporary: str | None = None
    try:
        with open(path, "rb") as handle:
            if handle.read() != before:
                raise CommandError(
                    f"`{name}` was changed while it was being fixed", "run the command again"
                )
            mode = os.fstat(handle.fileno()).st_mode
        descriptor, temporary = tempfile.mkstemp(
            dir=os.path.dirname(path), prefix=f".{os.path.basename(path)}."
        )
        with open(descriptor, "wb") as new:
            new.write(after)
            new.flush()
            os.fchmod(new.fileno(), mode & 0o7777)
            os.fsync(new.fileno())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = (error.strerror or "it is no path of a file").lower()
        raise CommandError(f"cannot write `{name}`: {reason}", "it is as it was before") from error
    finally:
        if temporary is not None:
            os.unlink(temporary)
