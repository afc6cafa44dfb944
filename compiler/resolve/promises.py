"""Asserts: conditions that may also speak of the decision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from routec.compiler import policy as p
from routec.compiler.expr import Variable
from routec.compiler.resolve.conditions import Conditions
from routec.compiler.resolve.context import Context
from routec.compiler.resolve.signals import Signals
from routec.compiler.rules.type_mismatch import type_mismatch
from routec.compiler.rules.unknown_name import unknown_name
from routec.compiler.types import BOOL, COUNT, SHARE, Kind, Type, enum_of, set_of
from routec.dsl import ast

_MONEY = Type(Kind.FLOAT, low=Decimal(0))
_OVERFLOW = "context_overflow"


@dataclass(frozen=True, slots=True)
class Decision:
    """Finds what a reference to the decision reads.

    ``model`` and ``fallback`` read any model that the decision names (``fallback`` only the
    retry plan), with the model's keys as members; ``reject``, ``redact`` and ``cached`` alone
    are bools; compared, ``reject`` is the guard and ``redact`` the redacted signals.
    """

    context: Context
    compared: frozenset[int]

    def variable(self, ref: ast.Ref) -> Variable | None:
        """What the reference reads; reported and ``None`` where it reads nothing."""
        context = self.context
        if ref.name in ("model", "fallback"):
            return self._model(ref)
        if ref.member is not None:
            context.report(
                type_mismatch(
                    f"`{ref.name}` has no member `{ref.member}`",
                    ref.member_span or ref.span,
                    f"write `{ref.name}`",
                )
            )
            return None
        bare = ref.span.start not in self.compared
        match ref.name:
            case "route":
                return self._read("route", None, enum_of(tuple(context.syntax_routes)))
            case "category":
                names = (*context.syntax_categories, "none")
                return self._read("category", None, enum_of(names))
            case "reject" if not bare:
                guards = (*context.syntax_guards, _OVERFLOW)
                return self._read("reject", "guard", enum_of(guards))
            case "redact" if not bare:
                names = tuple(n for n, s in context.signals.items() if s.kind == "entities")
                return self._read("redact", "signal", set_of(names or ("none",)))
            case _:
                return self._read(ref.name, None, BOOL)

    def _read(self, name: str, member: str | None, type_: Type) -> Variable:
        return Variable("decision", name, member, type_)

    def _model(self, ref: ast.Ref) -> Variable | None:
        models = self.context.models.values()
        if ref.member is None:
            return self._read(ref.name, None, enum_of(tuple(m.name for m in models)))
        types: dict[str, Type] = {
            "provider": _words(m.provider for m in models),
            "region": _words(m.region for m in models),
            "name": _words(m.target for m in models),
            "endpoint": _words(m.endpoint for m in models),
            "tags": set_of(tuple(dict.fromkeys(t for m in models for t in m.tags)) or ("none",)),
            "input": _MONEY,
            "output": _MONEY,
            "latency": _MONEY,
            "context": COUNT,
            "quality": SHARE,
        }
        for model in models:
            for key, value in model.extra.items():
                types.setdefault(key, self._extra(key, value))
        if ref.member not in types:
            span = ref.member_span or ref.span
            self.context.report(unknown_name("key of a model", ref.member, span, types))
            return None
        return self._read(ref.name, ref.member, types[ref.member])

    def _extra(self, key: str, value: str | bool | Decimal | tuple[str, ...]) -> Type:
        if isinstance(value, bool):
            return BOOL
        if isinstance(value, Decimal):
            return Type(Kind.FLOAT)
        values = [m.extra[key] for m in self.context.models.values() if key in m.extra]
        if isinstance(value, tuple):
            return set_of(
                tuple(dict.fromkeys(w for v in values if isinstance(v, tuple) for w in v))
            )
        return _words(v if isinstance(v, str) else None for v in values)


def _words(values: Iterable[str | None]) -> Type:
    return enum_of(tuple(dict.fromkeys(v for v in values if v is not None)) or ("none",))


def resolve_promises(
    context: Context, signals: Signals, asserts: Iterable[ast.Assert]
) -> tuple[p.Promise, ...]:
    """The asserts, in file order."""
    found = []
    for syntax in asserts:
        decision = Decision(context, frozenset(_compared(syntax.expr)))
        conditions = Conditions(context, signals.variable, decision.variable)
        condition = conditions.resolve(syntax.expr)
        found.append(
            p.Promise(syntax.text.value, syntax.mode == "never", condition, syntax.text.span)
        )
    return tuple(found)


def _compared(expr: ast.Expr) -> Iterable[int]:
    """Offsets of the references that are compared with something, rather than asked as a bool."""
    match expr:
        case ast.Compare():
            yield expr.left.span.start
            yield expr.right.span.start
        case ast.InList() | ast.InRange():
            yield expr.left.span.start
        case ast.InSet():
            yield expr.container.span.start
        case ast.SetCall():
            yield expr.target.span.start
        case ast.Not():
            yield from _compared(expr.operand)
        case ast.And() | ast.Or():
            for operand in expr.operands:
                yield from _compared(operand)
        case ast.Implies():
            yield from _compared(expr.left)
            yield from _compared(expr.right)
