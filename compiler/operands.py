"""Edits that drop operands of ``and`` and ``or``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from routec.compiler.edits import line_end, line_start
from routec.dsl import ast
from routec.dsl.diagnostic import Edit
from routec.dsl.lexer import lex
from routec.dsl.source import Source

_Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the parts of a junction stand, as offsets in the file.

    Attributes:
        operands: with their own parentheses.
        operators: the one before each operand; of the first, none: (0, 0).
        comments: between the operands.
    """

    operands: list[_Stretch]
    operators: list[_Stretch]
    comments: list[_Stretch]

    def commented(self, start: int, end: int) -> bool:
        """Whether a comment stands in a stretch."""
        return any(start <= begin < end for begin, _ in self.comments)


def remove_operands(
    source: Source, junction: ast.And | ast.Or, dropped: Collection[int]
) -> tuple[Edit, ...]:
    """Drop some operands with their operators.

    An operand that has lines of its own takes these along, with the comment at
    their end; other comments stay. Parentheses around a single name that is left
    go too.

    Args:
        source: the file.
        junction: the ``and`` or ``or``, of that file.
        dropped: indices of operands; at least one, and not all.

    Raises:
        ValueError: nothing would go, or nothing be left.
    """
    text = source.text
    kept = [index for index in range(len(junction.operands)) if index not in dropped]
    if not kept or len(kept) == len(junction.operands):
        raise ValueError("some operands must go, and some be left")
    places = _places(text, junction)
    cuts = _leading(text, places, kept[0])
    for index in range(kept[0] + 1, len(junction.operands)):
        if index in dropped:
            cuts += _following(text, places, index, index + 1 in kept)
    if len(kept) == 1 and isinstance(junction.operands[kept[0]], ast.Ref):
        cuts += _parentheses(text, junction.span.start, junction.span.end)
    return tuple(
        Edit(source.span(start, end), " " if _would_join(text, start, end) else "")
        for start, end in _merged(cuts)
    )


def _places(text: str, junction: ast.And | ast.Or) -> _Places:
    starts, ends = [junction.span.start], []
    operators: list[_Stretch] = [(0, 0)]
    comments: list[_Stretch] = []
    for left, right in zip(junction.operands, junction.operands[1:], strict=False):
        base = left.span.end
        lexed = lex(text[base : right.span.start])
        end, start = base, right.span.start
        for kind, begin, stop in reversed(lexed.tokens):
            if kind in ("AND", "OR"):
                operators.append((base + begin, base + stop))
            elif kind == "LPAR":
                start = base + begin
        for kind, _, stop in lexed.tokens:
            if kind != "RPAR":
                break
            end = base + stop
        ends.append(end)
        starts.append(start)
        comments += ((base + begin, base + stop) for begin, stop in lexed.comments)
    ends.append(junction.span.end)
    return _Places(list(zip(starts, ends, strict=True)), operators, comments)


def _leading(text: str, places: _Places, first: int) -> list[_Stretch]:
    """What to cut so that the operand `first` begins the junction."""
    if first == 0:
        return []
    start, end = places.operands[0][0], places.operands[first][0]
    own_lines = any(
        start <= begin < end and not text[line_start(text, begin) : begin].strip()
        for begin, _ in places.comments
    )
    if not own_lines:
        return [(start, end)]
    # Lines of comments between the operands stay: cut around them.
    cuts: list[_Stretch] = []
    for index in range(first):
        (begin, stop), (operator, past) = places.operands[index], places.operators[index + 1]
        if places.commented(stop, operator):
            cuts.append(_widened(text, begin, stop, None, takes_comment=False))
            begin = operator
        cuts.append(_widened(text, begin, past, None, takes_comment=False))
    return cuts


def _following(text: str, places: _Places, index: int, next_kept: bool) -> list[_Stretch]:
    """What to cut for an operand that is not the first one."""
    start, end = places.operands[index]
    operator, past = places.operators[index]
    split = places.commented(past, start)
    if next_kept and (split or not text[line_start(text, start) : start].strip()):
        # It stands on lines of its own, and the operator that goes is the one behind it.
        stop = places.operators[index + 1][1]
        rest = text[stop : line_end(text, stop)].strip()
        if not places.commented(end, stop) and (not rest or rest.startswith("#")):
            return [_widened(text, start, stop, None, takes_comment=True)]
    if not split:
        before = places.operands[index - 1][1]
        free = not places.commented(before, operator)
        return [_widened(text, operator, end, before if free else None, takes_comment=True)]
    return [
        _widened(text, operator, past, None, takes_comment=False),
        _widened(text, start, end, None, takes_comment=True),
    ]


def _widened(
    text: str, start: int, end: int, before: int | None, *, takes_comment: bool
) -> _Stretch:
    """A cut with the blank space, or the lines, that nobody needs without it.

    Args:
        text: the whole text.
        start: where the cut starts.
        end: where it ends.
        before: end of the code before it, where only white space stands between.
        takes_comment: whether the comment at the end of lines that are cut whole goes too.
    """
    first, last = line_start(text, start), line_end(text, end)
    lead, rest = text[first:start], text[end:last].strip()
    whole = not rest or (takes_comment and rest.startswith("#"))
    if lead.strip():
        return first + len(lead.rstrip()), end
    if whole:
        return first, min(last + 1, len(text))
    if before is not None and not rest.startswith("#"):
        return before, end
    return start, end + _blanks(text, end)


def _parentheses(text: str, start: int, end: int) -> list[_Stretch]:
    """The pairs of parentheses right around a stretch."""
    cuts: list[_Stretch] = []
    while True:
        left = len(text[:start].rstrip()) - 1
        right = len(text) - len(text[end:].lstrip())
        if left < 0 or right >= len(text) or text[left] != "(" or text[right] != ")":
            return cuts
        if "#" in text[line_start(text, left) : left]:
            return cuts  # perhaps in a comment
        cuts += (left, start), (end, right + 1)
        start, end = left, right + 1


def _merged(cuts: list[_Stretch]) -> list[_Stretch]:
    merged: list[_Stretch] = []
    for start, end in sorted(cuts):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _would_join(text: str, start: int, end: int) -> bool:
    """Whether a cut would make one word of two."""
    before, after = text[:start][-1:], text[end : end + 1]
    return _in_word(before) and _in_word(after)


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _blanks(text: str, at: int) -> int:
    rest = text[at:]
    return len(rest) - len(rest.lstrip(" \t"))
