"""A name is declared twice.

## What it does
Reports the second declaration of a name, a key given twice in one block, or a statement
that may stand once, and shows the first.

## Why is this bad?
One of the two would silently win.

## Example
```route
signal urgent = keyword("asap")
signal urgent = keyword("right now")
```

## Use instead
```route
signal urgent = keyword("asap", "right now")
```
"""

from __future__ import annotations

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity
from routec.dsl.source import Span

RULE = rule("RC102", "duplicate-name", Severity.ERROR, __doc__)


def duplicate_name(what: str, name: str, span: Span, first: Span | None) -> Diagnostic:
    """`name` is already declared at `first` (``None`` for a name of the language's own)."""
    if first is None:
        return Diagnostic(
            RULE,
            f"{what} `{name}` has a name of the language's own",
            span,
            help="choose another name",
            subjects=(name,),
        )
    return Diagnostic(
        RULE,
        f"{what} `{name}` is declared twice",
        span,
        help="rename or remove one of the two",
        subjects=(name,),
        related=(Related("first declared here", first, name),),
    )
