"""From text to tokens, in one pass over the whole file.

Terminals come from the parse table. No sign of the language has two readings, so
the only thing left to the parser's state is whether a soft keyword is a word or
an identifier. What cannot be a token becomes one of a kind that no rule
accepts, so the parser reports it like any other surprise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from routec.dsl.table import END, IDENT, Table, load_table

OPEN_STRING = "open_string"
OPEN_TRIPLE = "open_triple"
OPEN_REGEX = "open_regex"
BAD_WORD = "bad_word"
BAD_CHARACTER = "bad_character"

# Control characters, lone carriage returns, surrogates and marks that reorder or
# break what a reader sees: a reviewed policy must read as it is meant.
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)"
)

_TRAILING_CARRIAGE = "\r"


class Token(NamedTuple):
    """A token: its terminal (or error kind) and its offsets, half-open."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lexed:
    """A file in tokens.

    Attributes:
        tokens: in order; the last has the kind `table.END` and is empty.
        comments: offsets of each comment, from its ``#`` to the end of its text.
        forbidden: whether the text has a character of `FORBIDDEN` anywhere.
    """

    tokens: list[Token]
    comments: list[tuple[int, int]]
    forbidden: bool


def lex(text: str) -> Lexed:
    """Split a text into tokens; never raises."""
    words = load_table().words
    scan, scan_without_triple = _scanners()
    tokens: list[Token] = []
    comments: list[tuple[int, int]] = []
    append = tokens.append
    position = 1 if text.startswith("\ufeff") else 0
    rescan = True
    while rescan:
        rescan = False
        for match in scan.finditer(text, position):
            kind = match.lastgroup
            if kind is None:
                continue
            start, end = match.span(kind)
            if kind == "WORD":
                append(Token(words.get(text[start:end], IDENT), start, end))
            elif kind == "COMMENT":
                comments.append((start, end - text.endswith(_TRAILING_CARRIAGE, start, end)))
            else:
                append(Token(kind, start, end))
                if kind == OPEN_TRIPLE and scan is not scan_without_triple:
                    # There is no closing mark ahead: looking for it again at each
                    # further opening would take quadratic time.
                    scan, position, rescan = scan_without_triple, end, True
                    break
    append(Token(END, len(text), len(text)))
    return Lexed(tokens, comments, FORBIDDEN.search(text) is not None)


@cache
def _scanners() -> tuple[re.Pattern[str], re.Pattern[str]]:
    table = load_table()
    return _scanner(table, triple=True), _scanner(table, triple=False)


def _scanner(table: Table, *, triple: bool) -> re.Pattern[str]:
    alternatives = [("WORD", r"[a-z_][a-z0-9_]*+(?!\w)")]
    alternatives += [
        (table.signs[sign], re.escape(sign))
        for sign in sorted(table.signs, key=lambda sign: (-len(sign), sign))
        if sign != "."
    ]
    named = {name: p for name, p in table.patterns.items() if name not in (IDENT, "SPACE")}
    if not triple:
        alternatives.append((OPEN_TRIPLE, '"""'))
    alternatives += named.items()
    # After the numbers, which may start with a point.
    alternatives.append((table.signs["."], r"\."))
    if triple:
        alternatives.append((OPEN_TRIPLE, '"""'))
    alternatives += [
        (OPEN_STRING, r'"[^\n]*'),
        (OPEN_REGEX, r"/[^\n]*"),
        (BAD_WORD, r"[\w$]+%?"),
        (BAD_CHARACTER, r"[\s\S]"),
    ]
    space = table.patterns["SPACE"].removesuffix("+")
    body = "|".join(f"(?P<{name}>{pattern})" for name, pattern in alternatives)
    return re.compile(rf"{space}*+(?:{body})?")
