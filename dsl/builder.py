# ruff: noqa: D102 - the methods are named after the rules of the grammar
"""From recognised rules to the syntax tree.

Each method is named after a rule or alias of `grammar.lark` and gets the rule's
kept children with the offsets of the whole rule. Terminals that carry a value are
turned into leaves first (see `Builder.leaves`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from routec.dsl import ast, literals
from routec.dsl.diagnostic import Diagnostic, Related
from routec.dsl.lexer import FORBIDDEN, Token
from routec.dsl.source import Source, Span
from routec.dsl.syntax_error import syntax_error

Children = list[Any]


class Builder:
    """Collects the declarations of one file and the problems found while building them."""

    def __init__(self, source: Source, *, forbidden: bool) -> None:
        self.source = source
        self.text = source.text
        self.span = source.span
        self.declarations: list[ast.Declaration] = []
        self.broken: list[ast.Ident] = []
        self.problems: list[Diagnostic] = []
        self._reported = 0
        self._forbidden = forbidden
        self.leaves: dict[str, Callable[[Token], object]] = {
            "IDENT": self._ident,
            "SCORE": self._ident,
            "BANDS": self._ident,
            "STRING": self._string,
            "REGEX": self._regex,
            "NUMBER": self._numeral,
            "PERCENT": self._numeral,
            "DURATION": self._numeral,
            "MONEY": self._numeral,
        }

    # --- leaves -------------------------------------------------------------

    def _ident(self, token: Token) -> ast.Ident:
        _, start, end = token
        return ast.Ident(self.span(start, end), self.text[start:end])

    def _string(self, token: Token) -> ast.String:
        _, start, end = token
        value, flaws = literals.read_string(self.text[start:end])
        self._flaws(token, flaws)
        return ast.String(self.span(start, end), value)

    def _regex(self, token: Token) -> ast.Regex:
        _, start, end = token
        pattern, flags, flaws = literals.read_regex(self.text[start:end])
        self._flaws(token, flaws)
        return ast.Regex(self.span(start, end), pattern, flags)

    def _numeral(self, token: Token) -> ast.Number:
        _, start, end = token
        text = self.text[start:end]
        value, unit, flaws = literals.read_number(text)
        self._flaws(token, flaws)
        return ast.Number(self.span(start, end), value, unit, text)

    def _flaws(self, token: Token, flaws: tuple[literals.Flaw, ...]) -> None:
        for flaw in flaws:
            place = self.span(token.start + flaw.start, token.start + flaw.end)
            self.problems.append(syntax_error(flaw.message, place, flaw.help))
        if self._forbidden:
            for match in FORBIDDEN.finditer(self.text, token.start, token.end):
                self.problems.append(forbidden_character(self.source, match.start()))

    def _problem(
        self, message: str, place: Span, help: str, related: tuple[Related, ...] = ()
    ) -> None:
        self.problems.append(syntax_error(message, place, help, related=related))

    # --- files --------------------------------------------------------------

    def start(self, children: Children, start: int, end: int) -> None:
        """The file; its declarations were collected one by one."""

    def declaration(self, children: Children, start: int, end: int) -> None:
        """Keep a declaration, unless a part of it could not be read."""
        (node,) = children
        if len(self.problems) > self._reported:
            name = getattr(node, "name", None)
            if isinstance(name, ast.Ident):
                self.broken.append(name)
        else:
            self.declarations.append(node)
        self._reported = len(self.problems)

    def abandon(self) -> None:
        """Forget the problems of a declaration that a syntax error cut short."""
        self._reported = len(self.problems)

    # --- declarations -------------------------------------------------------

    def import_(self, children: Children, start: int, end: int) -> ast.Import:
        return ast.Import(self.span(start, end), children[0])

    def policy(self, children: Children, start: int, end: int) -> ast.Policy:
        name, text, entries = children
        return ast.Policy(self.span(start, end), name, text, entries or ())

    def request(self, children: Children, start: int, end: int) -> ast.Request:
        return ast.Request(self.span(start, end), tuple(children))

    def field(self, children: Children, start: int, end: int) -> ast.Field:
        name, type_, path, *default = children
        value = default[0] if default else None
        return ast.Field(self.span(start, end), name, type_, path, value)

    def signal(self, children: Children, start: int, end: int) -> ast.Signal:
        name, kind, args, options = children
        return ast.Signal(self.span(start, end), name, kind, args or (), options or ())

    def score(self, children: Children, start: int, end: int) -> ast.Signal:
        name, kind, terms = children
        return ast.Signal(self.span(start, end), name, kind, (), terms=terms)

    def bands(self, children: Children, start: int, end: int) -> ast.Signal:
        name, kind, args, *bands = children
        return ast.Signal(self.span(start, end), name, kind, args, bands=tuple(bands))

    def band(self, children: Children, start: int, end: int) -> ast.Band:
        name, sign, bound = children
        op: Any = self.text[sign.start : sign.end]
        return ast.Band(self.span(start, end), name, op, bound)

    def last_band(self, children: Children, start: int, end: int) -> ast.Band:
        return ast.Band(self.span(start, end), children[0], None, None)

    def let(self, children: Children, start: int, end: int) -> ast.Let:
        return ast.Let(self.span(start, end), children[0], children[1])

    def model(self, children: Children, start: int, end: int) -> ast.Model:
        return ast.Model(self.span(start, end), *children)

    def pool(self, children: Children, start: int, end: int) -> ast.Pool:
        return ast.Pool(self.span(start, end), children[0], tuple(children[1:]))

    def category(self, children: Children, start: int, end: int) -> ast.Category:
        name, *items = children
        when, entries = self._split_when(items)
        return ast.Category(self.span(start, end), name, when, entries)

    def guard(self, children: Children, start: int, end: int) -> ast.Guard:
        name, priority, *items = children
        when, actions = self._split_when(items)
        return ast.Guard(self.span(start, end), name, priority, when, actions)

    def route(self, children: Children, start: int, end: int) -> ast.Route:
        name, priority, *items = children
        when, body = self._split_when(items)
        return ast.Route(self.span(start, end), name, priority, False, when, body)

    def default_route(self, children: Children, start: int, end: int) -> ast.Route:
        name, *items = children
        when, body = self._split_when(items)
        return ast.Route(self.span(start, end), name, None, True, when, body)

    def budget(self, children: Children, start: int, end: int) -> ast.Budget:
        return ast.Budget(self.span(start, end), *children)

    def assert_(self, children: Children, start: int, end: int) -> ast.Assert:
        text, mode, expr = children
        word: Any = self.text[mode.start : mode.end]
        return ast.Assert(self.span(start, end), text, word, expr)

    def test(self, children: Children, start: int, end: int) -> ast.Test:
        text, *parts = children
        request: tuple[ast.Entry, ...] | None = None
        pins: tuple[ast.Pin, ...] | None = None
        expects: list[ast.Expect] = []
        for part in parts:
            if isinstance(part, ast.Expect):
                expects.append(part)
                continue
            word, span, items = part
            if (request if word == "request" else pins) is not None:
                self._problem(
                    f"a second `{word}` in one test", span, f"write its entries in one `{word}`"
                )
            elif word == "request":
                request = items
            else:
                pins = items
        place = self.span(start, end)
        return ast.Test(place, text, request or (), pins or (), tuple(expects))

    def test_request(self, children: Children, start: int, end: int) -> tuple[str, Span, Any]:
        return "request", self.span(start, start + len("request")), children[0]

    def test_with(self, children: Children, start: int, end: int) -> tuple[str, Span, Any]:
        return "with", self.span(start, start + len("with")), tuple(children)

    def pin(self, children: Children, start: int, end: int) -> ast.Pin:
        return ast.Pin(self.span(start, end), children[0], children[1])

    def expect(self, children: Children, start: int, end: int) -> ast.Expect:
        word, value = children
        kind: Any = self.text[word.start : word.end]
        return ast.Expect(self.span(start, end), kind, value)

    def expect_redact(self, children: Children, start: int, end: int) -> ast.Expect:
        return ast.Expect(self.span(start, end), "redact", None)

    # --- bodies -------------------------------------------------------------

    def when(self, children: Children, start: int, end: int) -> tuple[Span, ast.Expr]:
        return self.span(start, start + len("when")), children[0]

    def _split_when(self, items: Children) -> tuple[ast.Expr | None, tuple[Any, ...]]:
        conditions = [item for item in items if isinstance(item, tuple)]
        if not conditions:
            return None, tuple(items)
        first = conditions[0][0]
        for place, _ in conditions[1:]:
            self._problem(
                "a second `when` in one block",
                place,
                "join the two conditions with `and`",
                (Related("the first `when` is here", first),),
            )
        return conditions[0][1], tuple(item for item in items if not isinstance(item, tuple))

    def priority(self, children: Children, start: int, end: int) -> Any:
        return children[0]

    def reject(self, children: Children, start: int, end: int) -> ast.Reject:
        return ast.Reject(self.span(start, end), *children)

    def redact(self, children: Children, start: int, end: int) -> ast.Redact:
        return ast.Redact(self.span(start, end), *children)

    def tag(self, children: Children, start: int, end: int) -> ast.Tag:
        return ast.Tag(self.span(start, end), *children)

    def set_header(self, children: Children, start: int, end: int) -> ast.SetHeader:
        return ast.SetHeader(self.span(start, end), *children)

    def to_name(self, children: Children, start: int, end: int) -> ast.To:
        return ast.To(self.span(start, end), *children)

    def to_shares(self, children: Children, start: int, end: int) -> ast.To:
        *shares, selector = children
        return ast.To(self.span(start, end), tuple(shares), selector)

    def share(self, children: Children, start: int, end: int) -> ast.Share:
        share = children[1] if len(children) > 1 else None
        return ast.Share(self.span(start, end), children[0], share)

    def selector(self, children: Children, start: int, end: int) -> ast.Selector:
        return ast.Selector(self.span(start, end), children[0], tuple(children[1:]))

    def fallback(self, children: Children, start: int, end: int) -> ast.Fallback:
        return ast.Fallback(self.span(start, end), tuple(children))

    def cache(self, children: Children, start: int, end: int) -> ast.Cache:
        return ast.Cache(self.span(start, end), children[0])

    def cache_off(self, children: Children, start: int, end: int) -> ast.Cache:
        return ast.Cache(self.span(start, end), None)

    def with_(self, children: Children, start: int, end: int) -> ast.With:
        return ast.With(self.span(start, end), children[0])

    def sticky(self, children: Children, start: int, end: int) -> ast.Sticky:
        return ast.Sticky(self.span(start, end), *children)

    def shadow(self, children: Children, start: int, end: int) -> ast.Shadow:
        return ast.Shadow(self.span(start, end), *children)

    # --- conditions ---------------------------------------------------------

    def implies(self, children: Children, start: int, end: int) -> ast.Implies:
        return ast.Implies(self.span(start, end), *children)

    def or_(self, children: Children, start: int, end: int) -> ast.Or:
        return ast.Or(self.span(start, end), tuple(children))

    def and_(self, children: Children, start: int, end: int) -> ast.And:
        return ast.And(self.span(start, end), tuple(children))

    def not_(self, children: Children, start: int, end: int) -> ast.Not:
        return ast.Not(self.span(start, end), children[0])

    def compare(self, children: Children, start: int, end: int) -> ast.Compare:
        left, sign, right = children
        op: Any = self.text[sign.start : sign.end]
        return ast.Compare(self.span(start, end), left, op, right)

    def in_list(self, children: Children, start: int, end: int) -> ast.InList:
        return ast.InList(self.span(start, end), children[0], tuple(children[1:]))

    def in_range(self, children: Children, start: int, end: int) -> ast.InRange:
        return ast.InRange(self.span(start, end), *children)

    def in_set(self, children: Children, start: int, end: int) -> ast.InSet:
        return ast.InSet(self.span(start, end), *children)

    def set_call(self, children: Children, start: int, end: int) -> ast.SetCall:
        target, method, *args = children
        return ast.SetCall(self.span(start, end), target, method, tuple(args))

    def ref(self, children: Children, start: int, end: int) -> ast.Ref:
        place = self.span(start, end)
        head = children[0]
        name = head.name if isinstance(head, ast.Ident) else self.text[head.start : head.end]
        if len(children) == 1:
            return ast.Ref(place, name)
        member = children[1]
        text = member.name if isinstance(member, ast.Ident) else member.value
        return ast.Ref(place, name, text, member.span)

    # --- linear expressions -------------------------------------------------

    def linear(self, children: Children, start: int, end: int) -> tuple[ast.Term, ...]:
        """Join the signs to the terms that follow them."""
        terms: list[ast.Term] = []
        sign, begin = 1, None
        for child in children:
            if isinstance(child, Token):
                begin = child.start if begin is None else begin
                sign = -sign if child.kind == "MINUS" else sign
                continue
            coefficient, operand, first, last = child
            place = self.span(first if begin is None else begin, last)
            terms.append(
                ast.Term(place, coefficient.copy_negate() if sign < 0 else coefficient, operand)
            )
            sign, begin = 1, None
        return tuple(terms)

    def constant_term(self, children: Children, start: int, end: int) -> tuple[Any, ...]:
        return children[0].value, None, start, end

    def term(self, children: Children, start: int, end: int) -> tuple[Any, ...]:
        coefficient, operand = Decimal(1), None
        for child in children:
            if isinstance(child, ast.Number):
                coefficient = child.value
            else:
                operand = child
        return coefficient, operand, start, end

    # --- values -------------------------------------------------------------

    def block(self, children: Children, start: int, end: int) -> tuple[ast.Entry, ...]:
        return tuple(children)

    def entry(self, children: Children, start: int, end: int) -> ast.Entry:
        return ast.Entry(self.span(start, end), *children)

    def arguments(self, children: Children, start: int, end: int) -> tuple[ast.Value, ...]:
        return tuple(children)

    def list(self, children: Children, start: int, end: int) -> ast.List:
        return ast.List(self.span(start, end), tuple(children))

    def map(self, children: Children, start: int, end: int) -> ast.Map:
        return ast.Map(self.span(start, end), tuple(children))

    def call(self, children: Children, start: int, end: int) -> ast.File | ast.TypeExpr:
        head, *members = children
        place = self.span(start, end)
        if head.name != "file":
            return ast.TypeExpr(place, head.name, tuple(members))
        if len(members) == 1 and isinstance(members[0], ast.String):
            return ast.File(place, members[0])
        self._problem("`file` takes one path", place, 'write it as `file("path")`')
        return ast.File(place, ast.String(place, ""))

    def relax(self, children: Children, start: int, end: int) -> ast.Relax:
        similarity, *_, load = children
        return ast.Relax(self.span(start, end), similarity, load)

    def named_type(self, children: Children, start: int, end: int) -> ast.TypeExpr:
        return ast.TypeExpr(self.span(start, end), children[0].name)

    def enum_type(self, children: Children, start: int, end: int) -> ast.TypeExpr:
        head, *members = children
        return ast.TypeExpr(self.span(start, end), head.name, tuple(members))

    def set_type(self, children: Children, start: int, end: int) -> ast.TypeExpr:
        return ast.TypeExpr(self.span(start, end), "set", (), children[0])

    def boolean(self, children: Children, start: int, end: int) -> ast.Bool:
        return ast.Bool(self.span(start, end), children[0].kind == "TRUE")

    def negative(self, children: Children, start: int, end: int) -> ast.Number:
        number = children[-1]
        text = self.text[start:end]
        return ast.Number(self.span(start, end), number.value.copy_negate(), number.unit, text)


def forbidden_character(source: Source, offset: int) -> Diagnostic:
    """The finding about a character of `lexer.FORBIDDEN`."""
    code = f"{ord(source.text[offset]):04x}"
    return syntax_error(
        f"the invisible character U+{code.upper()} may not stand in a policy",
        source.span(offset, offset + 1),
        f"remove it, or write `\\u{{{code}}}` inside a string",
    )
