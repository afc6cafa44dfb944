"""Short ways to read policy text in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from routec.dsl import Diagnostic, Parsed, Source, ast, parse

HELPDESK = Path(__file__).with_name("helpdesk.route").read_text(encoding="utf-8")


def read(text: str) -> Parsed:
    return parse(Source("p.route", text))


def only(text: str) -> Any:
    """The one declaration of a text without errors."""
    parsed = read(text)
    assert [d.message for d in parsed.diagnostics] == []
    (declaration,) = parsed.module.declarations
    return declaration


def condition(text: str) -> Any:
    """A condition by its text."""
    return only(f"let it = {text}").expr


def value(text: str) -> Any:
    """An option's value by its text."""
    (entry,) = only(f"model m {{ key: {text} }}").entries
    return entry.value


def error(text: str) -> Diagnostic:
    """The one finding about a text."""
    (found,) = read(text).diagnostics
    assert found.code == "RC001"
    return found


def marked(text: str, found: Diagnostic) -> str:
    """The part of the text that a finding points at."""
    return text[found.span.start : found.span.end]


def names(parsed: Parsed) -> list[str]:
    """Names of the declarations that were read."""
    return [
        d.name.name if hasattr(d, "name") else type(d).__name__ for d in parsed.module.declarations
    ]


__all__ = ["HELPDESK", "ast", "condition", "error", "marked", "names", "only", "read", "value"]
