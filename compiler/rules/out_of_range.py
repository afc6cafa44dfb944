"""A number lies outside what the place allows.

## What it does
Reports thresholds that a signal can never reach, percentages that do not add up, negative
durations, cosines beyond 1, statuses that are none, and lists that may not be empty.

## Why is this bad?
The condition would be constant, or the setting without effect.

## Example
```route
route law priority 10 { when topic.legal >= 1.2 to opus }
```

## Use instead
```route
route law priority 10 { when topic.legal >= 0.8 to opus }
```
"""

from __future__ import annotations

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Severity
from routec.dsl.source import Span

RULE = rule("RC105", "out-of-range", Severity.ERROR, __doc__)


def out_of_range(
    message: str, span: Span, help: str | None = None, subject: str | None = None
) -> Diagnostic:
    """Which number is outside which range, said by the caller."""
    return Diagnostic(
        RULE, message, span, help=help, subjects=() if subject is None else (subject,)
    )
