"""A part of a condition never matters.

## What it does
Reports a part of a condition without which the rule acts on the same requests, given the guards
and routes above it (of a category, the guards alone).

## Why is this bad?
A reader believes that the part narrows or widens the rule; it does neither.

## Example
```route
route big priority 10 { when size > 8k and size > 2k  to opus }
```

## Use instead
```route
route big priority 10 { when size > 8k  to opus }
```
"""

from __future__ import annotations

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Severity
from routec.dsl.source import Span

RULE = rule("RC212", "dead-subcondition", Severity.WARNING, __doc__)


def dead_subcondition(what: str, name: str, part: str, span: Span, always: bool) -> Diagnostic:
    """`part`, as written in the `what` called `name`, could as well be true (or false)."""
    why = "is always true" if always else "is always false"
    return Diagnostic(
        RULE,
        f"`{part}` never matters in {what} `{name}`: where it is asked, it {why}",
        span,
        help="remove it",
        subjects=(name,),
    )
