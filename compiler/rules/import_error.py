"""A file cannot be brought in.

## What it does
Reports an `import` or a `file("…")` that is missing or unreadable, and imports that form a cycle.

## Why is this bad?
The policy would be another one than the author reads.

## Example
```route
import "comon/signals.route"
```

## Use instead
```route
import "common/signals.route"
```
"""

from __future__ import annotations

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity
from routec.dsl.source import Span

RULE = rule("RC106", "import-error", Severity.ERROR, __doc__)


def import_error(
    message: str, span: Span, help: str | None = None, related: tuple[Related, ...] = ()
) -> Diagnostic:
    """What could not be read and why, said by the caller."""
    return Diagnostic(RULE, message, span, help=help, related=related)
