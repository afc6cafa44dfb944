"""Which signals depend on which."""

from __future__ import annotations

from collections.abc import Iterable

from routec.compiler import policy as p
from routec.compiler.expr import Variable, variables


def guarded_signals(policy: p.Policy) -> set[str]:
    """Signals that some guard depends on, directly or through derived signals."""
    found: set[str] = set()
    waiting = [v for guard in policy.guards for v in variables(guard.when.expr)]
    while waiting:
        variable = waiting.pop()
        if variable.source != "signal" or variable.name in found:
            continue
        found.add(variable.name)
        waiting.extend(inputs(policy.signals[variable.name]))
    return found


def inputs(signal: p.Signal) -> Iterable[Variable]:
    """What a derived signal reads; nothing for the others."""
    definition = signal.definition
    if isinstance(definition, p.Bands):
        yield definition.variable
    elif isinstance(definition, p.Score):
        for summand in definition.summands:
            if summand.variable is not None:
                yield summand.variable
            if summand.condition is not None:
                yield from variables(summand.condition)
