"""What one phrase of a keyword says about the other keywords, without automata.

A phrase *forces* a keyword where every text in which the phrase is found makes that
keyword true: one of the other's phrases lies inside it, with the word boundaries that
it needs. A keyword that is true has one of its phrases in the text, so it implies what
all of its phrases force, and cannot be true where each of them forces something false.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ahocorasick

from routec.compiler import policy as p
from routec.compiler.theory.text.alphabet import keeps_its_form
from routec.compiler.theory.text.matcher import needles
from routec.compiler.theory.text.normal import collapse, extends_word, fold, is_unspaced
from routec.compiler.theory.text.signals import TextSignal


@dataclass(frozen=True, slots=True)
class _Needle:
    """A needle in an automaton, and the keywords that look for it."""

    length: int
    as_word: frozenset[str]
    anywhere: frozenset[str]
    in_one_line: bool
    open_before: bool
    open_after: bool


class KeywordIndex:
    """The phrases of many keywords, looked for together (Aho and Corasick 1975).

    Args:
        signals: those that are no keywords are left out.
    """

    __slots__ = ("_folded", "_plain")

    def __init__(self, signals: Sequence[TextSignal]) -> None:
        self._folded = _automaton(signals, False)
        self._plain = _automaton(signals, True)

    def found(self, text: str) -> set[str]:
        """Return the keywords that are true of a normalised text."""
        found: dict[str, bool] = {}
        _search(self._folded, collapse(fold(text)), True, found)
        _search(self._plain, collapse(text), True, found)
        return set(found)

    def forced(self, definition: p.Keyword, needle: str) -> dict[str, bool]:
        """Return the keywords that are true of every text in which a phrase is found.

        Args:
            definition: whose phrase it is.
            needle: the phrase, in the form in which it is looked for.

        Returns:
            For each keyword whether one of its phrases without white space does it.
        """
        whole = definition.match == "word"
        found: dict[str, bool] = {}
        if definition.case_sensitive:
            _search(self._plain, needle, whole, found)
            if whole or keeps_its_form(needle):
                _search(self._folded, collapse(fold(needle)), whole, found)
        else:
            _search(self._folded, needle, whole, found)
            if all(map(_is_caseless, needle)):
                _search(self._plain, needle, whole, found)
        return found


def _is_caseless(character: str) -> bool:
    """Whether nothing else folds to a character (some that nothing folds to are denied)."""
    return is_unspaced(character) or (character.isascii() and not character.isalpha())


def _automaton(signals: Sequence[TextSignal], case_sensitive: bool) -> ahocorasick.Automaton | None:
    as_word: dict[str, set[str]] = {}
    anywhere: dict[str, set[str]] = {}
    for signal in signals:
        definition = signal.definition
        if isinstance(definition, p.Keyword) and definition.case_sensitive is case_sensitive:
            wanted = as_word if definition.match == "word" else anywhere
            for needle in needles(definition):
                wanted.setdefault(needle, set()).add(signal.name)
    if not as_word and not anywhere:
        return None
    automaton = ahocorasick.Automaton()
    for needle in sorted(as_word.keys() | anywhere.keys()):
        automaton.add_word(
            needle,
            _Needle(
                len(needle),
                frozenset(as_word.get(needle, ())),
                frozenset(anywhere.get(needle, ())),
                " " not in needle,
                is_unspaced(needle[0]),
                is_unspaced(needle[-1]),
            ),
        )
    automaton.make_automaton()
    return automaton


def _search(
    automaton: ahocorasick.Automaton | None, text: str, bounded: bool, found: dict[str, bool]
) -> None:
    """Add the keywords found in a text, which is all of it or stands somewhere in a longer one.

    Args:
        automaton: of needles in the form of the text.
        text: collapsed.
        bounded: whether no word goes on beyond the ends of `text`, or its letters there
            are of a script that needs no such boundary.
        found: keywords, and whether a needle without white space was found.
    """
    if automaton is None:
        return
    needle: _Needle
    for last, needle in automaton.iter(text):
        start, end = last + 1 - needle.length, last + 1
        names = needle.anywhere
        if needle.as_word:
            before = needle.open_before or (not extends_word(text[start - 1]) if start else bounded)
            if before and (
                needle.open_after or (not extends_word(text[end]) if end < len(text) else bounded)
            ):
                names = names | needle.as_word
        for name in names:
            found[name] = found.get(name, False) or needle.in_one_line


def smallest_cover(
    needed: Sequence[frozenset[str]], order: Callable[[str], int]
) -> list[str] | None:
    """Return few names, none to spare, of which each set holds one; ``None`` if a set is empty.

    Greedy, then thinned out: no name can be left away, though another choice might be
    smaller still.

    Args:
        needed: the sets.
        order: ranks names; of equally useful ones the lowest is taken.
    """
    if not all(needed):
        return None
    chosen: list[str] = []
    open_sets = list(needed)
    while open_sets:
        names = {name for held in open_sets for name in held}
        best = min(names, key=lambda n: (-sum(n in held for held in open_sets), order(n)))
        chosen.append(best)
        open_sets = [held for held in open_sets if best not in held]
    for name in list(chosen):
        rest = [other for other in chosen if other != name]
        if all(any(other in held for other in rest) for held in needed):
            chosen = rest
    return sorted(chosen, key=order)
