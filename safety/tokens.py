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

The rule is written down once more in ``_tokens.cpp``, which does the counting.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from routec.safety._tokens import estimate

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENS_PER_SYMBOL = 2


class TokenCounter(Protocol):
    """Something that counts the tokens of a text."""

    def count(self, text: str) -> int:
        """Return the number of tokens of a text, without any special tokens."""
        ...


estimate_tokens = estimate
"""Return the declared estimate of a text's tokens, by the rule of this module.

For any ``a`` and ``b``, the estimate of ``a + b`` is at most the sum of both
estimates plus one, and at least the sum less one: only the runs that meet can
merge. So it never falls by more than one when a text grows.

Args:
    text: any string.

Returns:
    Zero or more. Time is linear in the text.

Raises:
    TypeError: not a string.
"""


def most_tokens(characters: int, ascii: bool) -> int:
    """Return the greatest estimate that a text can have.

    Args:
        characters: its length in code points.
        ascii: whether all of them are ASCII.
    """
    return characters if ascii else TOKENS_PER_SYMBOL * characters


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
