"""How many tokens a text has: a declared estimate, or a real tokenizer's count.

The estimate needs no vocabulary and is meant for routing by size and for budgets. It
is the sum over the runs of the text of

* ASCII letters: one token for each 7 letters or part of 7;
* ASCII digits: one for each 3 or part of 3;
* other visible ASCII signs: one for each 2 or part of 2;
* white space: none for a single space, one for any other run;
* Han, Kana and Hangul: one a character;
* emoji, arrows, typographic and fullwidth signs: two a character;
* everything else (accented letters, other scripts and their marks): one for each 2
  or part of 2.

Estimate over count, measured on samples: English 1.04 to 1.12, Python 1.1 and JSON 0.94
with the vocabularies o200k and cl100k. German, French, Spanish and Polish: 1.0 to 1.4
with o200k, 0.8 to 1.1 with cl100k. Other scripts: 1.15 to 2.1 with o200k, which was made for
them, but 0.45 to 1.15 with cl100k, which spends up to twice the estimate on Hindi and
Greek. Where that matters, bind the model's own tokenizer with `load_counter`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LETTERS_PER_TOKEN = 7
DIGITS_PER_TOKEN = 3
SIGNS_PER_TOKEN = 2
OTHERS_PER_TOKEN = 2
TOKENS_PER_SYMBOL = 2

_IDEOGRAPHS = (
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
)
_SYMBOLS = "\u2010-\u2027\u2030-\u205e\u2070-\u2bff\u3001-\u303f\uff00-\uffef\U0001f000-\U0001faff"
# One match is one token; white space that is a lone space is no token. Where letters follow,
# their match takes it along, which spares a search from it; nothing is ever tried twice.
_ASCII_TOKEN = (
    rf" ?[A-Za-z]{{1,{LETTERS_PER_TOKEN}}}+"
    rf"|[0-9]{{1,{DIGITS_PER_TOKEN}}}+"
    rf"|[\x00-\x08\x0e-\x1b!-/:-@\[-`{{-\x7f]{{1,{SIGNS_PER_TOKEN}}}+"
    r"|\s\s+|[^\S ]"
)
_TOKEN = re.compile(
    f"{_ASCII_TOKEN}|[{_IDEOGRAPHS}]|[{_SYMBOLS}]"
    f"|[^\x00-\x7f\\s{_IDEOGRAPHS}{_SYMBOLS}]{{1,{OTHERS_PER_TOKEN}}}"
)
_SYMBOL = re.compile(f"[{_SYMBOLS}]")


def _marked(kinds: Mapping[bytes, str]) -> bytes:
    """A table for `bytes.translate`: a mark for each ASCII sign of a kind, ``.`` for the others."""
    table = bytearray(b"." * 256)
    for mark, pattern in kinds.items():
        for code in range(128):
            if re.fullmatch(pattern, chr(code)):
                table[code] = mark[0]
    return bytes(table)


_LETTERS = _marked({b"a": "[A-Za-z]"})
_DIGITS = _marked({b"a": "[0-9]"})
_SIGNS = _marked({b"a": r"[^A-Za-z0-9\s]"})
_SPACES = _marked({b" ": " ", b"n": r"[^\S ]"})


class TokenCounter(Protocol):
    """Something that counts the tokens of a text."""

    def count(self, text: str) -> int:
        """Return the number of tokens of a text, without any special tokens."""
        ...


def estimate_tokens(text: str) -> int:
    """Return the declared estimate of a text's tokens, by the rule of this module.

    For any ``a`` and ``b``, the estimate of ``a + b`` is at most the sum of both
    estimates plus one, and at least the sum less one: only the runs that meet can
    merge. So it never falls by more than one when a text grows.

    Args:
        text: any string.

    Returns:
        Zero or more. Time is linear in the text.
    """
    if text.isascii():
        return _estimate_ascii(text.encode())
    return len(_TOKEN.findall(text)) + (TOKENS_PER_SYMBOL - 1) * len(_SYMBOL.findall(text))


def most_tokens(characters: int, ascii: bool) -> int:
    """Return the greatest estimate that a text can have.

    Args:
        characters: its length in code points.
        ascii: whether all of them are ASCII.
    """
    return characters if ascii else TOKENS_PER_SYMBOL * characters


def _estimate_ascii(text: bytes) -> int:
    """The estimate of ASCII text, several times faster than matching token for token."""
    # A byte of no kind, so that every run has something before it.
    text = b"\xff" + text
    tokens = _in_runs(text.translate(_LETTERS), LETTERS_PER_TOKEN)
    tokens += _in_runs(text.translate(_DIGITS), DIGITS_PER_TOKEN)
    tokens += _in_runs(text.translate(_SIGNS), SIGNS_PER_TOKEN)
    spaces = text.translate(_SPACES)
    if b"n" in spaces or b"  " in spaces:
        # The beginnings of all runs of white space but the lone space's.
        tokens += spaces.count(b".n") + spaces.count(b".  ") + spaces.count(b". n")
    return tokens


def _in_runs(marked: bytes, size: int) -> int:
    """The sum over the runs of ``a`` of their lengths over a size, rounded up."""
    if b"a" not in marked:
        return 0
    # A run that is longer by `size - 1` holds as many whole pieces as it held begun ones.
    return marked.replace(b".a", b"." + b"a" * size).count(b"a" * size)


@dataclass(frozen=True, slots=True)
class EstimatedCounter:
    """The declared estimate as a counter."""

    def count(self, text: str) -> int:
        """Return `estimate_tokens` of a text."""
        return estimate_tokens(text)


@dataclass(frozen=True, slots=True)
class VocabularyCounter:
    """A tokenizer loaded from a file as a counter.

    Attributes:
        tokenizer: loaded with `load_counter`.
    """

    tokenizer: Tokenizer

    def count(self, text: str) -> int:
        """Return the number of tokens of a text, special tokens not counted."""
        # The tokenizer takes no lone surrogates.
        text = text.encode("utf-8", "replace").decode()
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)


def load_counter(path: Path) -> VocabularyCounter:
    """Return a counter for a tokenizer file.

    Args:
        path: a ``tokenizer.json`` of the `tokenizers` library.

    Raises:
        ValueError: the file is missing or not a tokenizer.
        ModuleNotFoundError: the extra ``local`` is not installed.
    """
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ValueError(f"no tokenizer file at `{path}`")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ValueError(f"`{path}` is not a tokenizer file: {error}") from error
    # A file made for an encoder cuts and pads its inputs; a count wants neither.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return VocabularyCounter(tokenizer)
