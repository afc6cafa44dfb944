"""Ways to hide an attack from a reader of plain text."""

from __future__ import annotations

import base64
import codecs
from random import Random

from routec.cli.demo.traffic.draw import chance

_LOOKALIKES = str.maketrans("aceiopsxyACEHIKMOPTX", "асеіорѕхуАСЕНІКМОРТХ")  # Latin to Cyrillic
_ZERO_WIDTH = ("\u200b", "\u200c", "\u200d", "\u2060")


def in_base64(text: str) -> str:
    """Base64 (RFC 4648) of the UTF-8 bytes."""
    return base64.b64encode(text.encode()).decode()


def in_rot13(text: str) -> str:
    """Latin letters moved by 13 places."""
    return codecs.encode(text, "rot13")


def in_homoglyphs(text: str) -> str:
    """Latin letters replaced by Cyrillic ones that look the same."""
    return text.translate(_LOOKALIKES)


def with_zero_width(text: str, rng: Random) -> str:
    """Invisible characters between about a third of the letters."""
    out: list[str] = []
    for char in text:
        out.append(char)
        if char.isalpha() and chance(rng, 0.35):
            out.append(_ZERO_WIDTH[int(rng.random() * len(_ZERO_WIDTH))])
    return "".join(out)
