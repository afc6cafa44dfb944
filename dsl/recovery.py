"""Where reading resumes after a syntax error."""

from __future__ import annotations

from routec.dsl.ast import Ident
from routec.dsl.lexer import BAD_CHARACTER, Token
from routec.dsl.source import Source
from routec.dsl.table import END, IDENT

# What must follow a keyword for it to look like the head of a declaration.
_HEADS: dict[str, tuple[tuple[str, ...], ...]] = {
    "IMPORT": (("STRING",),),
    "POLICY": ((IDENT,),),
    "REQUEST": (("LBRACE",),),
    "SIGNAL": ((IDENT, "EQUAL"),),
    "LET": ((IDENT, "EQUAL"),),
    "MODEL": ((IDENT, "LBRACE"),),
    "POOL": ((IDENT, "EQUAL"),),
    "CATEGORY": ((IDENT, "LBRACE"),),
    "GUARD": ((IDENT, "LBRACE"), (IDENT, "PRIORITY")),
    "ROUTE": ((IDENT, "LBRACE"), (IDENT, "PRIORITY")),
    "DEFAULT": (("ROUTE",),),
    "BUDGET": ((IDENT, "LBRACE"),),
    "ASSERT": (("STRING", "LBRACE"),),
    "TEST": (("STRING", "LBRACE"),),
}

# What joins two parts of one declaration, so that it does not begin another.
_JOINTS = frozenset(
    "AND OR IN IMPLIES EQ NE LT LE GT GE EQUAL RPAR RSQB COMMA COLON DOT RANGE ARROW PLUS MINUS "
    f"STAR {BAD_CHARACTER}".split()
)

# Keywords that can be a part of a declaration which begins with another.
_PARTS = frozenset({("REQUEST", "TEST"), ("ROUTE", "DEFAULT")})

DECLARATIONS = frozenset(_HEADS)
"""Terminals that begin a declaration."""


def resume_at(text: str, tokens: list[Token], first: int, index: int) -> int:
    """The index of the token to resume at, ``> first``.

    Outside the broken block's braces any head of a declaration will do. Inside them,
    where the closing brace may be what is missing, only one that stands at the start
    of a line and no deeper than the broken block itself.

    Args:
        text: the whole text.
        tokens: all tokens of the file.
        first: index of the first token of the broken declaration.
        index: index of the token that could not be read, ``>= first``.
    """
    depth = brace_depth(tokens, first, index)
    margin = _indent(text, tokens[first])
    while True:
        kind = tokens[index].kind
        if kind == END:
            return index
        if index > first and kind in DECLARATIONS:
            flush = begins_line(text, tokens[index]) and _indent(text, tokens[index]) <= margin
            head = is_head(tokens, index)
            # `request` is a part of tests too, and `default route` is one head.
            inner = (kind == "REQUEST" and not flush) or (kind, tokens[first].kind) in _PARTS
            if flush and (head or depth == 0) and not (inner and depth):
                return index
            if head and depth == 0 and not inner:
                return index
        if kind == "LBRACE":
            depth += 1
        elif kind == "RBRACE":
            depth = max(0, depth - 1)
        index += 1


def starts_afresh(text: str, tokens: list[Token], index: int) -> bool:
    """Whether a token that cannot continue a complete declaration belongs to something new."""
    kind = tokens[index].kind
    if kind == "RBRACE":
        return True
    ended = tokens[index - 1].kind == "RBRACE"
    return (ended or kind not in _JOINTS) and begins_line(text, tokens[index])


def broken_name(source: Source, tokens: list[Token], first: int) -> tuple[Ident, ...]:
    """The name in the head of a broken declaration, if there is one."""
    at = first + 1 if tokens[first].kind != "DEFAULT" else first + 2
    if at >= len(tokens) or tokens[at].kind != IDENT:
        return ()
    if tokens[first].kind not in DECLARATIONS and tokens[first].kind != IDENT:
        return ()
    _, start, end = tokens[at]
    return (Ident(source.span(start, end), source.text[start:end]),)


def brace_depth(tokens: list[Token], first: int, index: int) -> int:
    """How many braces opened from `first` on are open before `index`."""
    depth = 0
    for kind, _, _ in tokens[first:index]:
        if kind == "LBRACE":
            depth += 1
        elif kind == "RBRACE":
            depth = max(0, depth - 1)
    return depth


def begins_line(text: str, token: Token) -> bool:
    """Whether only white space stands before a token on its line."""
    return not text[text.rfind("\n", 0, token.start) + 1 : token.start].strip(" \t\ufeff")


def _indent(text: str, token: Token) -> int:
    line = text.rfind("\n", 0, token.start) + 1
    rest = text[line : token.start]
    return len(rest) - len(rest.lstrip(" \t\ufeff"))


def is_head(tokens: list[Token], index: int) -> bool:
    """Whether a token and those after it look like the head of a declaration."""
    if tokens[index].kind not in DECLARATIONS:
        return False
    after = tuple(token.kind for token in tokens[index + 1 : index + 3])
    return any(after[: len(head)] == head for head in _HEADS[tokens[index].kind])
