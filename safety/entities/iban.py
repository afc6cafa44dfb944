"""International bank account numbers: country, length, structure and mod 97 (ISO 13616).

The registry of countries is schwifty's. Groups may be parted by one space or hyphen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

# It begins at the first check digit, which is rarer than a letter; the country before.
_CHECK_DIGITS = re.compile(
    r"[0-9](?<=[A-Za-z]{2}[0-9])(?<![^\W_][A-Za-z]{2}[0-9])[0-9](?=[ -]?[A-Za-z0-9])"
)
_SEPARATORS = str.maketrans("", "", " -")


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the IBANs in a text.

    Args:
        text: a text as `ascii_shape` returns it.
    """
    position = 0
    while (check := _CHECK_DIGITS.search(text, position)) is not None:
        start, position = check.start() - 2, check.end()
        whole = _pattern(text[start : start + 2].upper())
        candidate = whole.match(text, start) if whole is not None else None
        if candidate is not None and is_iban(candidate.group().translate(_SEPARATORS)):
            yield candidate.span()
            position = candidate.end()


def is_iban(compact: str) -> bool:
    """Whether a string without separators is a valid IBAN, in either case."""
    compact = compact.upper()
    if not (compact.isascii() and compact.isalnum()):
        return False
    rearranged = compact[4:] + compact[:4]
    # The cheap half first: schwifty then checks the country's own structure.
    if int("".join(str(int(c, 36)) for c in rearranged)) % 97 != 1:
        return False
    from schwifty import IBAN

    return bool(IBAN(compact, allow_invalid=True).is_valid)


@cache
def _pattern(country: str) -> re.Pattern[str] | None:
    """What the IBANs of a country look like with separators; ``None`` if it has none."""
    from schwifty import registry
    from schwifty.exceptions import SchwiftyException

    try:
        rest = registry.get_iban_spec(country).iban_length - 4
    except SchwiftyException:
        return None
    return re.compile(rf"[A-Za-z]{{2}}[0-9]{{2}}(?:[ -]?[A-Za-z0-9]){{{rest}}}(?![^\W_])")
