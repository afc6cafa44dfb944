"""Syntax errors in the words of an author: what was found, and what was expected."""

from __future__ import annotations

from collections.abc import Set

from routec.dsl.builder import forbidden_character
from routec.dsl.diagnostic import Diagnostic, Related
from routec.dsl.lexer import (
    BAD_CHARACTER,
    BAD_WORD,
    FORBIDDEN,
    OPEN_REGEX,
    OPEN_STRING,
    OPEN_TRIPLE,
    Token,
)
from routec.dsl.recovery import DECLARATIONS, begins_line, broken_name, is_head
from routec.dsl.source import Source
from routec.dsl.syntax_error import syntax_error
from routec.dsl.table import END, IDENT, load_table

_NUMBERS = frozenset({"NUMBER", "PERCENT", "DURATION", "MONEY", "MINUS"})
_COMPARISONS = frozenset({"EQ", "NE", "LT", "LE", "GT", "GE"})
_DECIDED = frozenset({"MODEL", "ROUTE", "CATEGORY", "REJECT", "REDACT", "CACHED", "FALLBACK"})

# (terminals that must all be possible, what to call them, further terminals it stands for);
# the first that fits takes its terminals out of the running.
_PHRASES: tuple[tuple[frozenset[str], str, frozenset[str]], ...] = (
    (DECLARATIONS, "a declaration", frozenset({END})),
    (frozenset({"SCORE", "BANDS"}), "a kind of signal", frozenset({IDENT})),
    (
        frozenset({"NOT", "LPAR", "TRUE", IDENT}),
        "a condition",
        _NUMBERS | _DECIDED | {"STRING", "FALSE"},
    ),
    (
        frozenset({"REGEX", "LBRACE", "STRING"}),
        "a value",
        _NUMBERS | {IDENT, "LSQB", "TRUE", "FALSE", "SET"},
    ),
    (frozenset({"NUMBER", "LPAR", IDENT}), "a term", frozenset({"PLUS", "MINUS"})),
    (frozenset({IDENT, "STRING", "TRUE"}), "a value", _NUMBERS | _DECIDED | {"FALSE", "LPAR"}),
    (frozenset({IDENT, "SET"}), "a type", frozenset()),
    (frozenset({IDENT, "STRING"}), "a name or a string", frozenset()),
    (frozenset({"NUMBER", "PERCENT", "DURATION", "MONEY"}), "a number", _NUMBERS),
    (frozenset({"EQ", "IN"}), "a comparison", _COMPARISONS | {"DOT", "LSQB", "LPAR"}),
    (
        frozenset({"TO", "SHADOW"}),
        "a statement",
        frozenset({"FALLBACK", "CACHE", "WITH", "STICKY", "TAG", "SET"}),
    ),
    (frozenset({"REJECT", "TAG", "SET"}), "an action", frozenset({"REDACT"})),
)
_NAMES = {IDENT: "a name", "STRING": "a string", "NUMBER": "a number", END: "the end of the file"}
_MAX_ALTERNATIVES = 6
_MAX_SHOWN = 40
_CLOSERS = {"RBRACE": "LBRACE", "RPAR": "LPAR", "RSQB": "LSQB"}
_OPENERS = frozenset(_CLOSERS.values())
_SLIPS = {
    "&": "conditions are joined with `and`",
    "|": "conditions are joined with `or`",
    "!": "a condition is negated with `not`",
    "'": "strings stand in double quotes",
    "`": "strings stand in double quotes",
    "“": "strings stand in double quotes",
    "”": "strings stand in double quotes",
    ";": "white space separates what stands in a block",
    "@": None,
}


def describe_error(
    source: Source, tokens: list[Token], first: int, index: int, expected: Set[str]
) -> Diagnostic:
    """The finding about a token that cannot stand where it does.

    Args:
        source: the file.
        tokens: all its tokens.
        first: index of the first token of the declaration.
        index: index of the token at fault.
        expected: terminals that could stand there.
    """
    token = tokens[index]
    name = tuple(ident.name for ident in broken_name(source, tokens, first))
    text = source.text[token.start : token.end]
    if token.kind == BAD_CHARACTER and FORBIDDEN.match(source.text, token.start):
        return forbidden_character(source, token.start)
    malformed = _malformed(token, text)
    if malformed:
        message, help, width = malformed
        place = source.span(token.start, token.start + width)
        return syntax_error(message, place, help, name)

    found = _found(token, text)
    wanted = _wanted(expected)
    after = ""
    if index > first:
        previous = tokens[index - 1]
        after = f" after {_quoted(source.text[previous.start : previous.end])}"
    related = _unclosed(source, tokens, first, index)
    return syntax_error(
        f"expected {wanted}{after}, found {found}",
        source.span(token.start, token.end),
        _help(source, tokens, first, index, expected, unclosed=bool(related)),
        name,
        related,
    )


def _malformed(token: Token, text: str) -> tuple[str, str | None, int] | None:
    """Message, help and width for a stretch that is no token at all."""
    if token.kind == OPEN_STRING:
        return "the string is not closed on its line", 'end it with `"`', len(text.rstrip())
    if token.kind == OPEN_TRIPLE:
        return "the string is never closed", 'end it with `"""`', len(text)
    if token.kind == OPEN_REGEX:
        if text.startswith("//"):
            return "`//` does not start a comment", "a comment starts with `#`", 2
        help = "end it with `/`; a slash inside is written `\\/`"
        return "the regular expression is not closed on its line", help, len(text.rstrip())
    if token.kind == BAD_WORD:
        shown = _quoted(text)
        if text[0].isdigit() or text[0] == "$":
            help = "the suffixes are `k` and `M`, `%`, and `ms`, `s`, `m`, `h` and `d` for times"
            return f"{shown} is not a number", help, len(text)
        help = "a name has lower-case letters from a to z, digits and `_`"
        if text.lower().isascii() and text.isidentifier():
            help += f": write {_quoted(text.lower())}, or put a label in double quotes"
        else:
            help += "; put a label in double quotes"
        return f"{shown} is not a name", help, len(text)
    return None


def _found(token: Token, text: str) -> str:
    if token.kind == END:
        return "the end of the file"
    if token.kind in _keywords():
        return f"the keyword {_quoted(text)}"
    return _quoted(text)


def _keywords() -> Set[str]:
    """Terminals of the reserved words."""
    return frozenset(load_table().words.values()) - load_table().soft


def _quoted(text: str) -> str:
    """A stretch of the policy as part of a sentence, on one line and of bounded length."""
    shown = " ".join(text.split())
    if len(shown) > _MAX_SHOWN:
        shown = shown[:_MAX_SHOWN] + "…"
    return f"`{shown}`"


def _wanted(expected: Set[str]) -> str:
    left = set(expected)
    phrases: list[str] = []
    for needed, phrase, others in _PHRASES:
        if needed <= left:
            left -= needed | others
            phrases.append(phrase)
    signs = {terminal: sign for sign, terminal in load_table().signs.items()}
    words = {terminal: word for word, terminal in load_table().words.items()}
    noise = ["DOT", "LSQB", END] if left & {"RSQB", "RPAR"} else ["DOT", "LSQB", END, "COMMA"]
    for terminal in noise:
        if len(left) + len(phrases) > 1:
            left.discard(terminal)
    for terminal in sorted(left, key=lambda terminal: (terminal in signs, terminal)):
        word = words.get(terminal) or signs.get(terminal)
        phrases.append(_NAMES.get(terminal) or (f"`{word}`" if word else terminal.lower()))
    if len(phrases) > _MAX_ALTERNATIVES:
        # The closing bracket sorts last and is the likeliest of what is left out.
        phrases = [*phrases[: _MAX_ALTERNATIVES - 1], phrases[-1]]
    if len(phrases) < 2:
        return "".join(phrases) or "nothing more"
    return f"{', '.join(phrases[:-1])} or {phrases[-1]}"


def _unclosed(source: Source, tokens: list[Token], first: int, index: int) -> tuple[Related, ...]:
    """The bracket that is open at a token which cannot stand inside it."""
    found = tokens[index].kind
    opened: list[Token] = []
    for token in tokens[first:index]:
        if token.kind in _OPENERS:
            opened.append(token)
        elif token.kind in _CLOSERS and opened and opened[-1].kind == _CLOSERS[token.kind]:
            opened.pop()
    at_line_start = begins_line(source.text, tokens[index])
    astray = (
        found == END
        or (found in _CLOSERS and opened and _CLOSERS[found] != opened[-1].kind)
        or (at_line_start and is_head(tokens, index))
        or (at_line_start and len(opened) > 1 and found in _keywords())
    )
    if not opened or not astray:
        return ()
    _, start, end = opened[-1]
    return (Related(f"this `{source.text[start:end]}` is not closed", source.span(start, end)),)


def _help(
    source: Source,
    tokens: list[Token],
    first: int,
    index: int,
    expected: Set[str],
    *,
    unclosed: bool,
) -> str | None:
    kind, start, end = tokens[index]
    text = source.text[start:end]
    if kind == BAD_CHARACTER:
        return _SLIPS.get(text)
    if kind == "REGEX" and text.startswith("//"):
        return "a comment starts with `#`"
    if unclosed or (index > first and is_head(tokens, index)):
        return None
    if index == first:
        if kind == "RBRACE":
            return "remove it: every `{` before it is closed"
        from difflib import get_close_matches  # only needed here, and slow to import

        keywords = [word for word, kind in load_table().words.items() if kind in DECLARATIONS]
        near = get_close_matches(text, keywords, 1) if kind == IDENT else []
        return f"did you mean `{near[0]}`?" if near else None
    if kind == "EQUAL" and "EQ" in expected:
        return "two values are compared with `==`"
    if kind in _COMPARISONS and "AND" in expected:
        return "a comparison has two sides; join two of them with `and`"
    if kind == "IMPLIES":
        return "`implies` stands in an `assert` only"
    if expected == {"RANGE"}:
        return "`in` takes a list, a range or a set"
    is_key = index + 1 < len(tokens) and tokens[index + 1].kind == "COLON"
    wants_name = IDENT in expected and "NOT" not in expected and "RBRACE" not in expected
    if kind in _keywords() and IDENT in expected and (wants_name or is_key):
        return "a keyword is no name: choose another, or put a label in double quotes"
    return None
