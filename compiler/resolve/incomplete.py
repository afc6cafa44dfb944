"""Declarations that parse but lack a part."""

from __future__ import annotations

from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Span
from routec.dsl.syntax_error import syntax_error


def incomplete(what: str, name: str, part: str, span: Span, help: str) -> Diagnostic:
    """The declaration `name` of a `what`, such as ``route``, has no `part`."""
    return syntax_error(f"{what} `{name}` has no `{part}`", span, help=help, subjects=(name,))
