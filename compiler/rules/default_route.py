"""A policy needs exactly one default route.

## What it does
Reports a policy without a `default route`, and every one after the first.

## Why is this bad?
Without one, some request would get no decision; with two, it would be unclear which.

## Example
```route
route law priority 10 { when topic == legal to opus }
```

## Use instead
```route
route law priority 10 { when topic == legal to opus }
default route general { to mini }
```
"""

from __future__ import annotations

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity
from routec.dsl.source import Span

RULE = rule("RC107", "default-route", Severity.ERROR, __doc__)


def missing_default(span: Span) -> Diagnostic:
    """The policy has no default route; `span` is where the policy is declared."""
    return Diagnostic(
        RULE,
        "the policy has no default route",
        span,
        help="add `default route NAME { to MODEL }`, for requests that no other route takes",
    )


def second_default(name: str, span: Span, first_name: str, first: Span) -> Diagnostic:
    """A default route besides the first."""
    return Diagnostic(
        RULE,
        f"`{name}` is a second default route",
        span,
        help="give it a priority and a condition, or remove it",
        subjects=(name, first_name),
        related=(Related("the first default route", first, first_name),),
    )
