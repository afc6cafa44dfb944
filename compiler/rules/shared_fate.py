"""All fallbacks of a route fall with its target's provider.

## What it does
Reports a route with fallbacks if they and all its candidates are at one provider. Models that state
no `provider` are at no known one, and a fallback that repeats a candidate is left to
`fallback-cycle`.

## Why is this bad?
The commonest reason for a model to fail is that its provider is down, and then the fallbacks are
down with it.

## Example
```route
model opus   { provider: anthropic }
model sonnet { provider: anthropic }
route legal priority 10 { when topic == legal  to opus  fallback sonnet }
```

## Use instead
```route
route legal priority 10 { when topic == legal  to opus  fallback sonnet -> mini }
```
"""

from __future__ import annotations

from collections.abc import Sequence

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC305", "shared-fate", Severity.WARNING, __doc__)


def shared_fate(route: p.Route, provider: str, fallbacks: Sequence[p.Model]) -> Diagnostic:
    """All `fallbacks` of the route are at `provider`, as its candidates are."""
    one = len(fallbacks) == 1
    what = f"the fallback of `{route.name}` is" if one else f"all fallbacks of `{route.name}` are"
    return Diagnostic(
        RULE,
        f"{what} at `{provider}`, where its target is too",
        route.span,
        help="add a fallback at another provider",
        subjects=(route.name, *(m.name for m in fallbacks)),
        related=tuple(Related(f"is at `{provider}`", m.span, m.name) for m in fallbacks),
    )
