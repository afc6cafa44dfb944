"""A category that is shared by all sees data of one tenant.

## What it does
Reports a category with `scope: global` (or with no scope, which is the same) that some request
enters, if one of these holds, in this order:

1. its own condition reads a field that tells tenants apart, and requests with different values of
   that field enter it;
2. the same of the condition of a route that takes some of its requests with the cache on;
3. a request in which an `entities` signal of the policy finds something enters it while no guard
   redacts those kinds of entities.

A field tells tenants apart if a category is scoped by it, a route is `sticky by` it, a budget
counts `per` it, or its name is one of `tenant user customer account organisation organization org
workspace team`, or one of these followed by `_id`. What a condition reads through `let`, `score`
and `bands` counts. A condition that admits but one value of the field shares nothing between
tenants and is left alone.

## Why is this bad?
The cache answers a request with what another one was answered. With `scope: global` that other one
may be anybody's, and personal data in an answer then reaches a stranger.

## Example
```route
signal pii = entities(email, iban)
category letters { when topic == billing, similarity: 0.93, ttl: 1d, scope: global }
```

## Use instead
```route
signal pii = entities(email, iban)
category letters { when topic == billing and pii.empty, similarity: 0.93, ttl: 1d, scope: global }
category own     { when topic == billing,               similarity: 0.93, ttl: 1d, scope: tenant }
```
"""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC302", "leaky-scope", Severity.WARNING, __doc__)


def reads_field(category: p.Category, field: p.Field, route: p.Route | None) -> Diagnostic:
    """Its condition reads a field of tenants, or that of a `route` that takes its requests."""
    if route is None:
        where = "depends on"
        related: tuple[Related, ...] = ()
    else:
        where = f"keeps answers of route `{route.name}`, which depends on"
        related = (Related("takes its requests", route.span, route.name),)
    return Diagnostic(
        RULE,
        f"`{category.name}` is shared by all but {where} `{field.name}`",
        category.span,
        help=f"write `scope: {field.name}`, or leave `{field.name}` out of the condition",
        subjects=(category.name, field.name),
        related=(*related, Related("tells tenants apart", field.span, field.name)),
    )


def takes_entities(category: p.Category, signal: p.Signal, scope: str | None) -> Diagnostic:
    """Requests in which `signal` finds something enter it unredacted."""
    narrower = f"`and {signal.name}.empty` to its condition, or a guard that redacts it"
    return Diagnostic(
        RULE,
        f"`{category.name}` is shared by all but keeps answers to requests with `{signal.name}` "
        "in them",
        category.span,
        help=f"write `scope: {scope or 'FIELD'}`, or add {narrower}",
        subjects=(category.name, signal.name),
        related=(Related("finds what is not redacted", signal.span, signal.name),),
    )
