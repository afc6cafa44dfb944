"""A declaration is used by nothing that can happen.

## What it does
Reports a signal, `let`, model, pool, category or budget that nothing in use mentions. In use are
the guards, the promises, the routes that some request takes (or that a budget sends requests to),
and what these use in turn. A category is in use where a route forces it, or where some request
meets its condition on a route that leaves the cache on; a budget, where some request takes another
route than the one it names. Tests use nothing. Only the policy's own file is judged: what it
imports is a library. A category whose condition no request meets is left to `impossible-condition`.

## Why is this bad?
A reader believes that it matters, and a typing error may hide behind it: the signal that was meant
to guard something guards nothing.

## Example
```route
signal old    = keyword("fax", "telegram")
signal urgent = keyword("asap")
route fast priority 10 { when urgent  to mini }
```

## Use instead
```route
signal urgent = keyword("asap")
route fast priority 10 { when urgent  to mini }
```

## Fix
Removes the declaration, with the comment above it. Offered where nothing mentions it at all, not
even a test or a rule that is dead itself, so that the policy stays whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Fix, Related, Severity
from routec.dsl.source import Span

RULE = rule("RC207", "unused-declaration", Severity.WARNING, __doc__)


def unused_declaration(
    what: str, name: str, span: Span, mentions: Sequence[tuple[str, Span]], fix: Fix | None
) -> Diagnostic:
    """`mentions` are the declarations that mention it and are themselves out of use."""
    help = "remove it" if not mentions else "remove it together with what mentions it, or use that"
    return Diagnostic(
        RULE,
        f"{what} `{name}` is never used",
        span,
        help=help,
        subjects=(name,),
        related=tuple(Related("mentions it, but is out of use", s, n) for n, s in mentions),
        fix=fix,
    )
