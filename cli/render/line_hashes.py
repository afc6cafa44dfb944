"""Hashes of lines that stay the same while a file grows around them."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from itertools import accumulate

_BLOCK = 100
_BASE = 37
_MASK = (1 << 64) - 1
_END = 0xFFFF
_LEAVES = _BASE**_BLOCK & _MASK


def line_hashes(text: str, lines: Iterable[int]) -> dict[int, str]:
    """What GitHub code scanning calls ``primaryLocationLineHash``, of some lines.

    The polynomial hash (base 37, modulo 2**64) of the 100 UTF-16 units from the start of
    a line on, blanks and tabs left out, in hexadecimal; and after a colon, how many lines
    up to this one have it. It is what GitHub computes itself where a report gives none, so
    reports with and without it agree.

    Args:
        text: the whole text.
        lines: numbers from 1; those beyond the end are left out of the result.
    """
    wanted = set(lines)
    squeezed = text.replace("\r\n", "\n").translate({9: None, 32: None})
    units = array("H", squeezed.encode("utf-16-le", "surrogatepass"))
    if sys.byteorder == "big":
        units.byteswap()
    units.append(_END)
    count = len(units)
    units.extend([0] * _BLOCK)
    # The hash of any stretch follows from those of the two prefixes that it lies between.
    prefixes = array("Q", accumulate(units, lambda h, unit: h * _BASE + unit & _MASK, initial=0))
    hashes: dict[int, str] = {}
    seen: dict[int, int] = {}
    start, number = 0, 1
    while start < count:
        value = prefixes[start + _BLOCK] - prefixes[start] * _LEAVES & _MASK
        seen[value] = seen.get(value, 0) + 1
        if number in wanted:
            hashes[number] = f"{value:x}:{seen[value]}"
        try:
            start = units.index(10, start, count) + 1
        except ValueError:
            break
        number += 1
    return hashes
