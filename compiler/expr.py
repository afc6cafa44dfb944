"""Resolved conditions: hash-consed, so that equal conditions are one object.

`Table` is the only maker of expressions. Within one table two expressions are
equal exactly when they are identical, and every one has a number. A table may
build upon expressions of another one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from routec.compiler.types import Type

Source = Literal["field", "signal", "decision"]
Op = Literal["<", "<=", ">", ">=", "=="]


@dataclass(frozen=True, slots=True)
class Variable:
    """Something a condition can read.

    Attributes:
        source: a request field, a signal, or (in asserts) the decision itself.
        name: its name.
        member: a classifier's label, ``confidence`` of a language, a model's key; else ``None``.
        type: type of the value read.
    """

    source: Source
    name: str
    member: str | None
    type: Type

    def __str__(self) -> str:
        if self.member is None:
            return self.name
        plain = self.member.isidentifier() and self.member.islower()
        return f"{self.name}.{self.member}" if plain else f'{self.name}["{self.member}"]'


@dataclass(frozen=True, slots=True, eq=False)
class Const:
    """Always true, or always false."""

    id: int
    value: bool


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The variable, a bool, is true."""

    id: int
    variable: Variable


@dataclass(frozen=True, slots=True, eq=False)
class Compare:
    """The variable, a number, stands in this relation to an exact constant."""

    id: int
    variable: Variable
    op: Op
    value: Decimal


@dataclass(frozen=True, slots=True, eq=False)
class Equals:
    """The variable, a string, enum or label, is this value."""

    id: int
    variable: Variable
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Contains:
    """The variable, a set, holds this value."""

    id: int
    variable: Variable
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Empty:
    """The variable, a set, is empty."""

    id: int
    variable: Variable


@dataclass(frozen=True, slots=True, eq=False)
class Not:
    """The operand is false."""

    id: int
    operand: Expr


@dataclass(frozen=True, slots=True, eq=False)
class And:
    """All operands are true."""

    id: int
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Or:
    """Some operand is true."""

    id: int
    operands: tuple[Expr, ...]


Atom = Truth | Compare | Equals | Contains | Empty
Expr = Const | Atom | Not | And | Or


class Table:
    """Makes and numbers expressions; ids count from 0 in order of making, operands first."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[object, ...], Expr] = {}

    def __iter__(self) -> Iterator[Expr]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def const(self, value: bool) -> Expr:
        """A constant."""
        return self._intern(("const", value), lambda i: Const(i, value))

    def truth(self, variable: Variable) -> Expr:
        """A bool variable."""
        return self._intern(("truth", variable), lambda i: Truth(i, variable))

    def compare(self, variable: Variable, op: Op, value: Decimal) -> Expr:
        """A number compared with a constant."""
        value = value.normalize()
        return self._intern(
            ("compare", variable, op, value), lambda i: Compare(i, variable, op, value)
        )

    def equals(self, variable: Variable, value: str) -> Expr:
        """A string, enum or label against one value."""
        return self._intern(("equals", variable, value), lambda i: Equals(i, variable, value))

    def contains(self, variable: Variable, value: str) -> Expr:
        """Membership in a set."""
        return self._intern(("contains", variable, value), lambda i: Contains(i, variable, value))

    def empty(self, variable: Variable) -> Expr:
        """Emptiness of a set."""
        return self._intern(("empty", variable), lambda i: Empty(i, variable))

    def not_(self, operand: Expr) -> Expr:
        """Negation; a double negation is the operand itself."""
        if isinstance(operand, Not):
            return operand.operand
        return self._intern(("not", operand), lambda i: Not(i, operand))

    def and_(self, operands: Iterable[Expr]) -> Expr:
        """Conjunction; of none it is true, of one it is that one."""
        parts = tuple(dict.fromkeys(operands))
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return self.const(True)
        return self._intern(("and", *parts), lambda i: And(i, parts))

    def or_(self, operands: Iterable[Expr]) -> Expr:
        """Disjunction; of none it is false, of one it is that one."""
        parts = tuple(dict.fromkeys(operands))
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return self.const(False)
        return self._intern(("or", *parts), lambda i: Or(i, parts))

    def _intern(self, key: tuple[object, ...], make: Callable[[int], Expr]) -> Expr:
        node = self._nodes.get(key)
        if node is None:
            node = make(len(self._nodes))
            self._nodes[key] = node
        return node


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and all its parts, each once, outermost first."""
    seen: set[Expr] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(reversed(operands(node)))


def operands(expr: Expr) -> tuple[Expr, ...]:
    """What a connective joins; nothing for atoms and constants."""
    if isinstance(expr, Not):
        return (expr.operand,)
    return expr.operands if isinstance(expr, And | Or) else ()


def bottom_up(expr: Expr, done: Container[Expr]) -> Iterator[Expr]:
    """The parts of an expression that are not `done`, operands before what uses them.

    Whoever iterates adds each part to `done` before asking for the next. Expressions may nest
    deeper than Python's stack.
    """
    stack = [expr]
    while stack:
        top = stack[-1]
        waiting = [] if top in done else [part for part in operands(top) if part not in done]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        if top not in done:
            yield top


def variables(expr: Expr) -> tuple[Variable, ...]:
    """The variables an expression reads, each once, in order of first mention."""
    found = [
        n.variable for n in walk(expr) if isinstance(n, Truth | Compare | Equals | Contains | Empty)
    ]
    return tuple(dict.fromkeys(found))
