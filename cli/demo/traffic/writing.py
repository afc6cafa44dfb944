"""Puts a user's message together and keeps account of what was planted where."""

from __future__ import annotations

from random import Random

from routec.cli.demo.traffic.draw import between, pick
from routec.cli.demo.traffic.phrasebook import SLOT, Intent, draw_values, fill, intents
from routec.cli.demo.traffic.planting import MAKERS
from routec.cli.demo.traffic.sample import Length, Planted, Topic

_WORDS: dict[Length, tuple[int, int]] = {
    "medium": (30, 120),
    "long": (320, 900),
    "very_long": (3_100, 6_000),
}


class Message:
    """A text that grows from left to right, with the spans planted in it."""

    __slots__ = ("_length", "_parts", "_planted")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._planted: list[tuple[str, int, int, str]] = []

    def add(self, text: str, separator: str = " ") -> None:
        """Appends a sentence."""
        if self._parts:
            self._push(separator)
        self._push(text)

    def plant(self, template: str, rng: Random) -> None:
        """Appends a sentence whose slots are kinds of `MAKERS`."""
        if self._parts:
            self._push(" ")
        place = 0
        for found in SLOT.finditer(template):
            self._push(template[place : found.start()])
            kind, value = found[1], MAKERS[found[1]](rng)
            if kind != "ticket":
                self._planted.append((kind, self._length, self._length + len(value), value))
            self._push(value)
            place = found.end()
        self._push(template[place:])

    def _push(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self._parts)

    def planted(self, message: int) -> tuple[Planted, ...]:
        """What was planted, given the index that the message has in the body."""
        return tuple(Planted(kind, message, a, b, text) for kind, a, b, text in self._planted)


def line(rng: Random, name: str, language: str) -> str | None:
    """A line of the section `name` in this language, else in any; ``None`` if there is none."""
    for wanted in (language, "any"):
        for section in intents("lines"):
            if section.name == name and section.language == wanted:
                return pick(rng, section.phrases)
    return None


def document(rng: Random, topic: Topic, length: Length) -> str:
    """Some sentences on the topic, as many as the length says; empty for ``short``."""
    if length not in _WORDS:
        return ""
    low, high = _WORDS[length]
    target = between(rng, low, high)
    section = next(s for s in intents("fillers") if s.name == topic)
    sentences: list[str] = []
    words = 0
    while words < target:
        template = pick(rng, section.phrases)
        sentence = fill(template, draw_values(rng, template))
        sentences.append(sentence)
        words += sentence.count(" ") + 1
    return " ".join(sentences)


def phrase(rng: Random, intent: Intent) -> tuple[str, dict[str, str]]:
    """A phrasing of the intent: template and slot values."""
    template = pick(rng, intent.phrases)
    return template, draw_values(rng, template)
