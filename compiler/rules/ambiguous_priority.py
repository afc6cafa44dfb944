"""Two routes of one priority claim the same request and decide differently.

## What it does
Reports two routes of equal priority whose effective conditions some request meets, where the
routes differ in anything but their conditions and names. The witness is such a request.

## Why is this bad?
Which of the two decides would depend on their order in the file, which nobody reads as meaning.

## Example
```route
route code priority 10 { when topic == code  to opus }
route long priority 10 { when size > 8k      to mini }
```

## Use instead
```route
route code priority 20 { when topic == code  to opus }
route long priority 10 { when size > 8k      to mini }
```
"""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC201", "ambiguous-priority", Severity.ERROR, __doc__)


def ambiguous_priority(first: p.Route, second: p.Route, differ: str) -> Diagnostic:
    """`second` meets `first`, which stands earlier in the file; they differ in `differ`."""
    return Diagnostic(
        RULE,
        f"`{second.name}` and `{first.name}` have priority {first.priority} and can claim the same "
        f"request, but {differ}",
        second.span,
        help="give one of them a higher priority, or let its condition exclude the other's",
        subjects=(second.name, first.name),
        related=(Related("claims it too", first.span, first.name),),
    )
