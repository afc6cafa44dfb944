"""United States social security numbers.

Nine digits have no checksum: of random ones nearly nine in ten are issuable. So the
dashed shape counts by itself, and nine bare or spaced digits only just after words
that announce them. Never issued (area 000, 666 or 900..999, group 00, serial 0000) and
publicly voided numbers do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NUMBER = re.compile(r"[0-9](?<![\w.+-][0-9])[0-9]{2}([ -]?)[0-9]{2}\1[0-9]{4}(?![\w-])(?!\.[0-9])")
_ANNOUNCED = re.compile(
    r"\b(?:ssns?|soc(?:ial)?\.? sec(?:urity)?|tax(?:payer)? id(?:entification)?|itin)\b",
    re.IGNORECASE,
)
_REACH = 48
_VOIDED = frozenset({"078051120", "219099999", "457555462"})


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the social security numbers in a text.

    Args:
        text: a text as `ascii_shape` returns it.
    """
    for found in _NUMBER.finditer(text):
        digits = found.group().replace(found[1], "") if found[1] else found.group()
        if not is_issuable(digits[:3], digits[3:5], digits[5:]):
            continue
        before = text[max(0, found.start() - _REACH) : found.start()]
        if found[1] == "-" or _ANNOUNCED.search(before):
            yield found.span()


def is_issuable(area: str, group: str, serial: str) -> bool:
    """Whether the three parts may form a number that was issued to a person."""
    return (
        area not in ("000", "666")
        and area < "900"
        and group != "00"
        and serial != "0000"
        and area + group + serial not in _VOIDED
    )
