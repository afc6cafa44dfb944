"""The values of literals: escapes, numbers with units, regular expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal

from routec.dsl.ast import Unit

MAX_DIGITS = 30
"""Digits that a number may have; enough for any policy, and few enough to stay exact."""

_EXACT = Context(prec=MAX_DIGITS + 20)
_SUFFIXES: dict[str, tuple[Unit, Decimal]] = {
    "": ("number", Decimal(1)),
    "k": ("number", Decimal(1000)),
    "M": ("number", Decimal(1_000_000)),
    "%": ("percent", Decimal("0.01")),
    "ms": ("duration", Decimal("0.001")),
    "s": ("duration", Decimal(1)),
    "m": ("duration", Decimal(60)),
    "h": ("duration", Decimal(3600)),
    "d": ("duration", Decimal(86400)),
}
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_ESCAPE = re.compile(r"(\r\n)|\\(?:u\{([^}\"\n]*)\}|([\s\S]))")
_CODE_POINT = re.compile(r"[0-9A-Fa-f]{1,6}")
_REGEX_FLAGS = "ims"


@dataclass(frozen=True, slots=True)
class Flaw:
    """A mistake inside a literal.

    Attributes:
        start: offset of the mistake from the start of the literal, in code points.
        end: offset just past it.
        message: what is wrong.
        help: how to mend it.
    """

    start: int
    end: int
    message: str
    help: str


def read_string(text: str) -> tuple[str, tuple[Flaw, ...]]:
    """The value of a string literal given with its quotes.

    A line end inside a triple-quoted string is ``\\n`` in the value, also where the
    file has ``\\r\\n``; nothing else is trimmed.
    """
    quotes = 3 if text.startswith('"""') and len(text) >= 6 else 1
    body = text[quotes:-quotes]
    if "\\" not in body and "\r" not in body:
        return body, ()
    flaws: list[Flaw] = []

    def replace(match: re.Match[str]) -> str:
        line_end, digits, single = match.groups()
        if line_end:
            return "\n"
        if digits is None:
            resolved = _ESCAPES.get(single)
            problem = _unknown_escape(single)
        else:
            resolved, problem = _code_point(digits)
        if resolved is None:
            flaws.append(Flaw(match.start() + quotes, match.end() + quotes, *problem))
            return ""
        return resolved

    return _ESCAPE.sub(replace, body), tuple(flaws)


def read_regex(text: str) -> tuple[str, str, tuple[Flaw, ...]]:
    """Pattern and flags of a regular expression literal given with its slashes."""
    close = text.rindex("/")
    pattern, flags = text[1:close], text[close + 1 :]
    flaws = []
    if not pattern:
        flaws.append(
            Flaw(0, 2, "the regular expression is empty", "a comment starts with `#`, not `//`")
        )
    for index, flag in enumerate(flags):
        if flag not in _REGEX_FLAGS or flag in flags[:index]:
            at = close + 1 + index
            what = "twice the flag" if flag in _REGEX_FLAGS else "unknown flag"
            flaws.append(
                Flaw(at, at + 1, f"{what} `{flag}`", "the flags are `i`, `m` and `s`, once each")
            )
    return _unescape_slashes(pattern), flags, tuple(flaws)


def read_number(text: str) -> tuple[Decimal, Unit, tuple[Flaw, ...]]:
    """Value and unit of an unsigned numeric literal that the grammar's terminals accept."""
    digits = text.lstrip("$").rstrip("%kMmshd")
    if len(digits) - digits.count(".") > MAX_DIGITS:
        flaw = Flaw(
            0,
            len(text),
            f"the number has more than {MAX_DIGITS} digits",
            "round it",
        )
        return Decimal(0), "number", (flaw,)
    if text.startswith("$"):
        _, factor = _SUFFIXES[text[1 + len(digits) :]]
        return _EXACT.multiply(Decimal(digits), factor), "money", ()
    unit, factor = _SUFFIXES[text[len(digits) :]]
    return _EXACT.multiply(Decimal(digits), factor), unit, ()


def _unescape_slashes(pattern: str) -> str:
    if "\\/" not in pattern:
        return pattern
    return re.sub(r"\\(.)", lambda m: "/" if m[1] == "/" else m[0], pattern)


def _unknown_escape(character: str) -> tuple[str, str]:
    shown = f"\\{character}" if character.isprintable() else "\\"
    return f"unknown escape `{shown}`", 'the escapes are `\\"`, `\\\\`, `\\n`, `\\t` and `\\u{…}`'


def _code_point(digits: str) -> tuple[str | None, tuple[str, str]]:
    """The character that ``\\u{digits}`` names, or what is wrong with it and what helps."""
    escape = f"\\u{{{digits}}}"
    if not _CODE_POINT.fullmatch(digits):
        help = "write one to six hexadecimal digits, such as `\\u{e9}`"
        return None, (f"`{escape}` is not an escape", help)
    number = int(digits, 16)
    if number > 0x10FFFF:
        help = "the last one is `\\u{10ffff}`"
        return None, (f"`{escape}` is beyond the last code point", help)
    if 0xD800 <= number <= 0xDFFF:
        help = "write the code point of the whole character"
        return None, (f"`{escape}` is half of a surrogate pair", help)
    return chr(number), ("", "")
