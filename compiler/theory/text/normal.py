"""The normal form of text, and the characters of it that the theory tells apart.

The rules are those of the scanner that runs in production; the tests hold the two
equal. Texts here are short, so the plain way is taken everywhere.
"""

from __future__ import annotations

import re
import unicodedata

MAX_MARKS = 30
"""Most combining marks in a row that are kept."""

_REMOVED = re.compile(
    "["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
    "]+"
)
_SURROGATE = re.compile("[\ud800-\udfff]")

# Thai, Lao, Myanmar, Khmer, Kana and Han: scripts written without spaces.
UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x19E0, 0x19FF),
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3038, 0x303B),
    (0x3041, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x323AF),
)
"""Inclusive ranges of code points whose neighbours never make a longer word of them."""


def normalise(text: str) -> str:
    """Return the normal form of a text that every signal reads: visible, in NFKC."""
    text = _SURROGATE.sub("\ufffd", _REMOVED.sub("", text))
    if text.isascii():
        return text
    return _compose(text)


def fold(text: str) -> str:
    """Return the case-folded form of a normalised text."""
    if text.isascii():
        return text.lower()
    return _compose(_compose(text.casefold()).casefold())


def collapse(text: str) -> str:
    """Return a text with each run of white space, outer ones too, as one space."""
    words = " ".join(text.split())
    if not words:
        return " " if text else ""
    return (" " if text[0].isspace() else "") + words + (" " if text[-1].isspace() else "")


def is_mark(character: str) -> bool:
    """Whether a character is a combining mark."""
    return unicodedata.category(character)[0] == "M"


def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script written without spaces."""
    code = ord(character)
    return code >= UNSPACED[0][0] and any(low <= code <= high for low, high in UNSPACED)


def extends_word(character: str) -> bool:
    """Whether a neighbour of a hit makes the hit part of a longer word."""
    word = character.isalnum() or character == "_" or is_mark(character)
    return word and not is_unspaced(character)


def _compose(text: str) -> str:
    text = _cut_marks(text)
    return _cut_marks(unicodedata.normalize("NFKC", text))


def _cut_marks(text: str) -> str:
    if len(text) <= MAX_MARKS:
        return text
    kept: list[str] = []
    run = 0
    for character in text:
        run = run + 1 if is_mark(unicodedata.normalize("NFKD", character)[0]) else 0
        if run <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)
