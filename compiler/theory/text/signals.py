"""What the theory of one text is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from routec.compiler import policy as p

Literal = tuple[str, bool]
"""A signal's name and the value that it has."""


@dataclass(frozen=True, slots=True)
class TextSignal:
    """A signal that reads nothing but text.

    Attributes:
        name: unique among the signals of a theory.
        definition: the keyword or regex.
        decoded: whether it is also true where a decoded view of its text matches
            (base64, rot13, look-alikes), as signals that a guard depends on are.
            Nothing is known of a view but that every decoded signal of the same
            scope reads it too.
    """

    name: str
    definition: p.Keyword | p.Regex
    decoded: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """How much work a question may cost; counted, so that answers do not depend on the clock.

    Attributes:
        steps: most steps of automata in one search; about a million take a second.
        total: most steps in all searches of one theory.
        nodes: most nodes of one pattern's automaton.
    """

    steps: int = 300_000
    total: int = 20_000_000
    nodes: int = 4_000


@dataclass(frozen=True, slots=True)
class Possible:
    """A conversation that gives every signal of the assignment its value.

    Attributes:
        messages: role and content of each message, oldest first.
    """

    messages: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Impossible:
    """No conversation gives these signals these values.

    Attributes:
        reasons: part of the assignment; without any one of them the rest is no
            longer proved impossible.
    """

    reasons: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Undecided:
    """Neither a conversation nor a proof was found.

    Attributes:
        reason: what stood in the way, fit to print.
    """

    reason: str


Answer = Possible | Impossible | Undecided
