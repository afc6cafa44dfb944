"""Joining conditions some of which are constants."""

from __future__ import annotations

from collections.abc import Iterable

from routec.compiler.expr import Const, Expr, Table


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
