"""Removing a rule changes no decision.

## What it does
Reports a route, guard or category without which every request is decided the same, also because
of rules that come later.

## Why is this bad?
It is noise: a reader believes that it does something, and a change to it will do nothing.

## Example
```route
route sql  priority 90 { when has_sql and lang == en  to coder }
route code priority 80 { when has_sql                 to coder }
```

## Use instead
```route
route code priority 80 { when has_sql  to coder }
```
"""

from __future__ import annotations

from collections.abc import Sequence

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC205", "redundant-rule", Severity.WARNING, __doc__)


def redundant_rule(
    what: str,
    named: p.Route | p.Guard | p.Category,
    instead: Sequence[p.Route | p.Guard | p.Category],
) -> Diagnostic:
    """The rule `named`, a `what`, does nothing that those `instead` do not do after it."""
    return Diagnostic(
        RULE,
        f"removing {what} `{named.name}` changes no decision",
        named.span,
        help="remove it",
        subjects=(named.name,),
        related=tuple(Related("decides the same", i.span, i.name) for i in instead),
    )
