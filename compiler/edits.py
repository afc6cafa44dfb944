"""Edits that change a policy as its author would: comments and layout stay as they are.

All functions take the text as the parser saw it, so the spans of its tree are places in it.
Edits of one call never overlap; those that touch come in order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal

from routec.dsl import ast
from routec.dsl.diagnostic import Edit
from routec.dsl.lexer import lex
from routec.dsl.source import Source, Span
from routec.dsl.table import END

_SECONDS = {
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
_PLACES = 6
_OPENING = frozenset({"LBRACE", "LSQB", "LPAR"})
_CLOSING = frozenset({"RBRACE", "RSQB", "RPAR"})


def remove_declaration(
    source: Source, declaration: ast.Declaration, comments: Sequence[ast.Comment]
) -> Edit:
    """Take a declaration out, with the comment lines directly above it and that at its end.

    Where blank lines would meet, one goes too. Other declarations on its lines stay.

    Args:
        source: the file.
        declaration: of that file.
        comments: all of that file, in order.
    """
    text, start, end = source.text, declaration.span.start, declaration.span.end
    first, last = line_start(text, start), line_end(text, end)
    code_before = text[first:start].strip()
    rest = text[end:last].strip()
    if code_before and (not rest or rest.startswith("#")):
        return _cut(source, first + len(text[first:start].rstrip()), end)
    above = first if code_before else _comments_above(text, first, comments)
    if rest and not rest.startswith("#"):
        begin = start if above == first else above + _indent(text, above)
        return _cut(source, begin, end + _indent(text, end))
    stop = min(last + 1, len(text))
    blank_above = above == 0 or not text[line_start(text, above - 1) : above].strip()
    if stop < len(text) and blank_above and not text[stop : line_end(text, stop)].strip():
        stop = min(line_end(text, stop) + 1, len(text))
    elif stop == len(text) and blank_above and above > 0:
        above = line_start(text, above - 1)
    return _cut(source, above, stop)


def remove_item(source: Source, span: Span) -> Edit:
    """Take one entry of a block, statement of a rule or item of a list out, with its comma.

    Where it has lines of its own these go, with the comment at their end.
    """
    text, start, end = source.text, span.start, span.end
    after = end + len(text[end:]) - len(text[end:].lstrip())
    comma = after < len(text) and text[after] == ","
    if comma:
        end = after + 1
    first, last = line_start(text, start), line_end(text, end)
    before, rest = text[first:start], text[end:last].strip()
    if not before.strip() and (not rest or rest.startswith("#")):
        return _cut(source, first, min(last + 1, len(text)))
    ends = not rest or rest[0] in "#]})"
    if not before.strip() or (comma and not ends):
        return _cut(source, start, end + _indent(text, end))
    begin = first + len(before.rstrip())
    if not comma and text[begin - 1] == ",":
        begin -= 1
    return _cut(source, begin, end)


def remove_comment(source: Source, span: Span) -> Edit:
    """Take a comment out, or a part of one up to the end of the line or the next ``#``."""
    text = source.text
    first, last = line_start(text, span.start), line_end(text, span.end)
    before, rest = text[first : span.start], text[span.end : last].strip()
    if rest:
        return _cut(source, span.start, span.end + _indent(text, span.end))
    if before.strip():
        return _cut(source, first + len(before.rstrip()), last)
    return _cut(source, first, min(last + 1, len(text)))


def replace_number(number: ast.Number, value: Decimal) -> Edit:
    """Write another value in a number's place, of its unit and if possible with its suffix.

    Args:
        number: the literal.
        value: as `ast.Number.value` counts it: shares of one, seconds, dollars.
    """
    sign, size = ("-", -value) if value < 0 else ("", value)
    written = number.text.lstrip("-$ ")
    suffix = written.lstrip("0123456789.")
    if number.unit == "percent":
        digits, suffix = _plain(size * 100), "%"
    elif number.unit == "duration":
        units = list(_SECONDS)
        for smaller in units[units.index(suffix) :]:
            suffix = smaller
            digits = _plain(size / _SECONDS[suffix])
            if _exact(digits, size, _SECONDS[suffix]):
                break
        else:
            digits = _plain(size * 1000)
    else:
        scale = {"k": Decimal(1000), "M": Decimal(1000000)}.get(suffix, Decimal(1))
        digits = _plain(size / scale)
        if not _exact(digits, size, scale):
            digits, suffix = _plain(size), ""
    money = "$" if number.unit == "money" else ""
    return Edit(number.span, f"{sign}{money}{digits}{suffix}")


def set_priority(rule: ast.Route | ast.Guard, priority: int) -> Edit:
    """Give a route or guard another priority."""
    if rule.priority is not None:
        return Edit(rule.priority.span, str(priority))
    return Edit(_end(rule.name.span), f" priority {priority}")


def add_conjunct(condition: ast.Expr, text: str) -> tuple[Edit, ...]:
    """Demand `text` of a condition too.

    Args:
        condition: what is demanded already.
        text: a condition that needs no parentheses beside ``and``.
    """
    ending = _end(condition.span)
    if isinstance(condition, ast.Or | ast.Implies):
        return (Edit(_begin(condition.span), "("), Edit(ending, f") and {text}"))
    return (Edit(ending, f" and {text}"),)


def insert_entry(source: Source, declaration: ast.Declaration, text: str) -> tuple[Edit, ...]:
    """Write an entry or statement at the end of a declaration's block, as the others stand there.

    One that has no block gets one.

    Args:
        source: the file.
        declaration: of that file; its kind can have a block.
        text: the entry on one line, without a comma, such as ``on_error: other``.
    """
    span = declaration.span
    place = source.text[span.start : span.end]
    block = _block(place)
    if block is None:
        return (_insert(source, span.end, f" {{ {text} }}"),)
    opening, end, closing, commas, indent = block
    comma_last = place[end - 1] == "," and end > opening
    inside = place[opening:closing]
    at = span.start + end
    if not inside.strip():
        return (Edit(source.span(span.start + opening, span.start + closing), f" {text} "),)
    if "\n" not in inside:
        loose = isinstance(declaration, ast.Route | ast.Guard) and not commas
        between = " " if comma_last or loose else ", "
        return (_insert(source, at, f"{between}{text}{',' if comma_last else ''}"),)
    if indent is None:
        own = source.text[line_start(source.text, span.start) :]
        indent = own[: _indent(own, 0)] + "  "
    stop = min(line_end(source.text, at), span.start + closing)
    if "\n" not in place[end:closing]:
        stop = at
    elif source.text[stop - 1] == "\r":
        stop -= 1
    newline = "\r\n" if "\r\n" in inside else "\n"
    line = f"{newline}{indent}{text}{',' if comma_last else ''}"
    if not commas or comma_last:
        return (_insert(source, stop, line),)
    if stop == at:
        return (_insert(source, at, "," + line),)
    return (_insert(source, at, ","), _insert(source, stop, line))


def _block(text: str) -> tuple[int, int, int, bool, str | None] | None:
    """The block that ends a declaration: offsets past its ``{``, of the end of its last token and
    of its ``}``; whether commas part its entries; and the indentation of those that begin a line.
    """
    tokens = [token for token in lex(text).tokens if token.kind != END]
    if not tokens or tokens[-1].kind != "RBRACE":
        return None
    depth, first = 0, len(tokens) - 1
    for index in range(len(tokens) - 1, -1, -1):
        depth += (tokens[index].kind in _CLOSING) - (tokens[index].kind in _OPENING)
        if depth == 0:
            first = index
            break
    commas, indent = False, None
    for token in tokens[first + 1 : -1]:
        if depth == 0 and token.kind == "COMMA":
            commas = True
        begin = line_start(text, token.start)
        if depth == 0 and begin > 0 and not text[begin : token.start].strip():
            indent = text[begin : token.start]
        depth += (token.kind in _OPENING) - (token.kind in _CLOSING)
    return tokens[first].end, tokens[-2].end, tokens[-1].start, commas, indent


def line_start(text: str, at: int) -> int:
    """Offset of the first code point of the line that `at` is on."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Offset of the ``\\n`` that ends the line that `at` is on, or of the end of the text."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def _comments_above(text: str, first: int, comments: Sequence[ast.Comment]) -> int:
    """Start of the first of the comment lines that reach down to the line starting at `first`."""
    index = bisect_left(comments, first, key=lambda comment: comment.span.start)
    while index > 0:
        begin = comments[index - 1].span.start
        start = line_start(text, begin)
        if text[start:begin].strip() or line_end(text, begin) + 1 != first:
            break
        first, index = start, index - 1
    return first


def _indent(text: str, at: int) -> int:
    """How many blanks and tabs stand at `at`."""
    end = at
    while end < len(text) and text[end] in " \t":
        end += 1
    return end - at


def _plain(value: Decimal) -> str:
    """The digits without an exponent, and without zeros that say nothing."""
    digits = format(value, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _exact(digits: str, size: Decimal, scale: Decimal) -> bool:
    _, _, fraction = digits.partition(".")
    return len(fraction) <= _PLACES and Decimal(digits) * scale == size


def _cut(source: Source, start: int, end: int) -> Edit:
    return Edit(source.span(start, end), "")


def _insert(source: Source, at: int, text: str) -> Edit:
    return Edit(source.span(at, at), text)


def _begin(span: Span) -> Span:
    return Span(span.file, span.start, span.start, span.line, span.column, span.line, span.column)


def _end(span: Span) -> Span:
    line, column = span.end_line, span.end_column
    return Span(span.file, span.end, span.end, line, column, line, column)
