"""Which findings a command line wants to hear of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from routec.cli.errors import CommandError
from routec.compiler.rules import RULES, find_rule
from routec.dsl.diagnostic import Diagnostic, Severity, Verdict

ALWAYS = frozenset({"RC001", "RC106"})
"""Rules that no ``--select`` leaves out: where they speak, part of the policy was not read."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Codes to keep.

    Attributes:
        selected: codes asked for; ``None`` for all but notes.
        ignored: codes to leave out.
        also: codes asked for beside these, notes too.
    """

    selected: frozenset[str] | None = None
    ignored: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()

    def keeps(self, finding: Diagnostic) -> bool:
        """Whether the finding is to be shown, and to count."""
        code = finding.code
        if code in self.ignored:
            return False
        if code in self.also:
            return True
        if self.selected is None:
            return finding.severity is not Severity.NOTE
        return code in self.selected or code in ALWAYS


def selection(select: Sequence[str], ignore: Sequence[str], also: Iterable[str] = ()) -> Selection:
    """The selection of ``--select`` and ``--ignore``.

    Args:
        select: codes, names or beginnings of codes such as ``RC1``, also separated by commas.
        ignore: the same.
        also: codes selected beside these.

    Raises:
        CommandError: one of them names no rule.
    """
    selected = _codes(select) if select else None
    return Selection(selected, _codes(ignore), frozenset(also))


def fails(finding: Diagnostic, *, strict: bool) -> bool:
    """Whether a finding makes a check fail: an error does, unless it is not decided.

    Args:
        finding: the finding.
        strict: whether warnings do too, and what is not decided.
    """
    if finding.severity is Severity.NOTE:
        return False
    return strict or (finding.severity is Severity.ERROR and finding.verdict is not Verdict.UNKNOWN)


def statistics(findings: Iterable[Diagnostic]) -> list[dict[str, str | int]]:
    """How often each rule speaks, the most frequent first, then in order of codes."""
    counts: dict[str, int] = {}
    names: dict[str, str] = {}
    for finding in findings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
        names[finding.code] = finding.rule.name
    ordered = sorted(counts, key=lambda code: (-counts[code], code))
    return [{"code": code, "name": names[code], "count": counts[code]} for code in ordered]


def _codes(given: Sequence[str]) -> frozenset[str]:
    codes: set[str] = set()
    for word in (word.strip() for item in given for word in item.split(",")):
        rule = find_rule(word)
        begun = [r.code for r in RULES if r.code.startswith(word.upper())]
        if rule is not None:
            codes.add(rule.code)
        elif len(word) >= 2 and begun:
            codes.update(begun)
        else:
            raise unknown_rule(word)
    return frozenset(codes)


def unknown_rule(word: str) -> CommandError:
    """The error that says that there is no such rule."""
    known = [name for rule in RULES for name in (rule.code, rule.name)]
    near = [m for w in (word.upper(), word.lower()) for m in get_close_matches(w, known, n=1)]
    help = f"did you mean `{near[0]}`?" if near else "`routec rule` lists all rules"
    return CommandError(f"there is no rule `{word}`", help)
