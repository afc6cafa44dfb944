"""Every request meets a route's condition, yet it is not the default route.

## What it does
Reports a route whose condition is true of every request.

## Why is this bad?
It is a default route in disguise: every route below it is dead.

## Example
```route
route all priority 90 { when size < 4k or size >= 4k  to mini }
```

## Use instead
```route
default route all { to mini }
```
"""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC204", "always-true-condition", Severity.WARNING, __doc__)


def always_true_condition(route: p.Route, below: list[p.Route]) -> Diagnostic:
    """Every request meets the route's condition; `below` are the routes that come after it."""
    return Diagnostic(
        RULE,
        f"every request meets the condition of `{route.name}`",
        route.span,
        help="make it the default route, or narrow its condition",
        subjects=(route.name,),
        related=tuple(Related("never gets a request", r.span, r.name) for r in below[:3]),
    )
