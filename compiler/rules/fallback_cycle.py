"""A plan names a model twice.

## What it does
Reports a route whose plan, a target followed by the fallbacks, names one model twice: a fallback
that is also the target or among the candidates, or that stands twice in the chain.

## Why is this bad?
The second try meets the very model that has just failed. The engine leaves it out, so the plan is
shorter than it reads.

## Example
```route
route legal priority 10 { when topic == legal  to opus  fallback mini -> opus }
```

## Use instead
```route
route legal priority 10 { when topic == legal  to opus  fallback mini }
```

## Fix
Removes the mention that does nothing: a model that stands twice in the chain, or the only target
among its own fallbacks. A candidate of a pool among the fallbacks does something where another
candidate is chosen, so its removal is left to the author.
"""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Fix, Related, Severity
from routec.dsl.source import Span

RULE = rule("RC304", "fallback-cycle", Severity.ERROR, __doc__)


def fallback_cycle(
    route: p.Route, model: str, span: Span, first: Span | None, fix: Fix | None
) -> Diagnostic:
    """The fallback `model` at `span` was named before, at `first` where that is in the route."""
    target = model in route.selection.candidates
    if not target:
        earlier = "an earlier fallback"
    elif len(route.selection.candidates) > 1:
        earlier = "one of its candidates"
    else:
        earlier = "its target"
    related = () if first is None else (Related("named here first", first, model),)
    return Diagnostic(
        RULE,
        f"`{route.name}` falls back to `{model}`, which is already {earlier}",
        span,
        help="remove it from the fallbacks, or name another model",
        subjects=(route.name, model),
        related=related,
        fix=fix,
    )
