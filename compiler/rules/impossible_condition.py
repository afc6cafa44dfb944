"""No request meets a condition.

## What it does
Reports the condition of a route, guard, category or `let` that contradicts itself, and names the
smallest set of its parts that clash.

## Why is this bad?
The rule never acts. In a guard that is a hole.

## Example
```route
guard late { when hour_now > 18 and hour_now < 6  reject 403 "closed" }
```

## Use instead
```route
guard late { when hour_now > 18 or hour_now < 6  reject 403 "closed" }
```
"""

from __future__ import annotations

from collections.abc import Sequence

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity
from routec.dsl.source import Span

RULE = rule("RC203", "impossible-condition", Severity.ERROR, __doc__)


def impossible_condition(what: str, name: str, parts: Sequence[tuple[str, Span]]) -> Diagnostic:
    """The condition of the `what` called `name`; `parts` clash, given as written."""
    first, *others = parts
    if not others:
        clash = f"`{first[0]}` never holds"
    else:
        texts = [f"`{text}`" for text, _ in parts]
        clash = f"{', '.join(texts[:-1])} and {texts[-1]} exclude each other"
    return Diagnostic(
        RULE,
        f"no request meets the condition of {what} `{name}`: {clash}",
        first[1],
        help="change one of these parts, or join them with `or`"
        if others
        else "change it or remove it",
        subjects=(name,),
        related=tuple(Related("clashes with this", span) for _, span in others),
    )
