"""A route can never be taken.

## What it does
Reports a route whose own condition some request meets, but whose every such request is rejected
by a guard or taken by a route of higher priority. Names a smallest set of guards and routes that
together cover it, the most blaming first, even where no single one does.

## Why is this bad?
The route is dead: whoever wrote it believes that it works.

## Example
```route
route short priority 90 { when size < 2k   to mini }
route long  priority 80 { when size >= 1k  to opus }
route code  priority 70 { when has_code    to coder }
```

## Use instead
```route
route code  priority 95 { when has_code    to coder }
route short priority 90 { when size < 2k   to mini }
route long  priority 80 { when size >= 1k  to opus }
```
"""

from __future__ import annotations

from collections.abc import Sequence

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC202", "unreachable-route", Severity.ERROR, __doc__)


def unreachable_route(route: p.Route, cover: Sequence[p.Guard | p.Route]) -> Diagnostic:
    """`cover` takes or rejects every request that meets the route's condition."""
    names = [f"`{c.name}`" for c in cover]
    if len(names) == 1:
        by = f"{names[0]} covers it"
    else:
        by = f"{', '.join(names[:-1])} and {names[-1]} together cover it"
    related = []
    for part in cover:
        rejects = isinstance(part, p.Guard)
        related.append(Related("rejects these" if rejects else "covers it", part.span, part.name))
    top = max((c.priority for c in cover if isinstance(c, p.Route)), default=None)
    if route.default:
        help = "narrow what covers it, or make that the default route"
    elif top is None:
        help = "remove it, or narrow what covers it"
    else:
        help = f"raise its priority above {top}, narrow what covers it, or remove it"
    return Diagnostic(
        RULE,
        f"`{route.name}` can never be chosen: {by}",
        route.span,
        help=help,
        subjects=(route.name,),
        related=tuple(related),
    )
