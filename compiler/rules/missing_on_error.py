"""A signal that can fail does not say what it is then.

## What it does
Reports a `classifier` or `external` signal without `on_error`.

## Why is this bad?
Backends time out. Without a failure value, `not attack` would silently become true in an outage.

## Example
```route
signal attack = classifier("jailbreak") { labels: [benign, jailbreak] }
```

## Use instead
```route
signal attack = classifier("jailbreak") { labels: [benign, jailbreak], on_error: jailbreak }
```
"""

from __future__ import annotations

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Severity
from routec.dsl.source import Span

RULE = rule("RC109", "missing-on-error", Severity.ERROR, __doc__)


def missing_on_error(name: str, kind: str, span: Span, example: str) -> Diagnostic:
    """The `kind` signal `name` lacks `on_error`; `example` is a value it could take."""
    return Diagnostic(
        RULE,
        f"{kind} signal `{name}` does not say what it is when its backend fails",
        span,
        help=f"add `on_error: {example}`, or another value of its type",
        subjects=(name,),
    )
