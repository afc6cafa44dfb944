"""Routes of different priorities claim the same request with different outcomes.

## What it does
Notes two routes of different priority that some request meets, and that decide differently. Off
unless selected or `--overlaps` is given, for it is normal style to put an exception above a rule.

## Why is this bad?
It is not; but where the routes were meant to be apart, it shows that they are not.

## Example
```route
route vip priority 90 { when role == vip and has_sql  to opus }
route sql priority 80 { when has_sql                  to coder }
```

## Use instead
```route
route vip priority 80 { when has_sql and role == vip  to opus }
route sql priority 80 { when has_sql and role != vip  to coder }
```
"""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC206", "overlapping-routes", Severity.NOTE, __doc__)


def overlapping_routes(higher: p.Route, lower: p.Route) -> Diagnostic:
    """Some request meets both conditions; `higher` decides it."""
    return Diagnostic(
        RULE,
        f"`{lower.name}` loses some requests to `{higher.name}`, which has a higher priority",
        lower.span,
        help="leave it, or give both one priority and let their conditions exclude each other",
        subjects=(lower.name, higher.name),
        related=(Related("decides these", higher.span, higher.name),),
    )
