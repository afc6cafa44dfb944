"""Why a plan asks for what it asks."""

from __future__ import annotations

from collections.abc import Mapping

from routec.compiler.plan.costs import COSTLY
from routec.compiler.plan.kleene import Conditions
from routec.compiler.plan.ledger import Ledger
from routec.compiler.program import Program

NAMED = 3
"""Most rules that a reason names."""


def always_needed(conditions: Conditions, ledger: Ledger) -> Mapping[str, str]:
    """The costly signals that every one of the requests needed, each with the reason.

    Args:
        conditions: of the program, over the requests.
        ledger: of a simulation that walked the rules in order of meaning.
    """
    reasons: dict[str, str] = {}
    for at, signal in enumerate(conditions.program.signals):
        if signal.stage in COSTLY and ledger.known[at] == conditions.full:
            reasons[signal.name] = _reason(ledger.askers(at))
    return reasons


def _reason(asked: Mapping[str, int]) -> str:
    """In words; `asked` has the requests of every rule that asked."""
    names = sorted(asked, key=lambda asker: (-asked[asker].bit_count(), asker))
    kind, _, name = names[0].partition(" ")
    if len(names) == 1:
        return f"{kind} `{name}` reads it, and nothing cheaper settles that {kind}"
    told = [f"{kind} `{name}`" for kind, _, name in (one.partition(" ") for one in names)]
    more = len(told) - NAMED
    listed = ", ".join(told[:NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{listed} read it, and nothing cheaper settles all of them"


def stages_of(program: Program) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Stages that have signals, with those in the order of asking."""
    stages: dict[str, list[str]] = {}
    for at in program.plan.order:
        signal = program.signals[at]
        stages.setdefault(signal.stage, []).append(signal.name)
    return tuple((stage, tuple(names)) for stage, names in stages.items())
