"""Which signals depend on which, and what conditions read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from routec.compiler import policy as p
from routec.compiler.expr import Expr, Variable, variables


def inputs(signal: p.Signal) -> Iterator[Variable]:
    """What a derived signal reads; nothing for the others."""
    definition = signal.definition
    if isinstance(definition, p.Bands):
        yield definition.variable
    elif isinstance(definition, p.Score):
        for summand in definition.summands:
            if summand.variable is not None:
                yield summand.variable
            elif summand.condition is not None:
                yield from variables(summand.condition)


def reads(signals: Mapping[str, p.Signal], expr: Expr) -> dict[str, Variable]:
    """Fields and signals a condition reads, by name, those behind derived signals included."""
    found: dict[str, Variable] = {}
    waiting = list(variables(expr))
    while waiting:
        variable = waiting.pop(0)
        if variable.name in found:
            continue
        found[variable.name] = variable
        if variable.source == "signal":
            waiting += inputs(signals[variable.name])
    return found


def readers(signals: Mapping[str, p.Signal], names: Iterable[str]) -> frozenset[str]:
    """These signals and every derived one that reads one of them.

    Args:
        signals: in an order in which derived ones follow what they read.
        names: some of them.
    """
    found = set(names)
    for name, signal in signals.items():
        if any(v.source == "signal" and v.name in found for v in inputs(signal)):
            found.add(name)
    return frozenset(found)


def guarded_signals(policy: p.Policy) -> set[str]:
    """Signals that some guard depends on, directly or through derived signals."""
    read: dict[str, Variable] = {}
    for guard in policy.guards:
        read |= reads(policy.signals, guard.when.expr)
    return {name for name, variable in read.items() if variable.source == "signal"}
