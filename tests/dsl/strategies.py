"""Random syntax trees, their text, and trees without places.

`modules()` draws trees, `unparse` writes one as policy text, and `bare` drops the
places so that trees can be compared: for every drawn tree,
``bare(parse(unparse(tree)).module) == bare(tree)``.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from routec.dsl import Source, ast
from routec.dsl.table import load_table

NOWHERE = Source("", "").span(0, 0)

RESERVED = frozenset(
    word for word, terminal in load_table().words.items() if terminal not in load_table().soft
)

_NAMES = [
    "a", "b", "topic", "legal", "x_1", "_y", "score", "bands", "off", "when_load", "nothing",
    "orders", "k", "m", "route_2", "none", "any", "int", "per",
]  # fmt: skip
# The long name of a unit's suffix, and what it multiplies by.
_SUFFIXES: dict[str, tuple[ast.Unit, Decimal]] = {
    "": ("number", Decimal(1)),
    "k": ("number", Decimal(1000)),
    "M": ("number", Decimal(1000000)),
    "%": ("percent", Decimal("0.01")),
    "ms": ("duration", Decimal("0.001")),
    "s": ("duration", Decimal(1)),
    "m": ("duration", Decimal(60)),
    "h": ("duration", Decimal(3600)),
    "d": ("duration", Decimal(86400)),
    "$": ("money", Decimal(1)),
}


def bare(node: Any) -> Any:
    """A tree as nested tuples, without places and without comments."""
    if isinstance(node, tuple):
        return tuple(bare(item) for item in node)
    if not dataclasses.is_dataclass(node):
        return node
    skipped = ("span", "member_span", "comments")
    fields = (f.name for f in dataclasses.fields(node) if f.name not in skipped)
    return (type(node).__name__, *((name, bare(getattr(node, name))) for name in fields))


# --- trees ------------------------------------------------------------------

names = st.sampled_from(_NAMES) | st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in RESERVED
)
idents = st.builds(ast.Ident, st.just(NOWHERE), names)
_characters = st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\u2028\u2029")
strings = st.builds(
    ast.String, st.just(NOWHERE), st.text(_characters | st.sampled_from('"\\\n\t\x00'), max_size=12)
)
bools = st.builds(ast.Bool, st.just(NOWHERE), st.booleans())


@st.composite
def numbers(
    draw: st.DrawFn, suffixes: tuple[str, ...] = tuple(_SUFFIXES), signed: bool = True
) -> ast.Number:
    suffix = draw(st.sampled_from(suffixes))
    whole = draw(st.integers(0, 10**6))
    digits = draw(
        st.sampled_from([str(whole), f"{whole}.5", f".{whole}", f"{whole}.0625", f"{whole}.0"])
    )
    unit, factor = _SUFFIXES[suffix]
    value = Decimal(digits) * factor
    text = f"${digits}" if suffix == "$" else digits + suffix
    if signed and draw(st.integers(0, 4)) == 0:
        return ast.Number(NOWHERE, value.copy_negate(), unit, f"-{text}")
    return ast.Number(NOWHERE, value, unit, text)


regexes = st.builds(
    ast.Regex,
    st.just(NOWHERE),
    st.sampled_from(["a", "/", r"\bTKT-[0-9]{6}\b", "a/b#c", r"\\/", '"', r"\d+\.\d"]),
    st.sampled_from(["", "i", "ms", "smi"]),
)


@st.composite
def refs(draw: st.DrawFn, keywords: bool = False) -> ast.Ref:
    decided = ["model", "route", "category", "reject", "redact", "cached", "fallback"]
    if keywords and draw(st.booleans()):
        name = draw(st.sampled_from(decided))
        return ast.Ref(NOWHERE, name, draw(st.none() | names))
    member = draw(st.none() | names | strings.map(lambda string: string.value))
    return ast.Ref(NOWHERE, draw(names), member)


def operands(keywords: bool = False) -> st.SearchStrategy[Any]:
    return refs(keywords) | numbers() | strings | bools


def _atoms(keywords: bool) -> st.SearchStrategy[Any]:
    operand = operands(keywords)
    operator = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    at = st.just(NOWHERE)
    items = st.lists(operand, max_size=3).map(tuple)
    plain = st.lists(operands(), max_size=3).map(tuple)
    return (
        refs(keywords)
        | bools
        | st.builds(ast.Compare, at, operand, operator, operand)
        | st.builds(ast.InList, at, operand, items)
        | st.builds(ast.InRange, at, operand, operand, operand)
        | st.builds(ast.InSet, at, operand, refs(keywords))
        | st.builds(ast.SetCall, at, idents, idents, plain)
    )


def conditions(promise: bool = False) -> st.SearchStrategy[Any]:
    """Conditions; with `promise`, those that an assert may hold."""
    at = st.just(NOWHERE)

    def extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        grown = (
            st.builds(ast.Not, at, inner)
            | st.builds(ast.And, at, several)
            | st.builds(ast.Or, at, several)
        )
        return grown | st.builds(ast.Implies, at, inner, inner) if promise else grown

    return st.recursive(_atoms(promise), extend, max_leaves=6)


@st.composite
def terms(draw: st.DrawFn) -> ast.Term:
    coefficient = draw(numbers(("", "k"), signed=True)).value
    if draw(st.integers(0, 3)) == 0:
        return ast.Term(NOWHERE, coefficient, None)
    if draw(st.integers(0, 3)) == 0:
        coefficient = Decimal(1)
    operand = draw(refs() | conditions())
    return ast.Term(NOWHERE, coefficient, operand)


_members = st.lists(idents | strings, max_size=3).map(tuple)
_enums = st.builds(ast.TypeExpr, st.just(NOWHERE), st.just("enum"), _members)
_plain_types = st.builds(
    ast.TypeExpr, st.just(NOWHERE), st.sampled_from(["bool", "int", "float", "string", "word"])
)
_sets = st.builds(
    ast.TypeExpr, st.just(NOWHERE), st.just("set"), st.just(()), _enums | _plain_types
)
types = _plain_types | _enums | _sets


def values() -> st.SearchStrategy[Any]:
    at = st.just(NOWHERE)
    relax = st.builds(ast.Relax, at, numbers(), numbers())
    files = st.builds(ast.File, at, strings)
    leaves = refs() | strings | numbers() | regexes | bools | files | _enums | _sets | relax
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(ast.List, at, st.lists(inner, max_size=3).map(tuple))
            | st.builds(
                ast.Map,
                at,
                st.lists(st.builds(ast.Entry, at, idents, inner), max_size=2).map(tuple),
            )
        ),
        max_leaves=4,
    )


def _entries() -> st.SearchStrategy[Any]:
    entry = st.builds(ast.Entry, st.just(NOWHERE), idents, values())
    return st.lists(entry, max_size=3).map(tuple)


@st.composite
def signals(draw: st.DrawFn) -> ast.Signal:
    form = draw(st.sampled_from(["plain", "score", "bands"]))
    name = draw(idents)
    args = draw(st.lists(values(), max_size=3).map(tuple))
    if form == "score":
        found = tuple(draw(st.lists(terms(), min_size=1, max_size=3)))
        return ast.Signal(NOWHERE, name, ast.Ident(NOWHERE, "score"), (), terms=found)
    if form == "bands":
        sign: Any = st.sampled_from(["<", "<="])
        bounded = st.builds(ast.Band, st.just(NOWHERE), idents, sign, numbers())
        last = st.builds(ast.Band, st.just(NOWHERE), idents, st.none(), st.none())
        bands = draw(st.lists(bounded | last, min_size=1, max_size=3).map(tuple))
        return ast.Signal(NOWHERE, name, ast.Ident(NOWHERE, "bands"), args, bands=bands)
    kind = draw(idents.filter(lambda kind: kind.name not in ("score", "bands")))
    return ast.Signal(NOWHERE, name, kind, args, draw(_entries()))


_tags = st.builds(ast.Tag, st.just(NOWHERE), strings)
_headers = st.builds(ast.SetHeader, st.just(NOWHERE), strings, strings)


def _statements() -> st.SearchStrategy[Any]:
    at = st.just(NOWHERE)
    arguments = st.lists(st.builds(ast.Entry, at, idents, values()), max_size=2).map(tuple)
    selector = st.none() | st.builds(ast.Selector, at, idents, arguments)
    share = st.builds(ast.Share, at, idents, st.none() | numbers())
    target = idents | st.lists(share, min_size=1, max_size=3).map(tuple)
    category = idents.filter(lambda ident: ident.name != "off")
    return (
        st.builds(ast.To, at, target, selector)
        | st.builds(ast.Fallback, at, st.lists(idents, min_size=1, max_size=3).map(tuple))
        | st.builds(ast.Cache, at, st.none() | category)
        | st.builds(ast.With, at, _entries())
        | st.builds(ast.Sticky, at, idents)
        | st.builds(ast.Shadow, at, idents, numbers())
        | _tags
        | _headers
    )


@st.composite
def routes(draw: st.DrawFn) -> ast.Route:
    default = draw(st.booleans())
    return ast.Route(
        NOWHERE,
        draw(idents),
        None if default else draw(st.none() | numbers()),
        default,
        draw(st.none() | conditions()),
        draw(st.lists(_statements(), max_size=3).map(tuple)),
    )


def declarations() -> st.SearchStrategy[Any]:
    """Any declaration."""
    at = st.just(NOWHERE)
    when = st.none() | conditions()
    status = numbers(("", "k"), signed=False)
    action = (
        st.builds(ast.Reject, at, status, strings)
        | st.builds(ast.Redact, at, idents)
        | _tags
        | _headers
    )
    field = st.builds(ast.Field, at, idents, types, st.none() | strings, st.none() | values())
    expect = (
        st.builds(ast.Expect, at, st.sampled_from(["route", "reject", "model", "category"]), idents)
        | st.builds(ast.Expect, at, st.just("tag"), strings)
        | st.builds(ast.Expect, at, st.just("redact"), st.none())
    )
    pins = st.lists(st.builds(ast.Pin, at, refs(), values()), max_size=3).map(tuple)
    priority = st.none() | numbers()
    return st.one_of(
        st.builds(ast.Import, at, strings),
        st.builds(ast.Policy, at, idents, st.none() | strings, _entries()),
        st.builds(ast.Request, at, st.lists(field, max_size=3).map(tuple)),
        signals(),
        st.builds(ast.Let, at, idents, conditions()),
        st.builds(ast.Model, at, idents, _entries()),
        st.builds(ast.Pool, at, idents, st.lists(idents, max_size=3).map(tuple)),
        st.builds(ast.Category, at, idents, when, _entries()),
        st.builds(ast.Guard, at, idents, priority, when, st.lists(action, max_size=2).map(tuple)),
        routes(),
        st.builds(ast.Budget, at, idents, _entries()),
        st.builds(
            ast.Assert, at, strings, st.sampled_from(["never", "always"]), conditions(promise=True)
        ),
        st.builds(ast.Test, at, strings, _entries(), pins, st.lists(expect, max_size=3).map(tuple)),
    )


def modules(max_size: int = 4) -> st.SearchStrategy[ast.Module]:
    """Whole files."""
    found = st.lists(declarations(), max_size=max_size).map(tuple)
    return st.builds(ast.Module, st.just(NOWHERE), found, st.just(()))


# --- text -------------------------------------------------------------------


def quote(value: str) -> str:
    """A string literal."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(c) or _printable(c) for c in value) + '"'


def _printable(character: str) -> str:
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"


def unparse(node: Any) -> str:
    """The text of a tree, one declaration a line."""
    if isinstance(node, ast.Module):
        return "".join(f"{unparse(declaration)}\n" for declaration in node.declarations)
    writer = _WRITERS[type(node)]
    text: str = writer(node)
    return text


def _ref(node: ast.Ref) -> str:
    if node.member is None:
        return node.name
    member = node.member
    plain = member.isascii() and member.isidentifier() and member == member.lower()
    if plain and member not in RESERVED:
        return f"{node.name}.{member}"
    return f"{node.name}[{quote(member)}]"


# A condition is written in parentheses wherever a looser one stands inside a tighter.
_BINDING: dict[type, int] = {ast.Implies: 0, ast.Or: 1, ast.And: 2, ast.Not: 3}


def _inside(node: Any, binding: int) -> str:
    text = unparse(node)
    return f"({text})" if _BINDING.get(type(node), 4) < binding else text


def _many(nodes: tuple[Any, ...], separator: str = ", ") -> str:
    return separator.join(unparse(node) for node in nodes)


def _block(nodes: tuple[Any, ...], when: Any = None) -> str:
    parts = [] if when is None else [f"when {unparse(when)}"]
    return "{ " + ", ".join([*parts, *(unparse(node) for node in nodes)]) + " }"


def _optional(prefix: str, node: Any) -> str:
    return "" if node is None else f"{prefix}{unparse(node)}"


def _term(node: ast.Term) -> str:
    sign = "-" if node.coefficient.is_signed() else "+"
    size = f"{node.coefficient.copy_abs():f}"
    if node.operand is None:
        return f"{sign} {size}"
    operand = unparse(node.operand)
    return f"{sign} {size} * {operand if isinstance(node.operand, ast.Ref) else f'({operand})'}"


def _type(node: ast.TypeExpr) -> str:
    if node.name == "set":
        return f"set({unparse(node.element)})"
    return f"enum({_many(node.members)})" if node.name == "enum" else node.name


def _field(node: ast.Field) -> str:
    ending = _optional(" from ", node.path) + _optional(" = ", node.default)
    return f"{node.name.name}: {unparse(node.type)}{ending}"


def _signal(node: ast.Signal) -> str:
    head = f"signal {node.name.name} = {node.kind.name}"
    if node.terms:
        return f"{head} {{ {_many(node.terms, ' ')} }}"
    args = f"({_many(node.args)})"
    return f"{head}{args} {_block(node.bands if node.bands else node.options)}"


def _to(node: ast.To) -> str:
    target = node.target
    to = f"[{_many(target)}]" if isinstance(target, tuple) else target.name
    return f"to {to}{_optional(' by ', node.selector)}"


def _route(node: ast.Route) -> str:
    head = "default route" if node.default else "route"
    priority = _optional(" priority ", node.priority)
    return f"{head} {node.name.name}{priority} {_block(node.body, node.when)}"


def _test(node: ast.Test) -> str:
    parts = f"request {_block(node.request)} with {_block(node.pins)} {_many(node.expects, ' ')}"
    return f"test {unparse(node.text)} {{ {parts} }}"


_WRITERS: dict[type, Any] = {
    ast.Ident: lambda n: n.name,
    ast.String: lambda n: quote(n.value),
    ast.Number: lambda n: n.text,
    ast.Regex: lambda n: (
        "/"
        + n.pattern.replace(r"\\", "\0").replace("/", r"\/").replace("\0", r"\\")
        + "/"
        + n.flags
    ),
    ast.Bool: lambda n: "true" if n.value else "false",
    ast.File: lambda n: f"file({unparse(n.path)})",
    ast.Ref: _ref,
    ast.Compare: lambda n: f"{unparse(n.left)} {n.op} {unparse(n.right)}",
    ast.InList: lambda n: f"{unparse(n.left)} in [{_many(n.items)}]",
    ast.InRange: lambda n: f"{unparse(n.left)} in {unparse(n.low)}..{unparse(n.high)}",
    ast.InSet: lambda n: f"{unparse(n.item)} in {unparse(n.container)}",
    ast.SetCall: lambda n: f"{n.target.name}.{n.method.name}({_many(n.args)})",
    ast.Not: lambda n: f"not {_inside(n.operand, 3)}",
    ast.And: lambda n: " and ".join(_inside(x, 3) for x in n.operands),
    ast.Or: lambda n: " or ".join(_inside(x, 2) for x in n.operands),
    ast.Implies: lambda n: f"{_inside(n.left, 1)} implies {unparse(n.right)}",
    ast.Term: _term,
    ast.List: lambda n: f"[{_many(n.items)}]",
    ast.Share: lambda n: n.target.name + _optional(" ", n.share),
    ast.Map: lambda n: _block(n.entries),
    ast.TypeExpr: _type,
    ast.Relax: lambda n: f"{unparse(n.similarity)} when_load > {unparse(n.load)}",
    ast.Entry: lambda n: f"{n.key.name}: {unparse(n.value)}",
    ast.Import: lambda n: f"import {unparse(n.path)}",
    ast.Policy: lambda n: f"policy {n.name.name}{_optional(' ', n.text)} {_block(n.entries)}",
    ast.Field: _field,
    ast.Request: lambda n: f"request {_block(n.fields)}",
    ast.Band: lambda n: n.name.name if n.op is None else f"{n.name.name}: {n.op} {n.bound.text}",
    ast.Signal: _signal,
    ast.Let: lambda n: f"let {n.name.name} = {unparse(n.expr)}",
    ast.Model: lambda n: f"model {n.name.name} {_block(n.entries)}",
    ast.Pool: lambda n: f"pool {n.name.name} = [{_many(n.members)}]",
    ast.Category: lambda n: f"category {n.name.name} {_block(n.entries, n.when)}",
    ast.Reject: lambda n: f"reject {unparse(n.status)} {unparse(n.reason)}",
    ast.Redact: lambda n: f"redact {n.signal.name}",
    ast.Tag: lambda n: f"tag {unparse(n.value)}",
    ast.SetHeader: lambda n: f"set {unparse(n.header)} = {unparse(n.value)}",
    ast.Guard: lambda n: (
        f"guard {n.name.name}{_optional(' priority ', n.priority)} {_block(n.actions, n.when)}"
    ),
    ast.Selector: lambda n: f"{n.name.name}({_many(n.args)})",
    ast.To: _to,
    ast.Fallback: lambda n: f"fallback {_many(n.models, ' -> ')}",
    ast.Cache: lambda n: f"cache {n.category.name if n.category else 'off'}",
    ast.With: lambda n: f"with {_block(n.entries)}",
    ast.Sticky: lambda n: f"sticky by {n.field.name}",
    ast.Shadow: lambda n: f"shadow to {n.model.name} {unparse(n.share)}",
    ast.Route: _route,
    ast.Budget: lambda n: f"budget {n.name.name} {_block(n.entries)}",
    ast.Assert: lambda n: f"assert {unparse(n.text)} {{ {n.mode} {unparse(n.expr)} }}",
    ast.Pin: lambda n: f"{unparse(n.target)}: {unparse(n.value)}",
    ast.Expect: lambda n: f"expect {n.kind}{_optional(' ', n.value)}",
    ast.Test: _test,
}
