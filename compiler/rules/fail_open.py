"""A guard lets requests past while a signal fails.

## What it does
Reports a rejecting guard and a signal that can fail, on which the guard depends directly or through
`let`, `score` or `bands`, if some request that the guard rejects is rejected by no guard at all
once that signal takes its `on_error` value and everything else stays as it is. `similarity` and
`contrast` fail into 0 and `repeated` into false unless they say otherwise.

## Why is this bad?
Overloading the classifier is then all that it takes to get past the guard: it opens exactly when it
is under attack.

## Example
```route
signal attack = classifier("jailbreak") { labels: [benign, jailbreak], on_error: benign }
guard no_attacks { when attack.jailbreak >= 0.90  reject 403 "prompt_injection" }
```

## Use instead
```route
signal attack = classifier("jailbreak") { labels: [benign, jailbreak], on_error: jailbreak }
guard no_attacks { when attack.jailbreak >= 0.90  reject 403 "prompt_injection" }
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.compiler.types import Scores, Value
from routec.dsl.diagnostic import Diagnostic, Related, Severity

if TYPE_CHECKING:
    from routec.compiler.interpreter import Decision

RULE = rule("RC301", "fail-open", Severity.WARNING, __doc__)


def fail_open(guard: p.Guard, signal: p.Signal, otherwise: Decision) -> Diagnostic:
    """What `guard` rejects is decided `otherwise` when `signal` fails."""
    assert signal.on_error is not None
    value = written(signal.on_error)
    if otherwise.route is not None:
        then = f"then takes route `{otherwise.route}`"
    else:
        then = f"is then stopped only by `{otherwise.reason}`"
    return Diagnostic(
        RULE,
        f"`{guard.name}` does not reject while `{signal.name}` fails: it counts as `{value}`, and "
        f"a request that should be rejected {then}",
        guard.span,
        help=f"give `{signal.name}` an `on_error` for which `{guard.name}` rejects",
        subjects=(guard.name, signal.name),
        related=(Related(f"counts as `{value}` when it fails", signal.span, signal.name),),
    )


def written(value: Value) -> str:
    """A value as a policy writes it; a classifier's is its label."""
    match value:
        case Scores():
            return value.label
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case frozenset():
            return "[" + ", ".join(sorted(value)) + "]"
        case _:
            return str(value)
