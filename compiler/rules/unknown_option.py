"""A block has a key that means nothing there.

## What it does
Reports an option that the kind of declaration does not have, with the nearest one that it has.

## Why is this bad?
An option that is silently dropped looks as if it worked.

## Example
```route
signal urgent = keyword("asap") { mode: word }
```

## Use instead
```route
signal urgent = keyword("asap") { match: word }
```
"""

from __future__ import annotations

from collections.abc import Iterable

from routec.compiler.rules.page import rule
from routec.compiler.rules.unknown_name import nearest
from routec.dsl.diagnostic import Diagnostic, Severity
from routec.dsl.source import Span

RULE = rule("RC104", "unknown-option", Severity.ERROR, __doc__)


def unknown_option(owner: str, key: str, span: Span, known: Iterable[str]) -> Diagnostic:
    """`owner`, such as ``a keyword signal``, has no option `key`."""
    known = sorted(set(known))
    near = nearest(key, known)
    if near is not None:
        help = f"did you mean `{near}`?"
    elif known:
        help = "it has " + ", ".join(f"`{k}`" for k in known)
    else:
        help = "it takes none; remove it"
    return Diagnostic(RULE, f"{owner} has no option `{key}`", span, help=help, subjects=(key,))
