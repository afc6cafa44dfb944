"""A name is used that nothing declares.

## What it does
Reports a signal, field, label, enum member, entity kind, model, pool, category, route or
guard that is not declared, with the nearest name that is.

## Why is this bad?
A misspelt name would silently switch a rule off.

## Example
```route
signal urgent = keyword("asap")
route fast priority 10 { when urgnt to mini }
```

## Use instead
```route
route fast priority 10 { when urgent to mini }
```
"""

from __future__ import annotations

from collections.abc import Iterable

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Severity
from routec.dsl.source import Span

RULE = rule("RC101", "unknown-name", Severity.ERROR, __doc__)


def unknown_name(what: str, name: str, span: Span, known: Iterable[str]) -> Diagnostic:
    """`name`, used as a `what` such as ``signal``, is not among the `known` ones."""
    known = sorted(set(known))
    near = nearest(name, known)
    if near is not None:
        help = f"did you mean `{near}`?"
    elif 0 < len(known) <= 8:
        help = "known here: " + ", ".join(f"`{k}`" for k in known)
    else:
        help = f"declare it, or name a declared {what}"
    return Diagnostic(RULE, f"unknown {what} `{name}`", span, help=help, subjects=(name,))


def self_reference(what: str, name: str, span: Span) -> Diagnostic:
    """The `let` or signal `name` is defined by itself."""
    return Diagnostic(
        RULE,
        f"{what} `{name}` depends on itself",
        span,
        help="define it by what it is made from",
        subjects=(name,),
    )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most likely meant, or ``None``."""
    from difflib import get_close_matches  # only errors pay for it

    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None
