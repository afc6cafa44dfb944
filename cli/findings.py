"""What tells one finding from another."""

from __future__ import annotations

from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Span

Key = tuple[str, Span, str]
"""Code, place and message of a finding."""


def key(finding: Diagnostic) -> Key:
    """What tells a finding from others."""
    return finding.code, finding.span, finding.message
