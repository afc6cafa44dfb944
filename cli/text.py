"""Text that came from outside, made fit for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import category

TAB = 4
"""Columns between tab stops."""

# Controls, format characters that reorder what is read, line and paragraph separators, and halves
# of surrogate pairs: a policy must not steer the terminal of whoever checks it.
_HIDDEN = frozenset({"Cc", "Zl", "Zp", "Cs"})
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str) -> str:
    """The text with everything that could move the cursor or reorder it replaced by ``�``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("�" if _steers(c) else c for c in text)


def expanded(text: str) -> str:
    """One line of source, `visible` and with tabs as spaces up to the next tab stop."""
    if "\t" not in text:
        return visible(text)
    parts = text.split("\t")
    line = ""
    for part in parts[:-1]:
        line += visible(part)
        line += " " * (TAB - width(line) % TAB)
    return line + visible(parts[-1])


def width(text: str) -> int:
    """Columns that a text takes on a terminal; it holds no controls."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # only what is not ASCII pays for it

    return cell_len(text)


def wrapped(pieces: Iterable[str], columns: int) -> list[str]:
    """Pieces joined by spaces on lines of at most so many columns, at least one line.

    A longer piece stands alone; spaces at which a line ends are gone.
    """
    lines: list[str] = []
    current = ""
    for piece in pieces:
        longer = f"{current} {piece}" if current else piece
        if current and width(longer) > columns:
            lines.append(current.rstrip(" "))
            longer = piece
        current = longer
    return [*lines, current]


def _steers(character: str) -> bool:
    return category(character) in _HIDDEN or character in _REORDERING
