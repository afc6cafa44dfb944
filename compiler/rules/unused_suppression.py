"""A suppression suppresses nothing.

## What it does
Reports a `# routec: ignore[…]` that no finding meets, that names a rule which there is not or
which cannot be suppressed, or that gives no reason for suppressing an error.

## Why is this bad?
It outlives what it was written for, and will hide the next finding at its place from whoever
should see it.

## Example
```route
# routec: ignore[overlaping-routes] the refunds team wants both
route refunds priority 100 { when refund >= 0.80  to expert }
```

## Use instead
```route
# routec: ignore[overlapping-routes] the refunds team wants both
route refunds priority 100 { when refund >= 0.80  to expert }
```
At the end of a line it suppresses what is found on that line; on a line of its own, what is
found in the declaration, or the part of one, that begins right below.
"""

from __future__ import annotations

from collections.abc import Sequence

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Fix, Severity
from routec.dsl.source import Span

RULE = rule("RC900", "unused-suppression", Severity.WARNING, __doc__)


def nothing_suppressed(
    names: Sequence[str], span: Span, *, above_nothing: bool, fix: Fix | None
) -> Diagnostic:
    """No finding of the rules `names` at the place of the comment."""
    named = " and ".join(f"`{name}`" for name in names)
    help = "remove it"
    if above_nothing:
        help = "put it right above what it is about, or at the end of a line"
    return Diagnostic(RULE, f"no finding of {named} is suppressed here", span, help=help, fix=fix)


def no_such_rule(word: str, nearest: str | None, span: Span, fix: Fix | None) -> Diagnostic:
    """A suppression of what is no rule."""
    help = "`routec rule` lists all rules" if nearest is None else f"did you mean `{nearest}`?"
    return Diagnostic(RULE, f"there is no rule `{word}`", span, help=help, fix=fix)


def never_suppressed(name: str, span: Span, fix: Fix | None) -> Diagnostic:
    """A suppression of a rule that cannot be suppressed."""
    return Diagnostic(
        RULE, f"`{name}` cannot be suppressed", span, help="remove it, and mend its cause", fix=fix
    )


def no_reason(name: str, span: Span) -> Diagnostic:
    """A suppression of an error without a reason."""
    return Diagnostic(
        RULE,
        f"`{name}` is an error here, and not suppressed without a reason",
        span,
        help="say why behind the `]`",
    )


def no_rule_named(span: Span, fix: Fix | None) -> Diagnostic:
    """A comment for routec that suppresses no rule at all."""
    help = "write `# routec: ignore[CODE] reason`, with the code or the name of a rule"
    return Diagnostic(RULE, "this comment names no rule to ignore", span, help=help, fix=fix)
