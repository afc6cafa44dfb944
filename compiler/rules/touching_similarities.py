"""Two similarity signals decide between routes of one priority, and a text can be near to both.

## What it does
Reports two routes of one priority that decide differently and meet only where two similarity or
contrast signals pass their thresholds at once, if the regions of these signals meet on the sphere
of all vectors. Names the cosine of the nearest examples, and the smallest threshold that separates
the signals. Needs the vectors of the examples: `routec lock` writes them beside the policy.

## Why is this bad?
Each route alone asks for texts near to its own examples. Where the regions meet, nothing says
which route a text between the two belongs to. That a vector lies there does not mean that some
text has it, so this is a warning; routes that certainly meet are an error (`ambiguous-priority`).

## Example
```route
signal refund = similarity { examples: ["I want my money back"] }
signal cancel = similarity { examples: ["please cancel my order"] }
route refunds  priority 50 { when refund >= 0.7   to mini }
route cancels  priority 50 { when cancel >= 0.7   to opus }
```

## Use instead
```route
route refunds  priority 60 { when refund >= 0.7   to mini }
route cancels  priority 50 { when cancel >= 0.7   to opus }
```
"""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity

RULE = rule("RC213", "touching-similarities", Severity.WARNING, __doc__)


def touching_similarities(
    first: p.Route,
    second: p.Route,
    signals: tuple[p.Signal, p.Signal],
    cosine: float | None,
    separating: float | None,
) -> Diagnostic:
    """The routes meet where both signals, the first route's first, pass their thresholds.

    `cosine` is that of their nearest examples, where they have such; `separating` is the smallest
    threshold, in thousandths, from which on no vector passes both.
    """
    one, other = signals
    lie = "" if cosine is None else f": their nearest examples have cosine {cosine:.2f}"
    if separating is None:
        help = "no threshold separates them: give the routes different priorities"
    else:
        help = (
            f"thresholds of {separating:g} and above keep the two apart; "
            "or give the routes different priorities"
        )
    return Diagnostic(
        RULE,
        f"`{second.name}` and `{first.name}` have priority {first.priority}, and a text can be "
        f"near to both `{other.name}` and `{one.name}`{lie}",
        second.span,
        help=help,
        subjects=(second.name, first.name),
        related=(
            Related("has the same priority", first.span, first.name),
            Related(f"decides for `{first.name}`", one.span, one.name),
            Related(f"decides for `{second.name}`", other.span, other.name),
        ),
    )
