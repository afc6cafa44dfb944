"""The syntax tree: what the author wrote, with exact places and no meaning yet.

Every node has a `span`. Names are not resolved and units are kept: a later
stage decides whether `legal` in `topic == legal` is a label, a field or a
signal. Tuples keep the order of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from routec.dsl.source import Span

# --- leaves -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ident:
    """An identifier where only an identifier may stand."""

    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class String:
    """A string literal; `value` has its escapes resolved."""

    span: Span
    value: str


Unit = Literal["number", "percent", "duration", "money"]


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric literal, exact.

    Attributes:
        value: with the suffix applied: ``32k`` is 32000, ``30%`` is 0.30,
            ``2s`` is 2 (seconds), ``$0.25`` is 0.25 (dollars).
        unit: which kind of literal it was.
        text: as written.
    """

    span: Span
    value: Decimal
    unit: Unit
    text: str


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression literal: ``/pattern/flags``; ``\\/`` in the text is ``/`` here."""

    span: Span
    pattern: str
    flags: str


@dataclass(frozen=True, slots=True)
class Bool:
    """``true`` or ``false``."""

    span: Span
    value: bool


@dataclass(frozen=True, slots=True)
class File:
    """``file("path")``: a list of strings, one a line of that file."""

    span: Span
    path: String


@dataclass(frozen=True, slots=True)
class Ref:
    """A name, perhaps with a member: ``topic``, ``topic.legal``, ``topic["computer science"]``.

    In asserts the words ``model route category reject redact cached fallback``
    are references too, so `name` may be one of these keywords.
    """

    span: Span
    name: str
    member: str | None = None
    member_span: Span | None = None


# --- conditions -------------------------------------------------------------

Operator = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Compare:
    """``left op right``."""

    span: Span
    left: Operand
    op: Operator
    right: Operand


@dataclass(frozen=True, slots=True)
class InList:
    """``x in [a, b]``."""

    span: Span
    left: Operand
    items: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class InRange:
    """``x in low..high``, both ends included."""

    span: Span
    left: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class InSet:
    """``"admin" in roles``."""

    span: Span
    item: Operand
    container: Ref


@dataclass(frozen=True, slots=True)
class SetCall:
    """``roles.any(a, b)`` or ``roles.all(a, b)``; `method` is as written."""

    span: Span
    target: Ident
    method: Ident
    args: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """``not x``."""

    span: Span
    operand: Expr


@dataclass(frozen=True, slots=True)
class And:
    """``x and y and …``; at least two operands, flattened as written without parentheses."""

    span: Span
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """``x or y or …``; at least two operands."""

    span: Span
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Implies:
    """``x implies y``; lowest precedence, right-associative; allowed in asserts."""

    span: Span
    left: Expr
    right: Expr


Operand = Ref | Number | String | Bool
Expr = Ref | Bool | Compare | InList | InRange | InSet | SetCall | Not | And | Or | Implies


@dataclass(frozen=True, slots=True)
class Term:
    """A summand of a linear expression.

    Attributes:
        coefficient: signed factor; 1 or -1 where none is written.
        operand: a reference or a parenthesised condition; ``None`` for a constant.
    """

    span: Span
    coefficient: Decimal
    operand: Expr | None


# --- values of options ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class List:
    """``[a, b]``."""

    span: Span
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """``mini 90%`` inside a list; `share` is ``None`` where none is written."""

    span: Span
    target: Ident
    share: Number | None


@dataclass(frozen=True, slots=True)
class Map:
    """``{ role: user, content: "…" }``."""

    span: Span
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class TypeExpr:
    """A type: ``bool int float string enum(a, b) set(string) set(enum(a, b))``.

    Attributes:
        name: ``bool``, ``int``, ``float``, ``string``, ``enum`` or ``set`` (others are
            kept as written, for the checker to report).
        members: of an ``enum``.
        element: of a ``set``.
    """

    span: Span
    name: str
    members: tuple[Ident | String, ...] = ()
    element: TypeExpr | None = None


@dataclass(frozen=True, slots=True)
class Relax:
    """``0.88 when_load > 0.8``, the value of a category's `relax_to`."""

    span: Span
    similarity: Number
    load: Number


Value = Ref | String | Number | Regex | Bool | File | List | Map | TypeExpr | Relax


@dataclass(frozen=True, slots=True)
class Entry:
    """``key: value`` inside a block."""

    span: Span
    key: Ident
    value: Value


# --- declarations -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Import:
    """``import "path"``."""

    span: Span
    path: String


@dataclass(frozen=True, slots=True)
class Policy:
    """``policy NAME "text"? { … }?``."""

    span: Span
    name: Ident
    text: String | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """``name: type from "path" = default`` inside ``request { … }``."""

    span: Span
    name: Ident
    type: TypeExpr
    path: String | None
    default: Value | None


@dataclass(frozen=True, slots=True)
class Request:
    """``request { … }``."""

    span: Span
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """``name: < bound`` or ``name: <= bound``; the last has neither."""

    span: Span
    name: Ident
    op: Literal["<", "<="] | None
    bound: Number | None


@dataclass(frozen=True, slots=True)
class Signal:
    """``signal NAME = KIND(args) { options }``.

    Exactly one of `options`, `terms` (of a ``score``) and `bands` is filled.
    """

    span: Span
    name: Ident
    kind: Ident
    args: tuple[Value, ...]
    options: tuple[Entry, ...] = ()
    terms: tuple[Term, ...] = ()
    bands: tuple[Band, ...] = ()


@dataclass(frozen=True, slots=True)
class Let:
    """``let NAME = EXPR``."""

    span: Span
    name: Ident
    expr: Expr


@dataclass(frozen=True, slots=True)
class Model:
    """``model NAME { … }``."""

    span: Span
    name: Ident
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """``pool NAME = [ … ]``."""

    span: Span
    name: Ident
    members: tuple[Ident, ...]


@dataclass(frozen=True, slots=True)
class Category:
    """``category NAME { when …, … }``; `when` is ``None`` where the author left it out."""

    span: Span
    name: Ident
    when: Expr | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Reject:
    """``reject 403 "reason"``."""

    span: Span
    status: Number
    reason: String


@dataclass(frozen=True, slots=True)
class Redact:
    """``redact SIGNAL``."""

    span: Span
    signal: Ident


@dataclass(frozen=True, slots=True)
class Tag:
    """``tag "x"``."""

    span: Span
    value: String


@dataclass(frozen=True, slots=True)
class SetHeader:
    """``set "header" = "value"``."""

    span: Span
    header: String
    value: String


Action = Reject | Redact | Tag | SetHeader


@dataclass(frozen=True, slots=True)
class Guard:
    """``guard NAME priority N? { when …  ACTION… }``; `when` is ``None`` where left out."""

    span: Span
    name: Ident
    priority: Number | None
    when: Expr | None
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """``by ALGO(key: value, …)``."""

    span: Span
    name: Ident
    args: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class To:
    """``to MODEL``, ``to POOL by ALGO``, ``to [a 90%, b 10%]``.

    Attributes:
        target: a name, or the listed shares.
        selector: of ``by``.
    """

    span: Span
    target: Ident | tuple[Share, ...]
    selector: Selector | None


@dataclass(frozen=True, slots=True)
class Fallback:
    """``fallback a -> b``."""

    span: Span
    models: tuple[Ident, ...]


@dataclass(frozen=True, slots=True)
class Cache:
    """``cache off`` (`category` is ``None``) or ``cache NAME``."""

    span: Span
    category: Ident | None


@dataclass(frozen=True, slots=True)
class With:
    """``with { reasoning: high, max_tokens: 800 }`` of a route."""

    span: Span
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Sticky:
    """``sticky by FIELD``."""

    span: Span
    field: Ident


@dataclass(frozen=True, slots=True)
class Shadow:
    """``shadow to MODEL 5%``."""

    span: Span
    model: Ident
    share: Number


Statement = To | Fallback | Cache | With | Sticky | Shadow | Tag | SetHeader


@dataclass(frozen=True, slots=True)
class Route:
    """``route NAME priority N? { … }`` or ``default route NAME { … }``."""

    span: Span
    name: Ident
    priority: Number | None
    default: bool
    when: Expr | None
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """``budget NAME { per: FIELD, limit: $50, window: 1d, then: ROUTE }``."""

    span: Span
    name: Ident
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Assert:
    """``assert "text" { never EXPR }`` or ``{ always EXPR }``."""

    span: Span
    text: String
    mode: Literal["never", "always"]
    expr: Expr


@dataclass(frozen=True, slots=True)
class Pin:
    """``attack.jailbreak: 0.97`` inside a test's ``with``."""

    span: Span
    target: Ref
    value: Value


ExpectKind = Literal["route", "reject", "model", "category", "redact", "tag"]


@dataclass(frozen=True, slots=True)
class Expect:
    """``expect route NAME`` and its like.

    Attributes:
        kind: what is expected.
        value: its name or tag; ``none`` for ``expect category none``; ``None`` for
            ``expect redact``.
    """

    span: Span
    kind: ExpectKind
    value: Ident | String | None


@dataclass(frozen=True, slots=True)
class Test:
    """``test "text" { request {…} with {…} expect … }``; missing parts are empty."""

    __test__ = False  # not a pytest class

    span: Span
    text: String
    request: tuple[Entry, ...]
    pins: tuple[Pin, ...]
    expects: tuple[Expect, ...]


Declaration = (
    Import
    | Policy
    | Request
    | Signal
    | Let
    | Model
    | Pool
    | Category
    | Guard
    | Route
    | Budget
    | Assert
    | Test
)


@dataclass(frozen=True, slots=True)
class Comment:
    """A ``#`` comment; `text` is without the ``#`` and the line end."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Module:
    """One parsed file; broken blocks are missing from `declarations`."""

    span: Span
    declarations: tuple[Declaration, ...]
    comments: tuple[Comment, ...]
