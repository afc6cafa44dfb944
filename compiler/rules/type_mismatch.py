"""Values of different types meet.

## What it does
Reports a comparison, a default, an option, a pin or a target whose value is not of the type
that the place asks for.

## Why is this bad?
A comparison of different types has no answer; guessing one would hide a mistake.

## Example
```route
request { tier: enum(free, pro) = free }
route big priority 10 { when tier > 3 to opus }
```

## Use instead
```route
route big priority 10 { when tier == pro to opus }
```
"""

from __future__ import annotations

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Severity
from routec.dsl.source import Span

RULE = rule("RC103", "type-mismatch", Severity.ERROR, __doc__)


def type_mismatch(
    message: str, span: Span, help: str | None = None, subject: str | None = None
) -> Diagnostic:
    """What was compared with what, said by the caller."""
    return Diagnostic(
        RULE, message, span, help=help, subjects=() if subject is None else (subject,)
    )
