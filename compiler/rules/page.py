"""A rule made from its module's docstring."""

from __future__ import annotations

from inspect import cleandoc

from routec.dsl.diagnostic import Rule, Severity


def rule(code: str, name: str, severity: Severity, doc: str | None) -> Rule:
    """The rule whose page is a module docstring."""
    assert doc is not None, "a rule's page is its module's docstring"
    return Rule(code, name, severity, cleandoc(doc))
