"""All regex signals of a policy in one RE2 pass over the text.

RE2 takes time linear in the text whatever the pattern, and has no backreferences
and no lookaround. A pattern is searched for anywhere in the text. Differences from
Python's `re` that an author meets: ``\\d \\w \\s \\b`` are ASCII (``\\p{L}`` and
``\\p{N}`` are Unicode), ``$`` without flag m is the very end of the text (``\\z``).

A pattern is put in NFC, because the texts are: a letter and its accent typed as two
characters would never match.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import re2

MAX_PATTERN = 4_096
"""Most code points of one pattern."""

PATTERN_MEMORY = 8 << 20
"""Bytes that one compiled pattern may take; RE2 refuses one that needs more."""

SET_MEMORY = 64 << 20
"""Bytes that the patterns of one policy may take together, with their search states."""

_FLAGS = frozenset("ims")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regex signal: true where the pattern is found in the text.

    Attributes:
        name: what the scan answers.
        pattern: RE2 syntax.
        flags: letters out of ``i`` (ignore case), ``m`` (``^`` and ``$`` at each
            line), ``s`` (``.`` matches line ends).

    Raises:
        ValueError: `compile_error` has a reason against it.
    """

    name: str
    pattern: str
    flags: str = ""

    def __post_init__(self) -> None:
        if reason := compile_error(self.pattern, self.flags):
            raise ValueError(f"regex `{self.name}`: {reason}")


def compile_error(pattern: str, flags: str = "") -> str | None:
    """Return why a pattern cannot be used, or ``None`` if it can.

    Args:
        pattern: RE2 syntax.
        flags: letters out of ``i m s``.
    """
    unknown = sorted(set(flags) - _FLAGS)
    if unknown:
        return f"unknown regex flag `{unknown[0]}`: use `i`, `m` or `s`"
    if len(pattern) > MAX_PATTERN:
        return f"the pattern has {len(pattern)} characters: at most {MAX_PATTERN} are allowed"
    try:
        pattern.encode()
    except UnicodeEncodeError:
        return "the pattern holds a lone surrogate, which no text holds"
    try:
        # The plain pattern first: behind a flag group an unbalanced one might pass.
        for source in {pattern, _source(pattern, flags)}:
            re2.compile(source, _options(PATTERN_MEMORY))
    except re2.error as error:
        raw = error.args[0] if error.args else b""
        return _reason(raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw))
    return None


_LINEAR = "regexes run in linear time, without backtracking"
# RE2's messages (their start), and what is said instead; `{}` is the message's detail.
_REASONS = (
    (r"invalid perl operator: \(\?<?[=!]", f"lookaround is not supported: {_LINEAR}"),
    (r"invalid perl operator: \(\?>", f"atomic groups are not supported: {_LINEAR}"),
    (r"invalid named capture group: \(\?P=", f"backreferences are not supported: {_LINEAR}"),
    (r"invalid escape sequence: \\[1-9gk]", f"backreferences are not supported: {_LINEAR}"),
    (r"invalid escape sequence: \\Z", r"`\Z` is not supported: write `\z` for the end of the text"),
    (r"invalid perl operator: (.*)", "the group `{}…` is not supported"),
    (r"bad repetition operator: .\+", f"possessive repetition is not supported: {_LINEAR}"),
    (r"invalid repetition size: (.*)", "repetition `{}` is too large: at most 1000 in all"),
    (r"pattern too large", "the pattern is too large: shorten its repetitions"),
    (r"missing \):", "missing `)`"),
    (r"unexpected \):", "`)` without `(`"),
    (r"missing \]: (.*)", "missing `]` after `{}`"),
    (r"trailing \\", r"a lone `\` at the end: write `\\` for a backslash"),
    (r"no argument for repetition operator: (.*)", "nothing to repeat before `{}`"),
)


def _reason(message: str) -> str:
    """RE2's message in our words, or at least in our style."""
    for known, ours in _REASONS:
        if found := re.match(known, message):
            return ours.format(*found.groups())
    text, colon, detail = message.partition(": ")
    return f"{text}: `{detail}`" if colon else text


def _options(memory: int) -> re2.Options:
    options = re2.Options()
    options.max_mem = memory
    options.log_errors = False
    options.never_capture = True
    return options


def _source(pattern: str, flags: str) -> str:
    letters = "".join(sorted(set(flags)))
    pattern = unicodedata.normalize("NFC", pattern)
    return f"(?{letters}){pattern}" if letters else pattern


def encode(text: str) -> bytes:
    """Return a text in UTF-8; a lone surrogate, which UTF-8 has no form for, as U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


class PatternSet:
    """Many patterns, searched for together.

    Immutable once built.

    Args:
        patterns: names may repeat; one that matches is enough.
    """

    __slots__ = ("_shards",)

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._shards = _shards(tuple(patterns))

    def scan(self, text: str) -> set[str]:
        """Return the names of the patterns that are found in a normalised text."""
        found: set[str] = set()
        if self._shards:
            data = encode(text)
            for shard in self._shards:
                shard.scan(data, found)
        return found


class _Shard:
    """Patterns that fit one RE2 set together."""

    __slots__ = ("_patterns", "_set")

    def __init__(self, patterns: tuple[Pattern, ...]) -> None:
        self._patterns = patterns
        self._set = re2.Set.SearchSet(_options(SET_MEMORY))
        for pattern in patterns:
            self._set.Add(_source(pattern.pattern, pattern.flags))
        # The empty pattern is found in every text, so an answer without it means
        # that the search ran out of memory, which RE2 reports as "nothing found".
        self._set.Add("")
        self._set.Compile()

    def scan(self, data: bytes, found: set[str]) -> None:
        indices = self._set.Match(data)
        if indices and len(self._patterns) in indices:
            found.update(self._patterns[i].name for i in indices if i < len(self._patterns))
            return
        for pattern in self._patterns:
            # One by one: a single pattern falls back to a search in constant memory.
            source = _source(pattern.pattern, pattern.flags)
            if re2.search(source.encode(), data, _options(PATTERN_MEMORY)):
                found.add(pattern.name)


def _shards(patterns: tuple[Pattern, ...]) -> tuple[_Shard, ...]:
    if not patterns:
        return ()
    try:
        return (_Shard(patterns),)
    except re2.error:
        # Too large together. Each one alone has compiled before.
        if len(patterns) == 1:
            raise
        half = len(patterns) // 2
        return _shards(patterns[:half]) + _shards(patterns[half:])
