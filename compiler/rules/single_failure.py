"""With one provider down, some request ends without a target.

## What it does
Notes a route that some request takes which would have no model if one provider were down: because
all of the route's models are there, or because those elsewhere are too small for the request.
Requests that no model of the route holds anyway do not count, and models that state no `provider`
never go down. Off unless selected; under `policy … { survive: one_provider }` it is an error and
always on.

## Why is this bad?
When that provider is down these requests get no answer.

## Example
```route
policy desk { survive: one_provider }
model opus { provider: anthropic, context: 200k }
model mini { provider: openai,    context: 128k }
default route rest { to opus  fallback mini }
```

## Use instead
```route
policy desk { survive: one_provider }
model opus { provider: anthropic, context: 200k }
model gpt  { provider: openai,    context: 200k }
default route rest { to opus  fallback gpt }
```
"""

from __future__ import annotations

from collections.abc import Sequence

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC306", "single-failure", Severity.NOTE, __doc__)


def single_failure(
    route: p.Route, provider: str, down: Sequence[p.Model], size: int | None, *, demanded: bool
) -> Diagnostic:
    """Without the models `down`, which are at `provider`, the route has none.

    `size` is that of a request that the others cannot hold; ``None`` where there are no others.
    `demanded` is whether the policy demands to survive it.
    """
    why = "" if size is None else f" for a request of {size} tokens"
    return Diagnostic(
        RULE,
        f"without `{provider}`, `{route.name}` has no model left{why}",
        route.span,
        help="add a fallback at another provider"
        + ("" if size is None else " with as large a context"),
        subjects=(route.name, *(m.name for m in down)),
        related=tuple(Related(f"is at `{provider}`", m.span, m.name) for m in down),
        level=Severity.ERROR if demanded else None,
    )
