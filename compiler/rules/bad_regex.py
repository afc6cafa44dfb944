r"""A regular expression does not run in linear time.

## What it does
Reports a pattern that the linear-time engine (RE2) does not take: look-around, back-references,
broken syntax, or one that needs too much memory.

## Why is this bad?
A backtracking engine can be made to hang by a hostile text; routec uses none.

## Example
```route
signal twice = regex(/(\w+) \1/)
```

## Use instead
```route
signal twice = keyword("please please", "help help")
```
"""

from __future__ import annotations

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Severity
from routec.dsl.source import Span

RULE = rule("RC108", "bad-regex", Severity.ERROR, __doc__)


def bad_regex(pattern: str, reason: str, span: Span) -> Diagnostic:
    """The engine refused `pattern` for `reason`."""
    return Diagnostic(
        RULE,
        f"`/{pattern}/` is not a linear-time regular expression: {reason}",
        span,
        help="write it without look-around and back-references (RE2 syntax)",
    )
