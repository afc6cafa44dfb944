"""A route meets requests that none of its models holds, while another model could.

## What it does
Notes a route that some request takes which is larger than the context of every target and fallback
of the route, while another model of the policy has room for it. What the route's `max_tokens`
reserves for the answer counts. Requests are unbounded unless conditions on `tokens()` bound them.
Off unless selected.

## Why is this bad?
Such a request is rejected with 413 `context_overflow` although it could have been answered.

## Example
```route
model mini { provider: openai, context: 128k }
model long { provider: google, context: 1M }
default route rest { to mini }
```

## Use instead
```route
default route rest { to mini  fallback long }
```
"""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC303", "context-overflow", Severity.NOTE, __doc__)


def context_overflow(route: p.Route, tokens: int, larger: p.Model) -> Diagnostic:
    """A request of `tokens` tokens fits none of the route's models, but would fit `larger`."""
    return Diagnostic(
        RULE,
        f"`{route.name}` rejects a request of {tokens} tokens that `{larger.name}` could hold",
        route.span,
        help=f"add `fallback {larger.name}`, or bound `tokens()` in its condition",
        subjects=(route.name, larger.name),
        related=(Related("could hold it", larger.span, larger.name),),
    )
