"""A threshold of a similarity that no text can reach.

## What it does
Reports a comparison of a `similarity` or `contrast` signal that the vector of no text satisfies,
with the most, or the least, that it can be; and a condition that asks for similarities that no
vector has together. Needs the vectors of the examples: `routec lock` writes them beside the policy.

## Why is this bad?
The rule is dead, and nothing in the policy's text shows it. The mean of examples that differ is
short: the cosine of any text to it stays below its length.

## Example
```route
signal billing = similarity { examples: ["pay my bill", "who won the match"], reduce: mean }
route bills priority 10 { when billing >= 0.9   to mini }
```

## Use instead
```route
signal billing = similarity { examples: ["pay my bill", "settle an invoice"], reduce: max }
route bills priority 10 { when billing >= 0.9   to mini }
```
"""

from __future__ import annotations

from collections.abc import Sequence

from routec.compiler import policy as p
from routec.compiler.rules.page import rule
from routec.dsl.diagnostic import Diagnostic, Related, Severity
from routec.dsl.source import Span

RULE = rule("RC214", "impossible-similarity", Severity.ERROR, __doc__)


def unreachable_threshold(
    signal: p.Signal, written: str, span: Span, most: bool, extreme: float, fails: bool
) -> Diagnostic:
    """No text satisfies a comparison.

    Args:
        signal: what is compared.
        written: the comparison.
        span: where it stands.
        most: whether the signal is always below the threshold, else always above.
        extreme: the most, or the least, that it can be.
        fails: whether its failure value satisfies the comparison.
    """
    # Towards what can be reached, so that the advice is one that helps.
    shown = (int(extreme * 1000) if most == (extreme > 0) else round(extreme * 1000)) / 1000
    only = ", only its failure value does" if fails else ""
    match signal.definition:
        case p.Similarity(reduce="mean"):
            other = "use `reduce: max`, or examples that are nearer to each other"
        case p.Contrast():
            other = "use examples that differ more"
        case _:
            other = "use other examples"
    return Diagnostic(
        RULE,
        f"no text satisfies `{written}`{only}: `{signal.name}` is at "
        f"{'most' if most else 'least'} {shown:g}",
        span,
        help=f"{'lower' if most else 'raise'} the threshold, or {other}",
        subjects=(signal.name,),
        related=(Related("is declared here", signal.span, signal.name),),
    )


def impossible_together(
    what: str, name: str, span: Span, parts: Sequence[tuple[str, Span]], signals: Sequence[p.Signal]
) -> Diagnostic:
    """The parts of a condition that no vector satisfies together, and the signals in them."""
    texts = [f"`{text}`" for text, _ in parts]
    named = [f"`{s.name}`" for s in signals]
    clash = " and ".join(texts)
    whose = " and ".join(named)
    return Diagnostic(
        RULE,
        f"no text satisfies the condition of {what} `{name}`: {clash} do not go together, by the "
        f"vectors of {whose}"
        if len(parts) > 1
        else f"no text satisfies the condition of {what} `{name}`, by the vectors of {whose}",
        span,
        help="lower a threshold, or use `or`",
        subjects=(name,),
        related=tuple(Related("clashes", part, None) for _, part in parts)
        + tuple(Related("has these examples", s.span, s.name) for s in signals),
    )
