"""One assignment, sorted, and what matters of its signals where texts are put together."""

from __future__ import annotations

from dataclasses import dataclass

from routec.compiler import policy as p
from routec.compiler.theory.text.matcher import needles
from routec.compiler.theory.text.pattern import Unsupported, in_one_line, is_plain, parse


@dataclass(frozen=True, slots=True)
class Traits:
    """How far a match of a signal can be told from a part of the text.

    Attributes:
        stable: whether a match stays one when lines are put before or after the text.
        one_line: whether no match reaches over a line end, besides.
    """

    stable: bool
    one_line: bool


@dataclass(frozen=True, slots=True)
class Question:
    """One assignment.

    Attributes:
        true: signals that must be true, in order of declaration.
        false: by scope, those that must not.
    """

    true: tuple[str, ...]
    false: dict[str, frozenset[str]]


def traits(definition: p.Keyword | p.Regex) -> Traits:
    """Return the traits of a signal; the safe ones where a pattern is not understood."""
    if isinstance(definition, p.Keyword):
        return Traits(True, not any(" " in needle for needle in needles(definition)))
    try:
        tree = parse(definition)
    except Unsupported:
        return Traits(False, False)
    stable = is_plain(tree)
    return Traits(stable, stable and in_one_line(tree))
