"""What a command says when it cannot do what it was asked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routec.dsl.diagnostic import Diagnostic
    from routec.dsl.source import Source


class CommandError(Exception):
    """A command cannot go on: wrong usage, unreadable input, or a missing part.

    Args:
        message: one sentence; lower-case start, no final period, user text in backticks.
        help: how to mend it, or ``None``.
    """

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def unreadable(name: str, error: OSError | ValueError) -> CommandError:
    """The error that says why `name` cannot be read."""
    reason = getattr(error, "strerror", None) or "it is no path of a file"
    return CommandError(f"cannot read `{name}`: {reason.lower()}", "name an existing file")


class RefusedPolicy(Exception):
    """A policy has errors, or uses what this version does not run.

    Attributes:
        findings: what is wrong with it.
        sources: every file read, by name.
    """

    def __init__(self, findings: tuple[Diagnostic, ...], sources: Mapping[str, Source]) -> None:
        super().__init__("; ".join(finding.message for finding in findings))
        self.findings = findings
        self.sources = sources

    @property
    def unread(self) -> bool:
        """Whether the policy's own file is no text: not UTF-8, or too large."""
        return not self.sources


def complain(message: str, help: str | None) -> None:
    """Say on standard error what went wrong, and how to mend it."""
    from routec.cli.text import visible

    try:
        print(visible(message), file=sys.stderr)
        if help is not None:
            print(f"  = help: {visible(help)}", file=sys.stderr)
    except OSError:
        pass  # nobody listens
