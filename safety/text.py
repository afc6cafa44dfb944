"""The one normal form that every signal reads, and the way back to the original.

`normalise` does three things, in this order:

1. **Invisible characters are removed**: every code point with the Unicode
   property Default_Ignorable_Code_Point (soft hyphen, combining grapheme
   joiner, zero-width space, joiner and non-joiner, bidirectional controls,
   word joiner and the other format characters of U+2060..206F, Hangul fillers,
   variation selectors, byte order mark, musical and shorthand format controls,
   tag characters and the rest of U+E0000..E0FFF), the interlinear annotation
   marks U+FFF9..FFFB, and the control characters of C0 and C1 that are not
   white space. A lone surrogate becomes U+FFFD, because no encoder takes it.
2. **NFKC**.
3. **A run of combining marks is cut after `MAX_MARKS`**, the bound that UAX 15
   (section 13, Stream-Safe Text) calls far beyond any real writing. Without it
   canonical reordering takes quadratic time on hostile text.

White space is left alone (NFKC turns no-break and other fixed-width spaces into
U+0020; line breaks stay). The result is idempotent, and plain ASCII comes back as
the same object. Time is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from dataclasses import dataclass
from functools import cache

NORMALISER_VERSION = f"nfkc-1/unicode-{unicodedata.unidata_version}"
"""Names the rules above and the Unicode data they ran on.

Part of a program's hash: two workers whose value differs may read a text differently.
"""

MAX_MARKS = 30
"""Most combining marks in a row that are kept."""

# DerivedCoreProperties.txt, Default_Ignorable_Code_Point; the range of tag
# characters holds unassigned code points on purpose: they stay ignorable for ever.
_DEFAULT_IGNORABLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
_ANNOTATION = ((0xFFF9, 0xFFFB),)
_CONTROLS = ((0x00, 0x08), (0x0E, 0x1B), (0x7F, 0x84), (0x86, 0x9F))

# Letters, not marks, that still compose with the character before them: the
# vowels and finals of conjoining Hangul, and the Kirat Rai vowel signs.
_JOINING_LETTERS = ((0x1161, 0x1175), (0x11A8, 0x11C2), (0x16D63, 0x16D6A))


def _class(*ranges: tuple[int, int]) -> str:
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)


_ASCII_CONTROLS = bytes((*range(0x00, 0x09), *range(0x0E, 0x1C), 0x7F))
_REMOVED = _class(*_DEFAULT_IGNORABLE, *_ANNOTATION, *_CONTROLS)
_INVISIBLE = re.compile(f"[{_REMOVED}]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNCLEAN = re.compile(f"[{_REMOVED}\ud800-\udfff]")


@cache
def _classes() -> tuple[str, str]:
    """Two patterns for one character: marks, and everything that may join its predecessor.

    A code point counts by the first character of its compatibility decomposition:
    a mark, or (second pattern) one of the joining letters too. Built on the first
    text that needs it, which a program that only meets ASCII never pays for.
    """
    marks: list[tuple[int, int]] = []
    joining: list[tuple[int, int]] = []
    for code in (*range(0x300, 0xAC00), *range(0xF900, 0x20000)):
        first = unicodedata.normalize("NFKD", chr(code))[0]
        if unicodedata.category(first)[0] == "M":
            _extend(marks, code)
            _extend(joining, code)
        elif any(low <= ord(first) <= high for low, high in _JOINING_LETTERS):
            _extend(joining, code)
    return _split_class(marks), _split_class(joining)


def _extend(ranges: list[tuple[int, int]], code: int) -> None:
    # No range crosses U+10000: see `_split_class`.
    if ranges and ranges[-1][1] == code - 1 and code != 0x10000:
        ranges[-1] = (ranges[-1][0], code)
    else:
        ranges.append((code, code))


def _split_class(ranges: list[tuple[int, int]]) -> str:
    # The engine looks a class up in a bitmap only if it lies within U+0000..FFFF.
    basic = _class(*(span for span in ranges if span[0] < 0x10000))
    astral = _class(*(span for span in ranges if span[0] >= 0x10000))
    return f"(?:[{basic}]|[{astral}])"


@cache
def _mark_run() -> re.Pattern[str]:
    """Finds quickly (not exactly) where a text may have a long run of marks."""
    basic = _classes()[0].removeprefix("(?:").partition("|")[0]
    astral = "[\U00010000-\U0001ffff]"
    return re.compile(f"{basic}(?:{basic}|{astral})|{astral}{{2}}")


@cache
def _long_mark_run() -> re.Pattern[str]:
    mark = _classes()[0]
    return re.compile(f"{mark}{{{MAX_MARKS}}}{mark}+")


@cache
def _segment() -> re.Pattern[str]:
    return re.compile(f"(?s:.){_classes()[1]}*")


def _cut_marks(text: str) -> str:
    if len(text) <= MAX_MARKS or not _mark_run().search(text):
        return text
    return _long_mark_run().sub(lambda run: run.group()[:MAX_MARKS], text)


def _compose(text: str) -> str:
    """NFKC of visible text, in linear time."""
    text = _cut_marks(text)
    if unicodedata.is_normalized("NFKC", text):
        return text
    # Compatibility expansions may have brought new marks.
    return _cut_marks(unicodedata.normalize("NFKC", text))


def normalise(text: str) -> str:
    """Return the normal form of a text that every signal reads.

    Args:
        text: any Python string; lone surrogates are allowed.

    Returns:
        The text without invisible characters, in NFKC. At most 18 times as long
        (the longest compatibility expansion of one character).
    """
    if text.isascii():
        kept = text.encode().translate(None, _ASCII_CONTROLS)
        return text if len(kept) == len(text) else kept.decode()
    if _UNCLEAN.search(text):
        text = _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", text))
    return text if text.isascii() else _compose(text)


def fold(text: str) -> str:
    """Return the case-folded form of a normalised text, for caseless comparison.

    Full Unicode case folding (ß becomes ss) followed by NFKC, so lengths may
    change; the analogue of NFKC_Casefold. Idempotent on normalised text.

    Args:
        text: what `normalise` returned.
    """
    if text.isascii():
        return text.lower()
    folded = text.casefold()
    if folded == text:
        return text
    # Folding may undo a composition, and composing may bring a new capital.
    return _compose(_compose(folded).casefold())


@dataclass(frozen=True, slots=True)
class Normalised:
    """A normalised text that remembers where each of its characters came from.

    Attributes:
        text: the normal form, equal to ``normalise(original)``.
        original: the text as it came.
        starts: for each code point of `text`, where its source begins in
            `original`; ``None`` when the two texts are the same.
        ends: likewise where its source ends (exclusive).
    """

    text: str
    original: str
    starts: array[int] | None = None
    ends: array[int] | None = None

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Return the part of `original` that the code points start..end came from.

        Everything that any of them was made of is inside, and so are invisible
        characters between them. Where one original character became several (or
        several became one) the whole of it is inside, even if the span holds only
        a part: masking the answer in the original leaves nothing of the span.

        Args:
            start: first code point in `text`.
            end: one past the last, ``start <= end <= len(text)``.

        Returns:
            A half-open span of code points of `original`; empty for an empty span.

        Raises:
            ValueError: the span does not lie in `text`.
        """
        if not 0 <= start <= end <= len(self.text):
            raise ValueError(f"span {start}..{end} is not in a text of {len(self.text)} characters")
        if self.starts is None or self.ends is None:
            return start, end
        if start == end:
            at = self.starts[start] if start < len(self.starts) else len(self.original)
            return at, at
        return self.starts[start], self.ends[end - 1]


def align(text: str) -> Normalised:
    """Normalise a text and keep the way back, for masking spans in the original.

    Costs more than `normalise` on text that is not in normal form already (one
    step a character), so it is for the texts that are really to be masked.

    Args:
        text: the text as it came.
    """
    normal = normalise(text)
    if normal == text:
        return Normalised(normal, text)
    pieces: list[str] = []
    starts, ends = array("q"), array("q")
    visible, origin = _visible(text)
    for segment in _segment().finditer(visible):
        piece = _compose(segment.group())
        pieces.append(piece)
        first, last = origin[segment.start()], origin[segment.end() - 1] + 1
        starts.extend([first] * len(piece))
        ends.extend([last] * len(piece))
    if "".join(pieces) != normal:
        # Only Unicode data in which other letters join could get here: the whole
        # text is then one segment, which is coarse but still covers everything.
        starts = array("q", [0]) * len(normal)
        ends = array("q", [len(text)]) * len(normal)
    return Normalised(normal, text, starts, ends)


def _visible(text: str) -> tuple[str, array[int]]:
    """The text without invisible characters, and where each of the rest stood."""
    kept: list[str] = []
    origin = array("q")
    position = 0
    for gap in _INVISIBLE.finditer(text):
        kept.append(text[position : gap.start()])
        origin.extend(range(position, gap.start()))
        position = gap.end()
    kept.append(text[position:])
    origin.extend(range(position, len(text)))
    return _SURROGATE.sub("\ufffd", "".join(kept)), origin
