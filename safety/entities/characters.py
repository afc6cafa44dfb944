"""One ASCII stand-in for each character that people type numbers and addresses with."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_NON_ASCII = re.compile(r"[^\x00-\x7f]")


def ascii_shape(text: str) -> str:
    """Return a text of the same length whose digits and separators are ASCII.

    A decimal digit of any script becomes 0 to 9, a space of any width a space, a dash
    of any width ``-``, and a compatibility form (fullwidth ``＠``) its ASCII character.
    Everything else stays, so offsets hold in both texts.

    Args:
        text: any string.
    """
    return text if text.isascii() else _NON_ASCII.sub(_stand_in_of, text)


def _stand_in_of(found: re.Match[str]) -> str:
    return _stand_in(found.group())


@lru_cache(maxsize=4096)
def _stand_in(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Zs":
        return " "
    if category == "Pd" or character == "\u2212":
        return "-"
    compatible = unicodedata.normalize("NFKC", character)
    return compatible if len(compatible) == 1 and compatible.isascii() else character
