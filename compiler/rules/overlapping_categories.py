"""Two categories claim a request with different cache terms.

## What it does
Reports two categories whose conditions some request meets together, on a route that leaves the
choice of the category to them, and whose terms differ (`similarity`, `max_error`, `ttl`, `quota`,
`scope`, `relax_to` or `examples`). The one written first applies.

## Why is this bad?
The terms of the second one are silently ignored for these requests: an answer is kept longer, or
shared more widely, than its category says.

## Example
```route
category code  { when topic == code,  similarity: 0.93, ttl: 7d,  scope: tenant }
category quick { when size < 500,     similarity: 0.97, ttl: 10m, scope: user }
```

## Use instead
```route
category code  { when topic == code and size >= 500,  similarity: 0.93, ttl: 7d,  scope: tenant }
category quick { when size < 500,                     similarity: 0.97, ttl: 10m, scope: user }
```
"""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC208", "overlapping-categories", Severity.WARNING, __doc__)


def overlapping_categories(first: p.Category, second: p.Category, differ: str) -> Diagnostic:
    """Some request meets both conditions; `first` stands first. `differ` names what differs."""
    return Diagnostic(
        RULE,
        f"`{first.name}` and `{second.name}` can claim the same request but have different "
        f"{differ}: `{first.name}` applies, for it comes first",
        second.span,
        help=f"exclude the requests of `{second.name}` from the condition of `{first.name}`, or "
        "give both the same terms",
        subjects=(second.name, first.name),
        related=(Related("comes first", first.span, first.name),),
    )
