"""What a disguised text says: decoded views of its suspicious runs.

Safety signals read these beside the text itself, so that an instruction hidden in
base64, in rot13 or behind look-alike letters is judged by what it says. Text that is
not suspicious has no views, and costs little.

* **base64** (standard or URL-safe alphabet, padded or not, lines wrapped or not): a run of at
  least `MIN_BASE64` characters whose bytes are UTF-8 and nearly all printable. The
  view is the decoded text alone, of all such runs together.
* **rot13**: a run of words whose letters fit English far better after rot13 than
  before (see `routec.safety.rot13`). The view is the run decoded in place.
* **Look-alikes**: a word that mixes Latin letters with letters of another script that
  are read as Latin, or that is written in small capitals, boxed letters or with
  overlay marks; and words written with digits and signs for letters (l33t), where
  at least two words of the text do so between letters. The view is the text
  around those words with them spelled plainly.

A view is itself looked into once more (base64 inside base64, rot13 inside base64).
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata

from routec.safety import rot13
from routec.safety._ordinary import is_ordinary
from routec.safety.confusables import by_name, by_shape
from routec.safety.text import normalise

MAX_VIEWS = 8
"""Most views of one text; the first ones found are kept."""

MAX_VIEW = 32_768
"""Most code points of one view."""

MAX_DEPTH = 2
"""How many disguises on top of each other are taken off."""

MIN_BASE64 = 16
"""Fewest characters of a base64 run: twelve bytes, a short command."""

MIN_PRINTABLE = 0.95
"""Share of decoded characters that must be printable or white space."""

MAX_PIECES = 8
"""Parts of a run between slashes, hyphens and underscores that are tried by themselves."""

CONTEXT = 160
"""Code points kept on either side of a word that was respelled in place."""

MIN_LEET = 2
"""Fewest words with digits or signs between letters, for which a text counts as l33t."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}+(?:\r?\n[ \t]*[A-Za-z0-9+/_-]{2,}+)*+={0,2}")
_BASE64_PIECE = re.compile(r"[A-Za-z0-9]{16,}+")
_SPACE = re.compile(r"\s+")
_WORD_OR_MARKS = re.compile(
    "[\\w\u0300-\u036f@$!\U0001f150-\U0001f189\U0001f1e6-\U0001f1ff]+",
)
_OVERLAY = re.compile("[\u0300-\u036f]+")
_LEET_INSIDE = re.compile(r"[A-Za-z][013457@$!]+[A-Za-z]")
_LEET_WORD = re.compile(r"[A-Za-z013457@$!]{2,24}")
_LEET = str.maketrans("013457@$!", "oieastasi")
_HEX = frozenset("abcdef")

_Change = tuple[int, int, str]


def decoded_views(text: str) -> tuple[str, ...]:
    """Return what the suspicious runs of a text say once decoded.

    Args:
        text: a normalised text.

    Returns:
        At most `MAX_VIEWS` different normalised texts of at most `MAX_VIEW` code
        points each; empty for ordinary text. Time is linear in the text.
    """
    if is_ordinary(text, rot13.EVIDENCE, rot13.MIN_EVIDENCE, MIN_BASE64, MIN_LEET):
        return ()
    return _thorough(text)


def _thorough(text: str) -> tuple[str, ...]:
    """What `decoded_views` returns, without its quick look."""
    found: dict[str, None] = {}
    layer = [text]
    for _ in range(MAX_DEPTH):
        nearer: list[str] = []
        for disguised in layer:
            for view in _views(disguised):
                plain = normalise(view)[:MAX_VIEW]
                if plain and plain != text and plain not in found:
                    found[plain] = None
                    nearer.append(plain)
                if len(found) >= MAX_VIEWS:
                    return tuple(found)
        layer = nearer
    return tuple(found)


def _views(text: str) -> list[str]:
    decoded, text = _split_base64(text)
    views = ["\n".join(decoded)]
    in_place = (_rot13_changes(text), _look_alike_changes(text))
    return views + [_respelled(text, changes) for changes in in_place if changes]


def _split_base64(text: str) -> tuple[list[str], str]:
    """What the base64 runs say, and the text without them.

    Letters of base64 are no words: the other disguises must not be looked for there.
    """
    views: list[str] = []
    rest: list[str] = []
    position = size = 0
    for run in _BASE64.finditer(text):
        whole = run.group()
        view = _decode_base64(whole)
        if view is None and not whole.isalnum():
            # A slash or hyphen beside the run (a path, a list) is of the alphabet too.
            pieces = _BASE64_PIECE.findall(whole)[:MAX_PIECES]
            view = next((v for p in pieces if (v := _decode_base64(p)) is not None), None)
        if view is not None:
            views.append(view)
            rest.append(text[position : run.start()])
            position = run.end()
            size += len(view)
            if size >= MAX_VIEW:
                break
    rest.append(text[position:])
    return views, " ".join(rest)


def _decode_base64(run: str) -> str | None:
    # Four characters are three bytes; more than a view can hold is not decoded.
    run = _SPACE.sub("", run[: 4 * MAX_VIEW]).rstrip("=").translate(_STANDARD)
    run = run[: len(run) - 1] if len(run) % 4 == 1 else run
    if len(run) < MIN_BASE64:
        return None
    try:
        raw = base64.b64decode(run + "=" * (-len(run) % 4), validate=True)
    except binascii.Error:
        return None
    try:
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # Cutting the run may have cut the last character; anything earlier is no text.
        if error.start < len(raw) - 3:
            return None
        decoded = raw[: error.start].decode("utf-8")
    readable = sum(c.isprintable() or c.isspace() for c in decoded)
    return decoded if decoded and readable >= MIN_PRINTABLE * len(decoded) else None


_STANDARD = str.maketrans("-_", "+/")


def _rot13_changes(text: str) -> list[_Change]:
    return [(start, end, rot13.decode(text[start:end])) for start, end in rot13.runs(text)]


def _look_alike_changes(text: str) -> list[_Change]:
    changes: list[_Change] = []
    ascii_only = text.isascii()
    leet = len({m.group().lower() for m in _LEET_INSIDE.finditer(text)}) >= MIN_LEET
    if ascii_only and not leet:
        return changes
    strong: set[str] = set()
    weak: list[_Change] = []
    for found in _WORD_OR_MARKS.finditer(text):
        word = found.group()
        start = found.start()
        plain = word if word.isascii() else _plain_letters(word)
        address = "@" in word and text[found.end() : found.end() + 1] == "."
        respelled = _plain_leet(plain) if leet and not address else plain
        if respelled != plain:
            weak.append((start, found.end(), respelled))
            if _LEET_INSIDE.search(plain):
                strong.add(respelled)
        elif plain != word:
            changes.append((start, found.end(), plain))
    if len(strong) >= 2:
        changes = sorted(changes + weak)
    return changes


def _plain_letters(word: str) -> str:
    """Spell a word in Latin if it mixes in look-alikes; else return it as it is."""
    if _OVERLAY.search(word):
        # A mark that NFKC could not compose: overlaid, or stacked upon others.
        bare = _OVERLAY.sub("", unicodedata.normalize("NFD", word))
        if bare.isascii():
            word = bare
    named = by_name()
    odd = [c for c in word if c in named]
    if odd and (len(odd) >= 3 or any("a" <= c.lower() <= "z" for c in word)) and _mostly_odd(odd):
        word = "".join(named.get(c, c) for c in word)
    shapes = by_shape()
    alike = sum(c in shapes for c in word)
    latin = sum("a" <= c.lower() <= "z" for c in word)
    # Two letters are a unit (μs, Δx) rather than a word, unless the script is one
    # that no unit is written in.
    mixed = alike and latin and (alike + latin >= 3 or not _GREEK.search(word))
    if mixed and all(c in shapes or c.isascii() for c in word):
        return "".join(shapes.get(c, c) for c in word)
    return word


_GREEK = re.compile("[\u0370-\u03ff]")
_DOTLESS = frozenset("ıȷ")


def _mostly_odd(odd: list[str]) -> bool:
    # Turkish and Azerbaijani write dotless i in every other word.
    return not _DOTLESS.issuperset(odd)


def _plain_leet(word: str) -> str:
    """Spell a word of letters, digits and signs in letters, if it may be one."""
    body = word.rstrip("!")
    letters = [c for c in body if c.isalpha()]
    if (
        not letters
        or len(letters) == len(body)
        or 2 * len(letters) < len(body)
        or not _LEET_WORD.fullmatch(body)
        or not (body[1:].islower() or body.isupper())
        or (len(body) > 4 and _HEX.issuperset(c.lower() for c in letters))
    ):
        return word
    return body.replace("11", "ll").translate(_LEET) + word[len(body) :]


def _respelled(text: str, changes: list[_Change]) -> str:
    """The text with changes made, cut down to the surroundings of the changes."""
    pieces: list[str] = []
    position = 0
    for start, end, plain in changes:
        if start - position > 2 * CONTEXT:
            if position:
                pieces += [text[position : position + CONTEXT], "\n"]
            position = start - CONTEXT
        pieces += [text[position:start], plain]
        position = end
    pieces.append(text[position : position + CONTEXT])
    return "".join(pieces)
