"""The text does not follow the grammar.

## What it does
Says what was found and what was expected instead, at the place where the text stops making
sense. The block around it is left out; every other block is still read and checked.

## Why is this bad?
A policy that cannot be read as a whole cannot be proved or deployed, and guessing what was
meant could send requests where nobody wanted them.

## Example
```route
route refunds priority 100 {
  when
  to mini
}
```

## Use instead
```route
route refunds priority 100 {
  when topic == billing
  to mini
}
```
"""

from __future__ import annotations

from routec.dsl.diagnostic import Diagnostic, Related, Rule, Severity
from routec.dsl.source import Span

RULE = Rule(code="RC001", name="syntax-error", severity=Severity.ERROR, page=__doc__ or "")


def syntax_error(
    message: str,
    span: Span,
    help: str | None = None,
    subjects: tuple[str, ...] = (),
    related: tuple[Related, ...] = (),
) -> Diagnostic:
    """A finding of this rule."""
    return Diagnostic(
        rule=RULE, message=message, span=span, help=help, subjects=subjects, related=related
    )
