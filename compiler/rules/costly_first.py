"""Every request pays for an expensive signal.

## What it does
Notes an embedding, classifier or external service without which no request at all can be decided. A
request needs a signal if its decision (guards, route and cache category, in the order of meaning)
stays open for as long as that signal is, whatever else is known of the request; a condition is open
in the sense of Kleene's three-valued logic. Signals that are answered by one call count as one: all
that read embeddings, and classifiers of one backend. Off unless selected.

## Why is this bad?
It may well be worth it. But the dearest calls are those that every request makes, and a cheap
condition in front of them often spares most.

## Example
```route
signal attack = classifier("jailbreak") { labels: [benign, jailbreak], on_error: jailbreak }
guard no_attacks { when attack.jailbreak >= 0.90  reject 403 "prompt_injection" }
```

## Use instead
```route
signal attack   = classifier("jailbreak") { labels: [benign, jailbreak], on_error: jailbreak }
signal override = keyword("ignore all previous instructions")
guard no_overrides priority 2 { when override  reject 403 "instruction_override" }
guard no_attacks   priority 1 { when attack.jailbreak >= 0.90  reject 403 "prompt_injection" }
```
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC401", "costly-first", Severity.NOTE, __doc__)


def costly_first(
    signals: Sequence[p.Signal], cost: Decimal, asking: p.Guard | p.Category | p.Route
) -> Diagnostic:
    """No request is decided without `signals`, one call of `cost` seconds; `asking` is the first
    rule that reads one of them."""
    named = ", ".join(f"`{s.name}`" for s in signals)
    what = type(asking).__name__.lower()
    return Diagnostic(
        RULE,
        f"every request pays for {named}, about {milliseconds(cost)}: none is decided without it",
        signals[0].span,
        help=f"narrow {what} `{asking.name}` by a field or a keyword, or reject or route some "
        "requests by these before it",
        subjects=tuple(s.name for s in signals),
        related=(Related("asks for it first", asking.span, asking.name),),
    )


def milliseconds(seconds: Decimal) -> str:
    """A duration in milliseconds, without zeros that say nothing."""
    digits = format(seconds * 1000, "f")
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + " ms"
