"""All keyword signals of a policy in one Aho-Corasick pass over the text.

What a phrase matches:

* Phrase and text are normalised alike; case is folded unless the keyword is case
  sensitive. Folding is full Unicode folding: ``STRASSE`` matches ``straße``.
* White space inside a phrase matches any run of white space, line breaks too. In a
  ``word`` match white space around a phrase means nothing; in a ``substring`` match
  it must be there (``" or "`` is not in ``for``).
* ``word``: the characters next to the hit are not word characters (letters, digits,
  other numerics, underscore, combining marks). On the side of a letter of a script
  written without spaces (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar),
  whether it is in the phrase or next to it, there is no such demand: there a
  phrase is a substring.
* ``substring``: anywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import ahocorasick

from routec.safety.text import fold, normalise

MAX_PHRASE = 1_000
"""Most code points of one phrase, once normalised."""

_UNSPACED = re.compile(
    "["
    "\u0e00-\u0e7f"  # Thai
    "\u0e80-\u0eff"  # Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u3005-\u3007\u3021-\u3029\u3038-\u303b"  # Han iteration marks, numerals
    "\u3041-\u309f"  # Hiragana
    "\u30a0-\u30ff\u31f0-\u31ff"  # Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\U0001aff0-\U0001b16f"  # Kana supplements
    "\U00020000-\U000323af"  # Han extensions
    "]"
)


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword signal: true where one of its phrases is in the text.

    Attributes:
        name: what the scan answers.
        phrases: at least one, none of them empty once normalised.
        match: ``word`` or ``substring``.
        case_sensitive: whether case must agree.

    Raises:
        ValueError: no phrases, or a phrase that is empty or longer than `MAX_PHRASE`.
    """

    name: str
    phrases: tuple[str, ...]
    match: Literal["word", "substring"] = "word"
    case_sensitive: bool = False

    def __post_init__(self) -> None:
        if self.match not in ("word", "substring"):
            raise ValueError(f"keyword match is `word` or `substring`, not `{self.match}`")
        if not self.phrases:
            raise ValueError(f"keyword `{self.name}` has no phrases: give it at least one")
        for phrase in self.phrases:
            needle = self.needle(phrase)
            if not needle.strip():
                raise ValueError(
                    f"keyword `{self.name}` has a phrase with no visible character: `{phrase}`"
                )
            if len(needle) > MAX_PHRASE:
                raise ValueError(
                    f"keyword `{self.name}` has a phrase of {len(needle)} characters:"
                    f" at most {MAX_PHRASE} are allowed"
                )

    def needle(self, phrase: str) -> str:
        """Return a phrase in the form in which it is looked for."""
        text = normalise(phrase)
        text = collapse(text if self.case_sensitive else fold(text))
        return text.strip() if self.match == "word" else text


def collapse(text: str) -> str:
    """Return a text with each run of white space, outer ones too, as one space."""
    words = " ".join(text.split())
    if not words:
        return " " if text else ""
    before = " " if text[0].isspace() else ""
    after = " " if text[-1].isspace() else ""
    return before + words + after


def is_word_character(character: str) -> bool:
    """Whether a character next to a hit makes the hit a part of a longer word."""
    if character.isalnum() or character == "_":
        return True
    return character > "\x7f" and unicodedata.category(character)[0] == "M"


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A needle in an automaton, and who looks for it."""

    length: int
    in_words: frozenset[str]
    anywhere: frozenset[str]
    open_before: bool
    open_after: bool

    def is_whole(self, text: str, end: int) -> bool:
        """Whether the hit that ends before `end` stands as a word."""
        start = end - self.length
        if start > 0 and not self.open_before:
            before = text[start - 1]
            if is_word_character(before) and not _UNSPACED.match(before):
                return False
        if end < len(text) and not self.open_after:
            after = text[end]
            if is_word_character(after) and not _UNSPACED.match(after):
                return False
        return True


class KeywordIndex:
    """The phrases of many keywords, looked for together.

    Immutable once built. A scan takes time linear in the text, times the number of
    phrases that can end at one place in it.

    Args:
        keywords: names may repeat; the phrases of one name are then united.
    """

    __slots__ = ("_caseless", "_names", "_sensitive")

    def __init__(self, keywords: Sequence[Keyword]) -> None:
        self._names = frozenset(keyword.name for keyword in keywords)
        self._caseless = _automaton(k for k in keywords if not k.case_sensitive)
        self._sensitive = _automaton(k for k in keywords if k.case_sensitive)

    def scan(self, text: str) -> set[str]:
        """Return the names of the keywords that match a normalised text."""
        found: set[str] = set()
        if self._caseless is not None:
            _search(self._caseless, collapse(fold(text)), found)
        if self._sensitive is not None:
            _search(self._sensitive, collapse(text), found)
        return found


def _automaton(keywords: Iterable[Keyword]) -> ahocorasick.Automaton | None:
    in_words: dict[str, set[str]] = {}
    anywhere: dict[str, set[str]] = {}
    for keyword in keywords:
        wanted = in_words if keyword.match == "word" else anywhere
        for phrase in keyword.phrases:
            wanted.setdefault(keyword.needle(phrase), set()).add(keyword.name)
    needles = in_words.keys() | anywhere.keys()
    if not needles:
        return None
    automaton = ahocorasick.Automaton()
    for needle in sorted(needles):
        names = frozenset(anywhere.get(needle, ()))
        seeker = _Phrase(
            length=len(needle),
            in_words=frozenset(in_words.get(needle, ())) - names,
            anywhere=names,
            open_before=_UNSPACED.match(needle[0]) is not None,
            open_after=_UNSPACED.match(needle[-1]) is not None,
        )
        automaton.add_word(needle, seeker)
    automaton.make_automaton()
    return automaton


def _search(automaton: ahocorasick.Automaton, text: str, found: set[str]) -> None:
    for last, phrase in automaton.iter(text):
        if phrase.anywhere:
            found |= phrase.anywhere
        if phrase.in_words and not phrase.in_words <= found and phrase.is_whole(text, last + 1):
            found |= phrase.in_words
