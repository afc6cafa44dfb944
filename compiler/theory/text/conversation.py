"""Conversations in which each true signal has a text of its own.

A conversation has four places: a system message, an earlier user message, an assistant
message and the last user message. A signal's text goes into the last user message where
it can; ``system`` signals need the first, and the other two are used where the last user
message would make something true that must be false. No conversation is returned that
has not been through the matcher.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from routec.compiler import policy as p
from routec.compiler.theory.text.engine import Engine, Sample
from routec.compiler.theory.text.matcher import Reading
from routec.compiler.theory.text.normal import collapse, normalise
from routec.compiler.theory.text.question import Question, Traits
from routec.compiler.theory.text.signals import Possible, TextSignal

_SEPARATORS = (" ", ", ", "\n", ". ", " - ", " / ", " x ", "; ", "\n\n")

_FILLING = "ok"
"""Stands where some message must be, but any would do."""

# The places of a conversation, in order: role, and the scopes that read it.
_ROLES = {"system": "system", "earlier": "user", "assistant": "assistant", "last": "user"}
_READ_BY = {
    "system": ("system", "all"),
    "earlier": ("all_user", "all"),
    "assistant": ("all",),
    "last": ("last_user", "all_user", "all"),
}
PLACES = {
    "last_user": ("last",),
    "all_user": ("last", "earlier"),
    "system": ("system",),
    "all": ("last", "assistant"),
}
"""For each scope, where a text for it may stand; the first choice comes first."""


class Conversations:
    """Puts conversations together.

    Args:
        signals: all signals by name.
        traits: likewise.
        engine: finds texts where no phrase will do.
    """

    __slots__ = ("_engine", "_signals", "_traits")

    def __init__(
        self, signals: Mapping[str, TextSignal], traits: Mapping[str, Traits], engine: Engine
    ) -> None:
        self._signals = signals
        self._traits = traits
        self._engine = engine

    def find(self, question: Question, exact: bool = False, apart: bool = False) -> Possible | None:
        """Choose a text for each true signal, and join them.

        Args:
            question: what to make true and false.
            exact: whether to ask automata where no sample will do.
            apart: whether to put filling before the last user message, so that what is
                anchored in the one is not in a wider scope.
        """
        places: dict[str, dict[str, str]] = {place: {} for place in _ROLES}
        withheld = {place: self._false_in(place, question, apart) for place in _ROLES}
        served: set[str] = set()
        for name in question.true:
            if name in served:
                continue
            chosen = self._choose(name, withheld, exact)
            if chosen is None:
                return None
            place, text = chosen
            places[place][name] = text
            served |= self._serves(place, text)
        self._drop_covered(places, question.true)
        for place in ("system", "last"):
            if not places[place]:
                false = withheld[place]
                if self._engine.true_of("") & false:
                    found = self._engine.find([], false)
                    if not isinstance(found, Sample):
                        return None
                    places[place][""] = found.text
        for filled in (("earlier",), ("system",), ("earlier", "system")) if apart else ((),):
            more = {
                place: texts or ({"": _FILLING} if place in filled else {})
                for place, texts in places.items()
            }
            if answer := self._verified(more, question):
                return answer
        return None

    def _serves(self, place: str, text: str) -> set[str]:
        """The signals that a text at a place makes true."""
        read_by = _READ_BY[place]
        return {
            name
            for name in self._engine.true_of(text)
            if self._signals[name].definition.scope in read_by
        }

    def _choose(
        self, name: str, withheld: Mapping[str, frozenset[str]], exact: bool
    ) -> tuple[str, str] | None:
        """Where to make a signal true, and with which text."""
        scope = self._signals[name].definition.scope
        for place in PLACES[scope]:
            false = withheld[place]
            for text in self.samples(name):
                held = self._engine.true_of(text)
                if name in held and held.isdisjoint(false):
                    return place, text
            if exact:
                found = self._engine.find([name], false)
                if isinstance(found, Sample):
                    return place, found.text
        return None

    def _false_in(self, place: str, question: Question, apart: bool) -> frozenset[str]:
        """The false signals that a text at a place would make true."""
        found: set[str] = set()
        for scope in _READ_BY[place]:
            own = scope == _READ_BY[place][0] and place != "earlier"
            found.update(
                name
                for name in question.false[scope]
                if own or not apart or self._traits[name].stable
            )
        return frozenset(found)

    def _drop_covered(self, places: Mapping[str, dict[str, str]], true: Sequence[str]) -> None:
        """Take out texts that no true signal needs beside the others."""
        served = {
            (place, owner): self._serves(place, text).intersection(true)
            for place, texts in places.items()
            for owner, text in texts.items()
        }
        times = Counter(name for names in served.values() for name in names)
        for (place, owner), names in served.items():
            if all(times[name] > 1 for name in names):
                del places[place][owner]
                times.subtract(names)

    def samples(self, name: str) -> Iterable[str]:
        """Texts that a signal may be true of, most natural first."""
        definition = self._signals[name].definition
        if isinstance(definition, p.Regex):
            found = self._engine.find([name], frozenset())
            if isinstance(found, Sample):
                yield found.text
            return
        phrases = [collapse(normalise(phrase)) for phrase in definition.phrases]
        if definition.match == "word":
            phrases = [phrase.strip() for phrase in phrases]
        yield from phrases
        for phrase in phrases:
            if not definition.case_sensitive:
                yield from (phrase.upper(), phrase.capitalize(), phrase.title(), phrase.swapcase())
            if definition.match == "substring":
                yield from (f"{phrase}s", f"re{phrase}", f"re{phrase}s")

    def around(self, question: Question, true: Sequence[str], text: str) -> Possible | None:
        """Likewise, where a text has been found that some of the true signals share."""
        scope = self._signals[true[0]].definition.scope
        places: dict[str, dict[str, str]] = {place: {} for place in _ROLES}
        withheld = {place: self._false_in(place, question, False) for place in _ROLES}
        first = PLACES[scope][0]
        places[first][true[0]] = text
        served = self._serves(first, text)
        for name in question.true:
            if name not in served:
                chosen = self._choose(name, withheld, True)
                if chosen is None:
                    return None
                places[chosen[0]][name] = chosen[1]
                served |= self._serves(*chosen)
        return self._verified(places, question)

    def _verified(
        self, places: Mapping[str, Mapping[str, str]], question: Question
    ) -> Possible | None:
        """The conversation, if some way of joining its texts gives every signal its value."""
        several = any(len(texts) > 1 for texts in places.values())
        for separator in _SEPARATORS if several else _SEPARATORS[:1]:
            messages = tuple(
                (_ROLES[place], separator.join(texts.values()))
                for place, texts in places.items()
                if texts or place == "last"
            )
            reading = Reading(messages)
            if all(reading.matches(self._signals[name]) for name in question.true) and not any(
                reading.matches(self._signals[name])
                for names in question.false.values()
                for name in names
            ):
                return Possible(messages)
        return None
