"""Request fields, types, and constants of a type."""

from __future__ import annotations

from collections.abc import Iterable

from routec.compiler import policy as p
from routec.compiler.resolve.context import Context
from routec.compiler.resolve.options import describe, in_bounds, word
from routec.compiler.rules.duplicate_name import duplicate_name
from routec.compiler.rules.out_of_range import out_of_range
from routec.compiler.rules.type_mismatch import type_mismatch
from routec.compiler.rules.unknown_name import unknown_name
from routec.compiler.types import BOOL, FLOAT, INT, STRING, Kind, Plain, Type, enum_of, set_of
from routec.dsl import ast

_SIMPLE = {"bool": BOOL, "int": INT, "float": FLOAT, "string": STRING}
_TYPES = (*_SIMPLE, "enum", "set")
RESERVED = ("text", "messages")
"""What a test's request fills beside the fields."""


def resolve_fields(context: Context, blocks: Iterable[ast.Request]) -> None:
    """All request fields into ``context.fields``; wrong ones are reported and marked broken."""
    for block in blocks:
        for syntax in block.fields:
            name = syntax.name.name
            if name in RESERVED:
                context.report(duplicate_name("field", name, syntax.name.span, None))
                context.broken.add(name)
                continue
            if name in context.fields:
                first = context.fields[name].span
                context.report(duplicate_name("field", name, syntax.name.span, first))
                continue
            type_ = resolve_type(context, syntax.type)
            if type_ is None:
                context.broken.add(name)
                continue
            default: Plain | None = frozenset() if type_.kind is Kind.SET else None
            if syntax.default is not None:
                default = constant(context, f"the default of `{name}`", syntax.default, type_)
            context.fields[name] = p.Field(
                name, type_, _path(context, syntax), default, syntax.name.span
            )


def _path(context: Context, syntax: ast.Field) -> tuple[str, ...] | None:
    if syntax.path is None:
        return None
    parts = tuple(syntax.path.value.split("."))
    if not all(parts):
        context.report(
            out_of_range(
                f"`{syntax.path.value}` is no path",
                syntax.path.span,
                'name members separated by dots, such as "user.tier"',
            )
        )
        return None
    return parts


def resolve_type(context: Context, syntax: ast.Value | None) -> Type | None:
    """A type expression's type; a wrong one is reported."""
    if syntax is None:
        return None
    if isinstance(syntax, ast.Ref) and syntax.member is None:
        syntax = ast.TypeExpr(syntax.span, syntax.name)
    if not isinstance(syntax, ast.TypeExpr):
        context.report(type_mismatch(f"{describe(syntax)} is not a type", syntax.span))
        return None
    if syntax.name in _SIMPLE:
        return _SIMPLE[syntax.name]
    if syntax.name == "enum":
        members = tuple(m.name if isinstance(m, ast.Ident) else m.value for m in syntax.members)
        named = zip(members, (m.span for m in syntax.members), strict=True)
        context.unique("enum member", named)
        if not members:
            context.report(
                out_of_range("the enum has no members", syntax.span, "name at least one")
            )
            return None
        return enum_of(tuple(dict.fromkeys(members)))
    if syntax.name == "set" and syntax.element is not None:
        element = resolve_type(context, syntax.element)
        if element is None:
            return None
        if element.kind in (Kind.STRING, Kind.ENUM):
            return set_of(element.members)
        context.report(
            type_mismatch(
                f"a set of {element} is not supported",
                syntax.element.span,
                "use `set(string)` or `set(enum(…))`",
            )
        )
        return None
    context.report(unknown_name("type", syntax.name, syntax.span, _TYPES))
    return None


def constant(context: Context, what: str, value: ast.Value, type_: Type) -> Plain | None:
    """A constant of this type; anything else is reported and ``None``."""
    match type_.kind, value:
        case Kind.BOOL, ast.Bool():
            return value.value
        case Kind.INT, ast.Number(unit="number") if value.value == value.value.to_integral_value():
            return (
                int(value.value) if in_bounds(context, value, what, type_.low, type_.high) else None
            )
        case Kind.FLOAT, ast.Number(unit="number" | "percent"):
            return (
                float(value.value)
                if in_bounds(context, value, what, type_.low, type_.high)
                else None
            )
        case Kind.STRING, ast.String():
            return value.value
        case Kind.ENUM, ast.Ref() | ast.String():
            return _member(context, what, value, type_)
        case Kind.SET, ast.List():
            found = [_element(context, what, item, type_) for item in value.items]
            return None if None in found else frozenset(f for f in found if f is not None)
    context.report(
        type_mismatch(
            f"{what} is {describe(value)}, not of type {type_}", value.span, _sample(type_)
        )
    )
    return None


def _member(context: Context, what: str, value: ast.Value, type_: Type) -> str | None:
    text = word(value)
    if text is None or text not in type_.members:
        shown = text if text is not None else describe(value).strip("`")
        context.report(unknown_name(f"value in {what}", shown, value.span, type_.members))
        return None
    return text


def _element(context: Context, what: str, item: ast.Value, type_: Type) -> str | None:
    if type_.members:
        return _member(context, what, item, type_)
    if isinstance(item, ast.String):
        return item.value
    context.report(
        type_mismatch(f"{what} has {describe(item)}, not a string", item.span, 'write `"…"`')
    )
    return None


def _sample(type_: Type) -> str:
    match type_.kind:
        case Kind.BOOL:
            return "use `true` or `false`"
        case Kind.INT:
            return "use a whole number"
        case Kind.FLOAT:
            return "use a number"
        case Kind.STRING:
            return 'use a string, in `"…"`'
        case Kind.ENUM:
            return f"use one of its values, for example `{type_.members[0]}`"
        case Kind.SET:
            inner = type_.members[0] if type_.members else '"x"'
            return f"use a list, for example `[{inner}]`"
