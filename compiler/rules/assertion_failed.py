"""A promise is broken.

## What it does
Reports an `assert` that some decision breaks, and shows the request and the decision.

## Why is this bad?
The policy does not keep what its author promised of every decision.

## Example
```route
route private priority 10 { when pii.any(iban)  to [local 90%, opus 10%] }
assert "account numbers stay in the house" { never pii.any(iban) and model.provider != vllm }
```

## Use instead
```route
route private priority 10 { when pii.any(iban)  to local }
assert "account numbers stay in the house" { never pii.any(iban) and model.provider != vllm }
```
"""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC209", "assertion-failed", Severity.ERROR, __doc__)


def assertion_failed(promise: p.Promise, by: p.Route | p.Guard, model: str | None) -> Diagnostic:
    """`by` decides a request against the promise, naming `model` where that matters."""
    what = "guard" if isinstance(by, p.Guard) else "route"
    named = "" if model is None else f", which names model `{model}`"
    return Diagnostic(
        RULE,
        f"the promise is broken by {what} `{by.name}`{named}",
        promise.span,
        help=f"narrow `{by.name}`, change where it sends requests, or correct the promise",
        subjects=(promise.text, by.name),
        related=(Related("decides against it", by.span, by.name),),
    )
