"""No value can fall into a band.

## What it does
Reports a band whose bounds are not ascending, or that lies outside what its score can reach.

## Why is this bad?
Rules that ask for the band never act.

## Example
```route
signal band = bands(need) { low: < 0.7, mid: < 0.3, high }
```

## Use instead
```route
signal band = bands(need) { low: < 0.3, mid: < 0.7, high }
```
"""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Severity

RULE = rule("RC210", "empty-band", Severity.ERROR, __doc__)


def empty_band(signal: str, band: p.Band, of: str) -> Diagnostic:
    """No value of `of` falls into `band` of the bands signal `signal`."""
    return Diagnostic(
        RULE,
        f"no value of `{of}` falls into band `{band.name}`",
        band.span,
        help="put the bounds in ascending order, within what the score can reach",
        subjects=(signal, band.name),
    )
