"""Conditions: names bound, types checked, rewritten to atoms over variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from routec.compiler.expr import Expr, Variable
from routec.compiler.policy import Condition
from routec.compiler.resolve.context import Context
from routec.compiler.resolve.options import describe, in_bounds, word
from routec.compiler.rules.out_of_range import out_of_range
from routec.compiler.rules.type_mismatch import type_mismatch
from routec.compiler.rules.unknown_name import self_reference, unknown_name
from routec.compiler.types import Kind, Type
from routec.dsl import ast
from routec.dsl.diagnostic import Diagnostic

_FLIPPED: dict[ast.Operator, ast.Operator] = {
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
    "==": "==",
    "!=": "!=",
}

Lookup = Callable[[ast.Ref], Variable | None]
"""Finds what a reference reads; reports and answers ``None`` where it reads nothing."""


class _Wrong(Exception):
    """A finding was reported; the condition around it has no meaning."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Resolves conditions.

    Attributes:
        context: the resolution's state.
        variable: finds fields and signals, resolving those on demand.
        decision: finds what asserts may say of a decision; ``None`` outside asserts.
    """

    context: Context
    variable: Lookup
    decision: Lookup | None = None

    def resolve(self, syntax: ast.Expr) -> Condition:
        """The condition; a wrong part is reported and the whole counts as false."""
        try:
            return Condition(self._expr(syntax), syntax)
        except _Wrong:
            return Condition(self.context.table.const(False), syntax)

    def let(self, name: str) -> Condition:
        """A `let`, resolved once; one that depends on itself is reported."""
        context = self.context
        found = context.lets.get(name)
        if found is None:
            syntax = context.syntax_lets[name]
            key = f"let {name}"
            if key in context.in_progress:
                context.report(self_reference("let", name, syntax.name.span))
                found = Condition(context.table.const(False), syntax.expr)
            else:
                context.in_progress.add(key)
                found = self.resolve(syntax.expr)
                context.in_progress.discard(key)
            context.lets.setdefault(name, found)
        return found

    def _fail(self, finding: Diagnostic) -> _Wrong:
        self.context.report(finding)
        return _Wrong()

    def _all(self, parts: Iterable[ast.Expr]) -> list[Expr]:
        """Resolve every part before giving up, so that no finding hides another."""
        found: list[Expr] = []
        wrong = False
        for part in parts:
            try:
                found.append(self._expr(part))
            except _Wrong:
                wrong = True
        if wrong:
            raise _Wrong
        return found

    def _expr(self, syntax: ast.Expr) -> Expr:
        found = self._meaning(syntax)
        self.context.meanings[syntax] = found
        return found

    def _meaning(self, syntax: ast.Expr) -> Expr:
        table = self.context.table
        match syntax:
            case ast.Bool():
                return table.const(syntax.value)
            case ast.Not():
                return table.not_(self._expr(syntax.operand))
            case ast.And():
                return table.and_(self._all(syntax.operands))
            case ast.Or():
                return table.or_(self._all(syntax.operands))
            case ast.Implies():
                left, right = self._all((syntax.left, syntax.right))
                return table.or_((table.not_(left), right))
            case ast.Ref():
                return self._reference(syntax)
            case ast.Compare():
                return self._compare(syntax)
            case ast.InList():
                return self._in_list(syntax)
            case ast.InRange():
                variable = self._read(syntax.left)
                low = self._number(variable, syntax.low)
                high = self._number(variable, syntax.high)
                if low > high:
                    raise self._fail(
                        out_of_range(
                            f"the range `{_text(syntax.low)}..{_text(syntax.high)}` is empty",
                            syntax.low.span.to(syntax.high.span),
                            "put the smaller end first",
                        )
                    )
                return table.and_(
                    (table.compare(variable, ">=", low), table.compare(variable, "<=", high))
                )
            case ast.InSet():
                variable = self._set(self._read(syntax.container), syntax.container)
                return table.contains(variable, self._member(variable, syntax.item))
            case ast.SetCall():
                return self._set_call(syntax)

    def _reference(self, ref: ast.Ref) -> Expr:
        table = self.context.table
        if ref.name in self.context.syntax_lets:
            if ref.member is not None:
                raise self._fail(
                    type_mismatch(
                        f"`{ref.name}` is a condition and has no member `{ref.member}`",
                        ref.member_span or ref.span,
                        f"write `{ref.name}`",
                    )
                )
            if ref.name in self.context.broken:
                raise _Wrong
            return self.let(ref.name).expr
        if ref.member == "empty":
            plain = ast.Ref(ref.span, ref.name)
            variable = self._read(plain)
            if variable.type.kind is Kind.SET:
                return table.empty(variable)
        variable = self._read(ref)
        if variable.type.kind is not Kind.BOOL:
            raise self._fail(
                type_mismatch(
                    f"`{variable}` is of type {variable.type}, not a condition",
                    ref.span,
                    _how_to_compare(variable),
                )
            )
        return table.truth(variable)

    def _read(self, operand: ast.Operand) -> Variable:
        if not isinstance(operand, ast.Ref):
            raise self._fail(
                type_mismatch(
                    f"{describe(operand)} is no value of the request",
                    operand.span,
                    "compare a field or a signal with a constant",
                )
            )
        if operand.name in self.context.broken:
            raise _Wrong
        variable = self._find(operand)
        if variable is None:
            raise _Wrong
        return variable

    def _find(self, ref: ast.Ref) -> Variable | None:
        if self.decision is not None and ref.name in _DECISION:
            return self.decision(ref)
        if ref.name in self.context.syntax_lets:
            raise self._fail(
                type_mismatch(
                    f"`{ref.name}` is a condition, not a value to compare",
                    ref.span,
                    f"write `{ref.name}` or `not {ref.name}`",
                )
            )
        return self.variable(ref)

    def _declared(self, operand: ast.Operand) -> bool:
        if not isinstance(operand, ast.Ref):
            return False
        if self.decision is not None and operand.name in _DECISION:
            return True
        return operand.name in self.context.readable()

    def _compare(self, syntax: ast.Compare) -> Expr:
        left, op, right = syntax.left, syntax.op, syntax.right
        if not self._declared(left) and (
            self._declared(right) or (not isinstance(left, ast.Ref) and isinstance(right, ast.Ref))
        ):
            left, op, right = right, _FLIPPED[op], left
        variable = self._read(left)
        if self._declared(right) and not self._is_member(variable, right):
            raise self._fail(
                type_mismatch(
                    f"`{variable}` is compared with `{_text(right)}`, another value of the request",
                    syntax.span,
                    "compare with a constant",
                )
            )
        table = self.context.table
        if op == "==":
            return self._equals(variable, right)
        if op == "!=":
            return table.not_(self._equals(variable, right))
        if not variable.type.numeric:
            raise self._fail(
                type_mismatch(
                    f"`{variable}` is of type {variable.type} and has no order",
                    syntax.span,
                    _how_to_compare(variable),
                )
            )
        return table.compare(variable, op, self._number(variable, right))

    def _equals(self, variable: Variable, constant: ast.Operand) -> Expr:
        table = self.context.table
        match variable.type.kind:
            case Kind.BOOL:
                if not isinstance(constant, ast.Bool):
                    raise self._fail(
                        type_mismatch(
                            f"`{variable}` is a bool, compared with {describe(constant)}",
                            constant.span,
                            f"write `{variable}` or `not {variable}`",
                        )
                    )
                truth = table.truth(variable)
                return truth if constant.value else table.not_(truth)
            case Kind.INT | Kind.FLOAT:
                return table.compare(variable, "==", self._number(variable, constant))
            case Kind.SET if variable.source == "decision":
                return table.contains(variable, self._member(variable, constant))
            case Kind.SET:
                raise self._fail(
                    type_mismatch(
                        f"`{variable}` is a set and has many values",
                        constant.span,
                        _how_to_compare(variable),
                    )
                )
            case _:
                return table.equals(variable, self._member(variable, constant))

    def _in_list(self, syntax: ast.InList) -> Expr:
        variable = self._read(syntax.left)
        if not syntax.items:
            raise self._fail(
                out_of_range("the list is empty", syntax.span, "give at least one value")
            )
        found: list[Expr] = []
        wrong = False
        for item in syntax.items:
            try:
                found.append(self._equals(variable, item))
            except _Wrong:
                wrong = True
        if wrong:
            raise _Wrong
        return self.context.table.or_(found)

    def _set_call(self, syntax: ast.SetCall) -> Expr:
        target = ast.Ref(syntax.target.span, syntax.target.name)
        variable = self._set(self._read(target), target)
        method = syntax.method.name
        if method not in ("any", "all"):
            raise self._fail(
                unknown_name("set operation", method, syntax.method.span, ("any", "all", "empty"))
            )
        if not syntax.args:
            raise self._fail(
                out_of_range(f"`{method}` has no values", syntax.span, "give at least one value")
            )
        table = self.context.table
        parts: list[Expr] = []
        wrong = False
        for arg in syntax.args:
            try:
                parts.append(table.contains(variable, self._member(variable, arg)))
            except _Wrong:
                wrong = True
        if wrong:
            raise _Wrong
        return table.or_(parts) if method == "any" else table.and_(parts)

    def _set(self, variable: Variable, ref: ast.Ref) -> Variable:
        if variable.type.kind is not Kind.SET:
            raise self._fail(
                type_mismatch(
                    f"`{variable}` is of type {variable.type}, not a set",
                    ref.span,
                    _how_to_compare(variable),
                )
            )
        return variable

    def _is_member(self, variable: Variable, operand: ast.Operand) -> bool:
        return word(operand) in variable.type.members

    def _member(self, variable: Variable, constant: ast.Operand) -> str:
        """A constant of an enum, a label, a string, or an element of a set."""
        members = variable.type.members
        text = word(constant)
        if members:
            if text is None:
                raise self._fail(
                    type_mismatch(
                        f"`{variable}` is of type {variable.type}, compared with "
                        f"{describe(constant)}",
                        constant.span,
                        _how_to_compare(variable),
                    )
                )
            if text not in members:
                raise self._fail(
                    unknown_name(f"value of `{variable}`", text, constant.span, members)
                )
            return text
        if not isinstance(constant, ast.String):
            help = f'write it as a string: `"{text}"`' if text else "compare with a string"
            raise self._fail(
                type_mismatch(
                    f"`{variable}` is of type {variable.type}, compared with {describe(constant)}",
                    constant.span,
                    help,
                )
            )
        return constant.value

    def _number(self, variable: Variable, constant: ast.Operand) -> Decimal:
        kind = variable.type
        if (
            not kind.numeric
            or not isinstance(constant, ast.Number)
            or constant.unit not in _units(variable)
        ):
            raise self._fail(
                type_mismatch(
                    f"`{variable}` is of type {kind}, compared with {describe(constant)}",
                    constant.span,
                    _how_to_compare(variable),
                )
            )
        if not in_bounds(
            self.context, constant, f"the value compared with `{variable}`", kind.low, kind.high
        ):
            raise _Wrong
        return constant.value


_DECISION = ("model", "route", "category", "reject", "redact", "cached", "fallback")


def _units(variable: Variable) -> tuple[str, ...]:
    if variable.source == "decision":
        return ("number", "percent", "money", "duration")
    return ("number", "percent") if variable.type.kind is Kind.FLOAT else ("number",)


def _text(operand: ast.Operand) -> str:
    match operand:
        case ast.Ref():
            return operand.name if operand.member is None else f"{operand.name}.{operand.member}"
        case ast.Number():
            return operand.text
        case ast.String():
            return operand.value
        case ast.Bool():
            return "true" if operand.value else "false"


def _how_to_compare(variable: Variable) -> str:
    kind: Type = variable.type
    first = kind.members[0] if kind.members else "x"
    match kind.kind:
        case Kind.BOOL:
            return f"write `{variable}` or `not {variable}`"
        case Kind.INT | Kind.FLOAT:
            sample = kind.high if kind.high is not None else Decimal(10)
            half = sample / 2 if kind.kind is Kind.FLOAT else sample // 2
            return f"compare it with a number, for example `{variable} >= {half}`"
        case Kind.ENUM:
            return f"compare it with one of its values, for example `{variable} == {first}`"
        case Kind.STRING:
            return f'compare it with a string, for example `{variable} == "{first}"`'
        case Kind.SET:
            value = first if kind.members else '"x"'
            return f"ask `{variable}.any({value})`, `{variable}.all({value})` or `{variable}.empty`"
