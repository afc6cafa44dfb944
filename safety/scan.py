"""One scan of a text for all the keyword and regex signals of a policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from routec.safety.keywords import Keyword, KeywordIndex
from routec.safety.patterns import Pattern, PatternSet, compile_error

__all__ = ["Keyword", "Pattern", "Scanner", "compile_error"]


class Scanner:
    """The keywords and patterns of a policy, compiled once.

    Immutable and safe to share between threads.

    Args:
        keywords: the keyword signals.
        patterns: the regex signals.
    """

    __slots__ = ("_keywords", "_patterns")

    def __init__(self, keywords: Sequence[Keyword] = (), patterns: Sequence[Pattern] = ()) -> None:
        self._keywords = KeywordIndex(keywords)
        self._patterns = PatternSet(patterns)

    def scan(self, text: str) -> frozenset[str]:
        """Return the names of the signals that are true of a text.

        Args:
            text: a normalised text (`routec.safety.text.normalise`).
        """
        return frozenset(self._keywords.scan(text) | self._patterns.scan(text))

    def scan_batch(self, texts: Iterable[str]) -> list[frozenset[str]]:
        """Return what `scan` returns, for each text in order."""
        return [self.scan(text) for text in texts]
