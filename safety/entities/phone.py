"""Telephone numbers, validated by the numbering plans in `phonenumbers`.

An international number (``+`` and a country code) counts wherever it stands. A number
without one is only digits, so more is asked of it. Where the caller names a region it
must be valid there, and be written as a number (grouped, in brackets, or with the
trunk prefix 0) or be announced by words just before it (``call``, ``tel.``). Without a
region it must be announced and be written so, or have ten or eleven digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MIN_DIGITS = 7
_MAX_DIGITS = 15

# Digits with the usual signs among them, up to the first thing that no number has.
_BODY = r"\(?[0-9](?:[ ()./-]{0,3}[0-9]){6,19}+"
_INTERNATIONAL = re.compile(r"(?<![\w+])\+[ ]?" + _BODY)
_NATIONAL = re.compile(r"(?<![\w+.,/-])(?<![+0-9][ ])" + _BODY + r"(?!\w)(?![.,:/-][0-9])")
_DIGIT = re.compile(r"[0-9]")
_SEVEN_DIGITS = re.compile(r"[0-9](?:[ ()./-]{0,3}[0-9]){6}")
_SEPARATED = re.compile(r"\d[ ().-]+\d")
_DATE = re.compile(r"\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4}")
_ANNOUNCED = re.compile(
    r"(?:\b(?:tel(?:ephone|[eé]fono|efon[eo]?)?|t[eé]l[eé]phone|(?:cell|tele)?phone|cell|mobile?"
    r"|m[oó]vil|handy(?:nummer)?|portable|cellulare|celular|whats ?app|sms|text me|fax|rufnummer"
    r"|(?:call|reach|ring)(?: me| us)?(?: back)?|номер|телефон|тел)\b"
    r"|电话|手机|電話|携帯|전화)"
    r"(?: ?(?:no|nr|num|number|nummer|número|numéro|番号|번호|号码)\b)?"
    r"(?:[ \t.:=#,]{0,3}\b(?:is|ist|est|es|è|at|on)\b)?[ \t.:=#\"']{0,4}\Z",
    re.IGNORECASE,
)
_REACH = 40


def find(text: str, region: str | None = None) -> Iterator[tuple[int, int]]:
    """Yield the spans of the telephone numbers in a text.

    Args:
        text: a text as `ascii_shape` returns it.
        region: two-letter country code whose national numbers count, such as ``US``.
    """
    if not _SEVEN_DIGITS.search(text):
        return
    if "+" in text:
        for found in _INTERNATIONAL.finditer(text):
            end = _valid_end(text, found.start(), found.end(), None)
            if end:
                yield found.start(), end
    for found in _NATIONAL.finditer(text):
        start, end = found.span()
        digits = len(_DIGIT.findall(found.group()))
        if not _MIN_DIGITS <= digits <= _MAX_DIGITS or _DATE.match(found.group()):
            continue
        announced = _ANNOUNCED.search(text[max(0, start - _REACH) : start]) is not None
        if region is None:
            if announced and (_is_formatted(found.group()) or digits in (10, 11)):
                yield start, end
        elif (announced or _is_formatted(found.group())) and _is_valid(found.group(), region):
            yield start, end


def _valid_end(text: str, start: int, end: int, region: str | None) -> int:
    """Where the number that begins at `start` ends; 0 if there is none.

    What follows a number after a space may be more digits that are not its own: the
    last groups are dropped one by one until what is left is a number.
    """
    for _ in range(4):
        if _is_valid(text[start:end], region):
            return end
        cut = max(text.rfind(sign, start, end) for sign in " (/.-")
        while cut > start and text[cut - 1] in " ().-/":
            cut -= 1
        if cut <= start + 1:
            return 0
        end = cut
    return 0


def _is_valid(candidate: str, region: str | None) -> bool:
    import phonenumbers

    if not _MIN_DIGITS <= len(_DIGIT.findall(candidate)) <= _MAX_DIGITS + 3:
        return False
    try:
        number = phonenumbers.parse(candidate, region)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_valid_number(number))


def _is_formatted(candidate: str) -> bool:
    """Whether digits are written as a number to dial, and not as an amount or a reference."""
    return candidate[0] in "(0" or _SEPARATED.search(candidate) is not None
