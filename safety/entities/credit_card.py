"""Payment card numbers: issuer ranges and lengths, Luhn's checksum, the usual grouping.

Ranges from ISO/IEC 7812 registrations as published by the networks. Of random strings
of sixteen digits one in ten passes Luhn alone; with the issuer ranges three in a hundred.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# (first prefix, last prefix, lengths): a number belongs to the network if its leading
# digits, as many as the prefixes have, lie between them.
_ISSUERS = (
    (4, 4, (13, 16, 19)),  # Visa
    (51, 55, (16,)),  # Mastercard
    (2221, 2720, (16,)),  # Mastercard
    (34, 34, (15,)),  # American Express
    (37, 37, (15,)),  # American Express
    (300, 305, (14, 16, 19)),  # Diners Club
    (36, 36, (14, 16, 19)),  # Diners Club
    (38, 39, (14, 16, 19)),  # Diners Club
    (6011, 6011, (16, 19)),  # Discover
    (644, 659, (16, 19)),  # Discover
    (3528, 3589, (16, 19)),  # JCB
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (5018, 5018, (16, 18, 19)),  # Maestro
    (5020, 5020, (16, 18, 19)),  # Maestro
    (5038, 5038, (16, 18, 19)),  # Maestro
    (6304, 6304, (16, 18, 19)),  # Maestro
    (6759, 6759, (16, 18, 19)),  # Maestro
    (6761, 6763, (16, 18, 19)),  # Maestro
    (2200, 2204, (16, 17, 18, 19)),  # Mir
    (508, 508, (16,)),  # RuPay
    (817, 822, (16,)),  # RuPay
    (9792, 9792, (16,)),  # Troy
)
_LENGTHS = frozenset(length for *_, lengths in _ISSUERS for length in lengths)
_GROUPINGS = frozenset(
    {(4, 4, 4, 4), (4, 4, 4, 1), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2),
     (4, 4, 4, 4, 3), (6, 13), (8, 8), (6, 10), (4, 4, 4, 2), (5, 5, 5)}
)  # fmt: skip
_MAX_GROUPS = 5

# Groups of digits with something short between them. Numbers stuck to letters, or
# with a decimal point or comma against them, are something else.
_CHAIN = re.compile(r"(?<!\w)(?<![0-9][.,])[0-9]{1,19}+(?:[ \t.-]{1,3}[0-9]{1,19}+)*+(?!\w)")
_DIGITS = re.compile(r"[0-9]+")
_SIXTEEN_OR_SO = re.compile(r"[0-9](?:[ \t.-]{0,3}[0-9]){12}")


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the card numbers in a text, those of one stretch of digits together.

    Args:
        text: a text as `ascii_shape` returns it.
    """
    if not _SIXTEEN_OR_SO.search(text):
        return
    for chain in _CHAIN.finditer(text):
        if chain.end() - chain.start() < min(_LENGTHS):
            continue
        groups = [(g.start(), g.end()) for g in _DIGITS.finditer(text, *chain.span())]
        for first, width in _cards(text, groups):
            yield groups[first][0], groups[first + width - 1][1]


def _cards(text: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where card numbers begin among groups of digits, and how many groups each has.

    A number that a point joins to a card number is no decimal for that.
    """
    first = free = 0  # the first group that may be part of one; those before `free` are not
    while first < len(groups):
        width = _card_at(text, groups, first, free, len(groups))
        if not width:
            first += 1
            continue
        yield first, width
        # With this one known, those before it may be card numbers after all.
        end, before = first, first - 1
        while before >= free and _card_at(text, groups, before, free, end) == 1:
            yield before, 1
            end, before = before, before - 1
        first = free = first + width


def _card_at(text: str, groups: list[tuple[int, int]], first: int, free: int, end: int) -> int:
    """How many groups from `first` on make a card number; 0 if none do.

    Args:
        text: the text.
        groups: spans of its digits.
        first: the first of them.
        free: those before it are told already.
        end: and those from here on.
    """
    for width in range(min(_MAX_GROUPS, end - first), 0, -1):
        part = groups[first : first + width]
        sizes = tuple(stop - start for start, stop in part)
        if width == 1:
            before = first > free and _is_point(text, groups[first - 1], part[0])
            after = first + 1 < end and _is_point(text, part[0], groups[first + 1])
            if sizes[0] not in _LENGTHS or before or after:
                continue
        elif sizes not in _GROUPINGS:
            continue
        if is_card_number("".join(text[start:stop] for start, stop in part)):
            return width
    return 0


def _is_point(text: str, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether nothing but a point stands between two groups."""
    return text[one[1] : other[0]] == "."


def is_card_number(digits: str) -> bool:
    """Whether a string of ASCII digits lies in an issuer's range and passes Luhn's check."""
    size = len(digits)
    return (
        size in _LENGTHS
        and any(
            size in lengths and low <= int(digits[: len(str(low))]) <= high
            for low, high, lengths in _ISSUERS
        )
        and luhn(digits)
    )


def luhn(digits: str) -> bool:
    """Whether a string of ASCII digits passes Luhn's check (ISO/IEC 7812-1, annex B)."""
    total = sum(int(d) for d in digits[-1::-2])
    return (total + sum(_DOUBLED[int(d)] for d in digits[-2::-2])) % 10 == 0


_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
