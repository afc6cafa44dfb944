"""Characters of other scripts that are read as Latin letters or digits.

Two sources, so that little is typed by hand:

* **By name.** The Unicode names of the small capitals, of the squared, circled and
  regional-indicator letters, and of the phonetic variants say which Latin letter
  they are (``LATIN LETTER SMALL CAPITAL G``). NFKC leaves all of these alone.
* **By shape.** Names cannot tell that CYRILLIC SMALL LETTER ER looks like p. Those
  pairs are listed below, for Cyrillic, Greek, Armenian and Cherokee; they are the
  single-letter look-alikes of Unicode Technical Standard 39 for these scripts.

Fullwidth, mathematical and circled letters are not here: NFKC has folded them.
"""

from __future__ import annotations

import unicodedata
from functools import cache

# Each line: look-alikes, then the Latin letters they are read as, in step.
_BY_SHAPE = (
    # Cyrillic
    ("асеорхуіјѕһԁԛԝӏвкмнтгпьё", "aceopxyijshdqwlbkmhtrnbe"),
    ("АВЕЗКМНОРСТУХІЈЅҺԌԚԜҮӀЬ", "ABE3KMHOPCTYXIJSHGQWYIb"),
    # Greek
    ("αβγειικνορτυχωϲϳήίόύάέ", "aByeiikvoptuxwcjniouae"),
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϳ", "ABEZHIKMNOPTYXCj"),
    # Armenian
    ("աոսցհօքզՕՍՏԼ", "wnugh" + "oqqOUSL"),
    # Cherokee
    ("ᎪᎠᏴᏟᎬᏀᎻᎥᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ", "ADBCEGHIJKLMPRSTVWZ"),
)

_NAMED = (
    "LATIN LETTER SMALL CAPITAL ",
    "NEGATIVE SQUARED LATIN CAPITAL LETTER ",
    "NEGATIVE CIRCLED LATIN CAPITAL LETTER ",
    "REGIONAL INDICATOR SYMBOL LETTER ",
)
_PHONETIC = {
    "LATIN SMALL LETTER ALPHA": "a",
    "LATIN SMALL LETTER SCRIPT G": "g",
    "LATIN SMALL LETTER IOTA": "i",
    "LATIN SMALL LETTER DOTLESS I": "i",
    "LATIN SMALL LETTER DOTLESS J": "j",
}
_BLOCKS = (
    (0x0131, 0x0132),
    (0x0237, 0x0238),
    (0x0250, 0x02B0),
    (0x1D00, 0x1D80),
    (0xA730, 0xA7FB),
    (0x1F150, 0x1F18A),
    (0x1F1E6, 0x1F200),
)


@cache
def by_shape() -> dict[str, str]:
    """Letters of other scripts and the Latin letter (or digit) each looks like."""
    table: dict[str, str] = {}
    for look_alikes, latin in _BY_SHAPE:
        table.update(zip(look_alikes, latin, strict=True))
    return table


@cache
def by_name() -> dict[str, str]:
    """Odd forms of Latin letters, which no orthography writes whole words in."""
    table: dict[str, str] = {}
    for low, high in _BLOCKS:
        for code in range(low, high):
            character = chr(code)
            name = unicodedata.name(character, "")
            letter = _PHONETIC.get(name)
            for prefix in _NAMED:
                rest = name.removeprefix(prefix)
                if rest != name and len(rest) == 1:
                    letter = rest.lower()
            if letter is not None:
                table[character] = letter
    return table
