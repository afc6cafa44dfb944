"""A test of the policy fails.

## What it does
Reports a `test` block whose request is decided otherwise than it expects, or that needs a
signal which it does not pin.

## Why is this bad?
The policy does not do what its author promised.

## Example
```route
test "refunds go to an expert" {
  request { text: "I want my money back" }
  with    { refund: 0.2 }
  expect  route refunds
}
```

## Use instead
```route
test "refunds go to an expert" {
  request { text: "I want my money back" }
  with    { refund: 0.9 }
  expect  route refunds
}
```
"""

from __future__ import annotations

from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Severity
from routec.dsl.source import Span

RULE = rule("RC501", "test-failed", Severity.ERROR, __doc__)


def failing_test(text: str, message: str, span: Span, help: str | None = None) -> Diagnostic:
    """The test that says `text` fails for the reason in `message`; `span` is the expectation."""
    return Diagnostic(RULE, message, span, help=help, subjects=(text,))
