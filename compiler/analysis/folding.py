"""Joining conditions some of which are constants, and what conditions read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from routec.compiler import policy as p
from routec.compiler.expr import Const, Expr, Table, Variable, variables


def conjunction(table: Table, parts: Iterable[Expr]) -> Expr:
    """All of them; constants are folded away."""
    kept: list[Expr] = []
    for part in parts:
        if not isinstance(part, Const):
            kept.append(part)
        elif not part.value:
            return table.const(False)
    return table.and_(kept)


def disjunction(table: Table, parts: Iterable[Expr]) -> Expr:
    """One of them; constants are folded away."""
    kept: list[Expr] = []
    for part in parts:
        if not isinstance(part, Const):
            kept.append(part)
        elif part.value:
            return table.const(True)
    return table.or_(kept)


def negation(table: Table, part: Expr) -> Expr:
    """Not this; a constant is folded."""
    return table.const(not part.value) if isinstance(part, Const) else table.not_(part)


def read_directly(signal: p.Signal) -> Iterator[Variable]:
    """What a derived signal reads; nothing for any other."""
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
            waiting += read_directly(signals[variable.name])
    return found


def readers(signals: Mapping[str, p.Signal], names: Iterable[str]) -> frozenset[str]:
    """These signals and every derived one that reads one of them.

    Args:
        signals: in an order in which derived ones follow what they read.
        names: some of them.
    """
    found = set(names)
    for name, signal in signals.items():
        if any(v.source == "signal" and v.name in found for v in read_directly(signal)):
            found.add(name)
    return frozenset(found)
