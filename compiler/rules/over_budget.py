"""The worst path costs more time than the policy allows itself.

## What it does
Reports a policy whose dearest request costs more than `policy … { p99: … }`. The cost of a request
is that of all signals it needs (see `costly-first`), one after the other, at these defaults:

| signals | cost |
|---|---|
| scan: keywords, regular expressions, structure, clocks; one pass for all | 10 µs |
| light: `language`, `entities`; each | 100 µs |
| embed: `similarity`, `contrast`, `repeated`; one call for all | 5 ms |
| model: each backend of classifiers | 8 ms, or their `timeout` if that is less |
| remote: each `external` service | its `timeout`, or 50 ms |

Only what a request needs under every order of evaluation is counted, so the finding stands whatever
the planner does.

## Why is this bad?
The promise of the policy's head cannot be kept for such requests.

## Example
```route
policy desk { p99: 10ms }
guard no_attacks { when attack.jailbreak >= 0.90  reject 403 "prompt_injection" }
route legal priority 10 { when topic == legal  to opus }
```

## Use instead
```route
policy desk { p99: 20ms }
```
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from routec.compiler.rules.costly_first import milliseconds
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity
from routec.dsl.source import Span

RULE = rule("RC402", "over-budget", Severity.WARNING, __doc__)


def over_budget(
    name: str,
    span: Span,
    allowed: Decimal,
    total: Decimal,
    calls: Sequence[tuple[str, Decimal, Span]],
) -> Diagnostic:
    """A request needs all `calls`, dearest first, each with its cost in seconds.

    `total` includes the scan; `span` is where the policy says what it allows.
    """
    parts = ", ".join(f"`{call}` {milliseconds(cost)}" for call, cost, _ in calls)
    return Diagnostic(
        RULE,
        f"the worst path costs about {milliseconds(total)}, more than the "
        f"{milliseconds(allowed)} of `p99`: {parts}",
        span,
        help="allow more, or spare these requests a signal by a cheaper condition before it",
        subjects=(name, *(call for call, _, _ in calls)),
        related=tuple(
            Related(f"costs about {milliseconds(cost)}", place, call) for call, cost, place in calls
        ),
    )
