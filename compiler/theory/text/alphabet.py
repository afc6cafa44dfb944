"""The characters that a set of automata tells apart, one of each kind.

Texts are endless, but automata see only so many kinds of characters. A symbol stands
for a kind: it is the most readable character of it. Kinds are cut from the whole of
Unicode, less what normalisation removes or rewrites, so what holds of all sequences of
symbols holds of all texts.

Case folding works on each character by itself, with one exception: folding a letter
may let it compose with the accent after it (there is ǰ but no capital of it). Such
pairs are symbols of their own wherever some automata read folded text and others do not.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import islice

from routec.compiler.theory.text.charset import Ranges, holds, ranges, white_space, word_extenders
from routec.compiler.theory.text.machine import Machine
from routec.compiler.theory.text.normal import extends_word, fold, is_mark, normalise

_READABLE = (
    "abcdefghijklmnopqrstuvwxyz 0123456789.,:;!?-_'\"()/+=@#$%&*ABCDEFGHIJKLMNOPQRSTUVWXYZéñ"
)
_RANK = {character: rank for rank, character in enumerate(_READABLE)}

# One of each kind of character beyond ASCII: part of words, not part of them, white space.
_STAND_INS = (
    "".join(("éñøł", *map(chr, range(0xAC00, 0xAC00 + 10_000)))),
    "".join(("–—€«»", *map(chr, range(0x4E00, 0x4E00 + 10_000)))),
    "\u2028\u2029\u0085\u1680",
)

_CASED_BLOCKS = ((0x80, 0x3000), (0xA000, 0xAC00), (0xF900, 0xFFFF), (0x10000, 0x1F000))
"""Where characters lie that change when folded; the rest of Unicode has none."""


def symbols(machines: Sequence[Machine]) -> tuple[str, ...]:
    """Return one text of one or two characters for each kind, most readable first."""
    plain = [machine for machine in machines if machine.view == "plain"]
    folded = [machine for machine in machines if machine.view == "folded"]
    sets = sorted({of for machine in plain for of in machine.sets})
    looked_for = {
        chr(low) for machine in folded for of in machine.sets for low, high in of if low == high
    }
    looked_for = {c for c in looked_for if not c.isspace()}
    words = any(machine.sees_words for machine in machines)

    def signature(character: str) -> tuple[object, ...]:
        code = ord(character)
        seen: list[object] = [holds(of, code) for of in sets]
        if words and plain:
            seen.append(extends_word(character))
        if folded:
            seen += [
                c if c in looked_for else (extends_word(c), c.isspace()) for c in fold(character)
            ]
        return tuple(seen)

    kinds: dict[tuple[object, ...], str] = {}
    for character in _candidates(sets, looked_for, bool(folded) or words):
        kind = signature(character)
        known = kinds.get(kind)
        if known is None or _order(character) < _order(known):
            kinds[kind] = character
    found = set(kinds.values())
    if plain and folded:
        found.update(
            letter + mark
            for letter, marks in _recombining().items()
            if not looked_for.isdisjoint(fold(letter))
            for mark in marks
        )
    return tuple(sorted(found, key=_order))


def _order(symbol: str) -> tuple[bool, int, bool, str]:
    rank = _RANK.get(symbol[0], len(_READABLE) + (not symbol.isalnum()))
    return len(symbol) > 1, rank, is_mark(symbol[0]), symbol


def _candidates(sets: list[Ranges], looked_for: set[str], kinds: bool) -> Iterable[str]:
    """Characters among which there is one of every kind."""
    for code in range(0x80):
        if normalise(chr(code)):
            yield chr(code)
    single = {c for c in looked_for if c > "\x7f"}
    if looked_for:
        inverse = _unfolded()
        single.update(c for letter in looked_for for c in inverse.get(letter, ()))
    wide: list[Ranges] = []
    for of in sets:
        beyond = ranges(*((max(low, 0x80), high) for low, high in of if high >= 0x80))
        if of == white_space():
            continue
        if len(beyond) > 50 or any(low < high and (low, high) != _BEYOND for low, high in beyond):
            wide.append(beyond)
        single.update(chr(low) for low, high in beyond if low == high)
    yield from (c for c in single if normalise(c) == c)
    if wide:
        yield from _of_cells(_cells(tuple(sorted(wide)), kinds), single)
        return
    for stand_ins in _STAND_INS:
        yield from islice((c for c in stand_ins if c not in single), 1)


_BEYOND = (0x80, 0x10FFFF)


@lru_cache(maxsize=256)
def _cells(sets: tuple[Ranges, ...], kinds: bool) -> tuple[Ranges, ...]:
    """The cells that the sets, and the kinds of keywords, cut the code points beyond ASCII into."""
    sets = (*sets, white_space(), *((word_extenders(),) if kinds else ()))
    cuts = {0x80, 0xD800, 0xE000}
    for of in sets:
        for low, high in of:
            cuts.update((low, high + 1))
    edges = sorted(cut for cut in cuts if 0x80 <= cut <= 0x10FFFF)
    cells: dict[tuple[bool, ...], list[tuple[int, int]]] = {}
    for low, after in zip(edges, [*edges[1:], 0x110000], strict=True):
        if low != 0xD800:
            cells.setdefault(tuple(holds(of, low) for of in sets), []).append((low, after - 1))
    return tuple(map(tuple, cells.values()))


def _of_cells(cells: Iterable[Ranges], single: set[str]) -> Iterable[str]:
    """One normal character of each cell, other than the single ones; of an empty cell none."""
    for spans in cells:
        found = (c for span in spans if (c := _normal_character(*span, single)) is not None)
        few = list(islice(found, 8))
        if few:
            yield min(few, key=lambda c: (normalise("a" + c) != "a" + c, _order(c)))


def _normal_character(low: int, high: int, single: set[str]) -> str | None:
    first = None
    for code in range(low, high + 1):
        character = chr(code)
        if character not in single and normalise(character) == character:
            if unicodedata.category(character)[0] in "LNPS":
                return character
            first = first or character
            if code > low + 500:
                break
    return first


@cache
def _unfolded() -> dict[str, tuple[str, ...]]:
    """For each character, the others whose folded form holds it."""
    found: dict[str, list[str]] = {}
    for low, high in ((0x41, 0x5B), *_CASED_BLOCKS):
        text = "".join(map(chr, range(low, high)))
        if text.casefold() == text:
            continue
        for character in text:
            if character.casefold() != character and normalise(character) == character:
                for folded in set(fold(character)):
                    if folded != character:
                        found.setdefault(folded, []).append(character)
    return {folded: tuple(others) for folded, others in found.items()}


@cache
def _recombining() -> dict[str, tuple[str, ...]]:
    """Characters that compose with a mark only once folded, and those marks."""
    marks: dict[str, list[str]] = {}
    for low, high in ((0xC0, 0x3100), (0x11000, 0x12000)):
        for code in range(low, high):
            parts = unicodedata.decomposition(chr(code)).split()
            if len(parts) == 2 and parts[0][0] != "<":
                marks.setdefault(chr(int(parts[0], 16)), []).append(chr(int(parts[1], 16)))
    found: dict[str, tuple[str, ...]] = {}
    for last, letters in _unfolded().items():
        for letter in letters:
            if fold(letter)[-1] != last:
                continue
            lost = tuple(
                mark
                for mark in marks.get(last, ())
                if normalise(letter + mark) == letter + mark
                and fold(letter + mark) != fold(letter) + fold(mark)
            )
            if lost:
                found[letter] = lost
    return found


def keeps_its_form(text: str) -> bool:
    """Whether folding a text gives the same wherever it stands.

    False where its first character may compose with what is before it, or its last
    one, once folded, with what follows.
    """
    if is_mark(text[0]) or is_mark(normalise(unicodedata.normalize("NFKD", text[0]))[0]):
        return False
    return fold(text[-1]) == text[-1] or text[-1] not in _recombining()
