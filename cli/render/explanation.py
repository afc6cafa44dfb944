"""A decision for a person: what, why, why not otherwise, and what would change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routec.cli.describe import value_text
from routec.cli.flips import Flip, outcome
from routec.cli.render.styled import Line, Style, line
from routec.cli.text import visible
from routec.cli.why import Step
from routec.runtime.events.decision import Decision


def explanation(
    event: dict[str, Any],
    decision: Decision,
    path: Sequence[Step],
    why_not: Sequence[tuple[str, str]],
    flips: Sequence[Flip],
) -> list[Line]:
    """The lines to print.

    Args:
        event: the decision event.
        decision: the decision.
        path: the tests that were looked at.
        why_not: routes not taken, and why.
        flips: changes that lead elsewhere.
    """
    lines = [*_what(event, decision), line(), line("why", "strong")]
    rule = ""
    for step in path:
        if step.rule != rule:
            rule = step.rule
            lines.append(line(f"  {visible(rule)}"))
        lines.append(_step(step))
    if not path:
        lines.append(line("  nothing had to be tested"))
    if why_not:
        lines += [line(), line("why not", "strong")]
        lines += [((f"  route {name}: ", ""), (visible(why), "")) for name, why in why_not]
    lines += [line(), line("what would change it", "strong")]
    lines += [((f"  {visible(f.change)}: ", ""), (visible(f.outcome), "strong")) for f in flips]
    if not flips:
        lines.append(line("  no change of a single value"))
    return lines


def _what(event: dict[str, Any], decision: Decision) -> list[Line]:
    if decision.reject is not None:
        status = f" with {decision.reject.status} {visible(decision.reject.reason)}"
        lines: list[Line] = [((outcome(decision), "error"), (status, ""))]
    else:
        target = event["target"] or {}
        served = f" to {decision.model} ({target.get('provider') or 'any'} {target.get('name')})"
        lines = [((outcome(decision), "good"), (visible(served), ""))]
    selection = decision.selection
    if selection is not None:
        drawn = f", drawn with {selection.propensity:.0%}" if selection.propensity < 1 else ""
        among = ", ".join(selection.candidates)
        lines.append(line(f"  selected by {selection.by} among {among}{drawn}"))
    facts = {
        "fallbacks": " -> ".join(decision.fallbacks),
        "category": decision.category,
        "redacts": ", ".join(decision.redacting),
        "tags": ", ".join(decision.tags),
        "headers": ", ".join(f"{k}: {v}" for k, v in decision.headers.items()),
        "never computed": ", ".join(decision.skipped),
        "failed": ", ".join(f"{f.signal} ({f.reason})" for f in decision.failures),
    }
    lines += [line(f"  {name}: {visible(fact)}") for name, fact in facts.items() if fact]
    return lines


def _step(step: Step) -> Line:
    style: Style = "good" if step.holds else ""
    sign = {True: "yes", False: "no ", None: "-  "}[step.holds]
    read = "not needed" if step.value is None else visible(value_text(step.value))
    where = "" if step.source != "pinned" else " (pinned)"
    return ((f"    {sign} ", style), (visible(step.test), ""), (f"  is {read}{where}", "frame"))
