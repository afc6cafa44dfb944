"""What routec has to say about a policy, as data.

A renderer turns a `Diagnostic` into text, JSON or SARIF; nothing here formats
for a person. Message style: lower-case start, no final period, user text in
backticks, and a help that names the fix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from routec.dsl.source import Span


class Severity(StrEnum):
    """How bad a finding is; the order of declaration is from worst to mildest."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Verdict(StrEnum):
    """How sure a finding is."""

    PROVED = "proved"
    UNKNOWN = "unknown"
    ESTIMATED = "estimated"


class Applicability(StrEnum):
    """Whether a fix may be applied without asking."""

    SAFE = "safe"
    UNSAFE = "unsafe"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding.

    Attributes:
        code: stable code, such as ``RC101``.
        name: stable kebab-case name, such as ``unknown-name``.
        severity: what the finding counts as.
        page: the rule's page in Markdown: what it does, why it is bad, an
            example, what to write instead.
    """

    code: str
    name: str
    severity: Severity
    page: str

    @property
    def summary(self) -> str:
        """The first line of the page."""
        return self.page.strip().splitlines()[0]


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that a finding speaks of."""

    message: str
    span: Span
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the text of ``span`` by ``text``."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that would settle a finding."""

    title: str
    applicability: Applicability
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    Attributes:
        rule: which kind of finding this is.
        message: one sentence; lower-case start, no final period.
        span: the place at fault.
        help: how to mend it, or ``None``.
        subjects: names of the declarations concerned, the one at fault first.
        related: other places, in reading order.
        fix: an edit that would mend it.
        verdict: how sure we are.
        witness: a request that shows it, in the JSON shape of the contract.
        level: severity where it is not the rule's, as of what the policy itself demands.
    """

    rule: Rule
    message: str
    span: Span
    help: str | None = None
    subjects: tuple[str, ...] = ()
    related: tuple[Related, ...] = ()
    fix: Fix | None = None
    verdict: Verdict = Verdict.PROVED
    witness: Mapping[str, Any] | None = None
    level: Severity | None = None

    @property
    def code(self) -> str:
        """The rule's code."""
        return self.rule.code

    @property
    def severity(self) -> Severity:
        """How bad it is: the rule's severity, unless this finding states its own."""
        return self.level or self.rule.severity
