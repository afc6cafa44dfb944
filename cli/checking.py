"""What `routec check` says of some policies: findings of the compiler, less those accepted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from routec.cli.findings import Key, key
from routec.cli.loading import paused_collection
from routec.cli.reading import check_text
from routec.cli.selection import Selection
from routec.compiler import suppressions
from routec.compiler.check import Checked, analyse
from routec.compiler.policy import Policy
from routec.compiler.rules import RULES
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Source

if TYPE_CHECKING:
    from routec.compiler.analysis.run import Options

_UNUSED = "RC900"
_SURVIVE = "RC306"
_PROVED = ("RC2", "RC3", "RC4")
"""Codes that analyses look into begin with these."""
_TESTED = "RC5"


@dataclass(frozen=True, slots=True)
class Effort:
    """How the analyses are run.

    Attributes:
        factor: times the default budget.
        progress: hears of each analysis that begins: its rule, how many are done, of how many.
    """

    factor: int = 1
    progress: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class One:
    """One checked policy.

    Attributes:
        name: the policy's own file.
        checked: what the compiler says of it.
        findings: those that no comment suppresses, before any selection.
        comments: what is wrong with the suppressing comments of its files.
    """

    name: str
    checked: Checked
    findings: tuple[Diagnostic, ...]
    comments: tuple[Diagnostic, ...]

    @property
    def unread(self) -> bool:
        """Whether its own file is no text that could be read: not UTF-8, or too large."""
        return not self.checked.sources

    @property
    def policy(self) -> Policy | None:
        """The policy, where it has no errors and decides anything."""
        policy = self.checked.policy
        return policy if policy is not None and policy.routes else None


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to say of all policies together.

    Attributes:
        findings: those selected, each once however many policies read its file.
        owners: for each finding the first policy that it was found in.
        sources: every file read, by name.
        checks: the policies.
    """

    findings: tuple[Diagnostic, ...]
    owners: dict[Key, One]
    sources: dict[str, Source]
    checks: tuple[One, ...]


def check_one(name: str, data: bytes, wanted: Selection, effort: Effort) -> One:
    """Check, prove and suppress.

    Raises:
        CommandError: the name is none of a file.
    """
    checked = check_text(name, data)
    judged = frozenset(r.code for r in RULES if not r.code.startswith((*_PROVED, _TESTED)))
    policy = checked.policy
    if policy is not None and policy.routes and _analyses(wanted):
        ran, options = _options(policy, wanted, effort)
        checked = analyse(checked, options)
        judged |= ran
    sorted_ = suppressions.apply(checked.findings, checked.modules, checked.sources, judged)
    return One(name, checked, sorted_.kept, sorted_.own)


def report(checks: Sequence[One], wanted: Selection) -> Report:
    """Everything found in these policies that is selected."""
    sources: dict[str, Source] = {}
    first: dict[tuple[str, int, str, str], Diagnostic] = {}
    owners: dict[Key, One] = {}
    files = _Files()
    comments = _comments(checks, files)
    for one in checks:
        sources.update(one.checked.sources)
        kept = wanted
        if one.policy is not None and one.policy.demands.survive is not None:
            kept = replace(wanted, also=wanted.also | {_SURVIVE})
        own = [c for c in comments if c.span.file in one.checked.sources]
        for finding in [*one.findings, *own]:
            if not kept.keeps(finding):
                continue
            # What is wrong with a shared file is said once, not once a policy that imports it.
            place = (files.of(finding.span.file), finding.span.start)
            if first.setdefault((*place, finding.code, finding.message), finding) is finding:
                owners[key(finding)] = one
    order = {name: at for at, name in enumerate(sources)}
    found = sorted(first.values(), key=lambda f: (order.get(f.span.file, -1), f.span.start, f.code))
    return Report(tuple(found), owners, sources, tuple(checks))


def _analyses(wanted: Selection) -> bool:
    """Whether any analysis is asked for; comments that suppress nothing need them all."""
    if wanted.selected is None or wanted.also or _UNUSED in wanted.selected:
        return True
    return any(code.startswith(_PROVED) for code in wanted.selected - wanted.ignored)


def _options(policy: Policy, wanted: Selection, effort: Effort) -> tuple[frozenset[str], Options]:
    """The analyses to run, and how."""
    # The solver is loaded for those who ask.
    with paused_collection():
        from routec.compiler.analysis.run import CHECKS, Options
        from routec.compiler.theory.solver import Budget

    codes = frozenset(code for code, _ in CHECKS)
    usual = frozenset(code for code in codes if Options().runs(code, policy))
    if wanted.selected is None:
        ran = usual
    elif _UNUSED in wanted.selected:
        ran = usual | wanted.selected
    else:
        ran = wanted.selected - wanted.ignored
    ran = (ran | wanted.also) & codes
    budget = Budget().times(effort.factor)
    return ran, Options(wanted=ran, budget=budget, progress=effort.progress)


class _Files:
    """Which names are names of one file."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def of(self, name: str) -> str:
        if name not in self._real:
            try:
                self._real[name] = os.path.realpath(name)
            except (OSError, ValueError):
                self._real[name] = name
        return self._real[name]


def _comments(checks: Sequence[One], files: _Files) -> list[Diagnostic]:
    """What is wrong with comments for every policy that reads them."""
    given: dict[Key, Diagnostic] = {}

    def settled(finding: Diagnostic) -> Diagnostic:
        same = replace(finding, span=replace(finding.span, file=files.of(finding.span.file)))
        given.setdefault(key(same), finding)
        return same

    return [
        given[key(finding)]
        for finding in suppressions.unused_in_all(
            [
                (
                    {files.of(name) for name in one.checked.sources},
                    [settled(finding) for finding in one.comments],
                )
                for one in _readers(checks, files)
            ]
        )
    ]


def _readers(checks: Sequence[One], files: _Files) -> Iterable[One]:
    """The policies, without files that were checked alone and are imported by one of these."""
    imported = {
        files.of(name)
        for one in checks
        if one.policy is not None
        for name in one.checked.sources
        if name != one.name
    }
    return [o for o in checks if o.policy is not None or files.of(o.name) not in imported]
