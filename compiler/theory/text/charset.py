"""Sets of characters, as sorted ranges of code points.

Case-insensitive and Unicode classes are not worked out from tables of our own: RE2
itself is asked which characters of Unicode a class holds, so the two cannot differ.
"""

from __future__ import annotations

import re
import sys
from array import array
from bisect import bisect_right
from functools import cache

import re2

from routec.compiler.theory.text.normal import UNSPACED, is_mark

LAST = 0x10FFFF
Ranges = tuple[tuple[int, int], ...]
"""Inclusive ranges of code points, ascending, apart."""

EVERYTHING: Ranges = ((0, LAST),)
NEWLINE: Ranges = ((10, 10),)


def ranges(*spans: tuple[int, int]) -> Ranges:
    """Return the union of inclusive ranges, in any order."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(of: Ranges) -> Ranges:
    """Return all other code points."""
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in of:
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        gaps.append((start, LAST))
    return tuple(gaps)


def holds(of: Ranges, code: int) -> bool:
    """Whether a code point is in a set."""
    at = bisect_right(of, (code, LAST + 1)) - 1
    return at >= 0 and code <= of[at][1]


ASCII_WORD = ranges((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
"""What ``\\w`` holds in RE2, and what ``\\b`` looks at."""


@cache
def asked_of_re2(source: str, flags: str) -> Ranges:
    """Return what a pattern for one character holds, by trying all of Unicode.

    Args:
        source: a class, escape or literal in RE2 syntax.
        flags: ``i`` and ``s``, or neither.

    Raises:
        re2.error: RE2 refuses it.
    """
    options = re2.Options()
    options.log_errors = False
    group = f"(?{flags}:{source})+" if flags else f"(?:{source})+"
    data = _unicode()
    found: list[tuple[int, int]] = []
    for hit in re2.compile(group, options).finditer(data):
        start, end = hit.span()
        last = end - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        found.append((_first(data, start), _first(data, last)))
    # A run may bridge the surrogates, which no text holds anyway.
    return ranges(*found)


def _first(data: bytes, at: int) -> int:
    """The code point whose bytes begin at a place."""
    lead = data[at]
    length = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    return ord(data[at : at + length].decode())


@cache
def _unicode() -> bytes:
    return _characters(range(0xD800)).encode() + _characters(range(0xE000, LAST + 1)).encode()


def _characters(codes: range) -> str:
    """All characters of a range, quickly."""
    words = array("I", codes)
    return words.tobytes().decode(f"utf-32-{sys.byteorder[0]}e", "surrogatepass")


@cache
def word_extenders() -> Ranges:
    """Return the characters that make a hit beside them part of a longer word."""
    text = _characters(range(LAST + 1))
    words = [(m.start(), m.end() - 1) for m in re.finditer(r"\w+", text)]
    plain = complement(ranges(*words))
    marks = [
        (code, code)
        for low, high in plain
        for code in range(low, min(high, 0x20000) + 1)
        if is_mark(chr(code))
    ]
    tags = [(0xE0100, 0xE01EF)]
    spaced = complement(ranges(*UNSPACED))
    return intersection(ranges(*words, *marks, *tags), spaced)


@cache
def white_space() -> Ranges:
    """Return the characters that separate the words of a phrase."""
    return ranges(*((code, code) for code in range(0x3001) if chr(code).isspace()))


def intersection(one: Ranges, other: Ranges) -> Ranges:
    """Return the code points in both sets."""
    return complement(ranges(*complement(one), *complement(other)))
