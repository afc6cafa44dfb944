"""Signals that do not touch each other: told without writing a text.

Most assignments ask for some keywords that have nothing to do with the others. Where each
true signal has a sample that makes nothing else true, and no match can reach from one sample
into the next, the samples in paragraphs of their own are a conversation that serves. This
is the common case, and is told from sets alone; where it does not hold nothing is known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from routec.compiler import policy as p
from routec.compiler.theory.text.conversation import Conversations
from routec.compiler.theory.text.engine import Engine
from routec.compiler.theory.text.matcher import needles
from routec.compiler.theory.text.question import Traits
from routec.compiler.theory.text.signals import TextSignal

_BETWEEN = "\n.\n"
"""Stands between samples; no phrase reaches over it unless it has such a point itself."""

_READ = ("last_user", "all_user", "all")
"""Scopes that read the last user message, where the samples would stand."""


class Apart:
    """Knows which signals can be true side by side.

    Args:
        signals: all signals by name.
        traits: likewise.
        conversations: has samples of each.
        engine: tells what is true of them.
    """

    __slots__ = ("_always", "_conversations", "_engine", "_held", "_signals", "_tame")

    def __init__(
        self,
        signals: Mapping[str, TextSignal],
        traits: Mapping[str, Traits],
        conversations: Conversations,
        engine: Engine,
    ) -> None:
        self._signals = signals
        self._conversations = conversations
        self._engine = engine
        self._tame = all(
            traits[name].one_line
            if isinstance(signal.definition, p.Regex)
            else all(_keeps_inside(needle) for needle in needles(signal.definition))
            for name, signal in signals.items()
        )
        self._always = engine.true_of("") | engine.true_of(_BETWEEN)
        self._held: dict[str, frozenset[str] | None] = {}

    def allows(self, true: Collection[str], asked: Collection[str]) -> bool:
        """Whether these signals surely can be true, and no others of those asked about.

        Args:
            true: some of those asked about.
            asked: signals whose values are given.
        """
        if not self._tame:
            return False
        reached = set(self._always)
        for name in true:
            held = self._sample(name)
            if held is None:
                return False
            reached |= held
        return reached.intersection(asked).issubset(true)

    def _sample(self, name: str) -> frozenset[str] | None:
        """The fewest signals that are true of a sample of one; ``None`` where there is none."""
        if name not in self._held:
            found: frozenset[str] | None = None
            if self._signals[name].definition.scope in _READ:
                for text in self._conversations.samples(name):
                    held = self._engine.true_of(text)
                    if name in held and (found is None or len(held) < len(found)):
                        found = held
            self._held[name] = found
        return self._held[name]


def _keeps_inside(needle: str) -> bool:
    """Whether a phrase that is found reaches over no `_BETWEEN`, nor needs one beside it."""
    return needle == needle.strip() and "." not in needle.split(" ")
