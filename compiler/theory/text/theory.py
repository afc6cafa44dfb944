"""The theory of keyword and regex signals: which of them can be true together.

A question is answered in three tries, each costlier than the one before:

1. *Phrases*: a true keyword all of whose phrases force something false is a conflict.
2. *Samples*: each true signal offers some texts of its own (its phrases, a shortest
   match); the first that is true of nothing false is taken, and those of all signals
   are joined into messages.
3. *Automata*: where no sample will do, the automata find a text or prove that there is
   none: for each true signal by itself, for two at once, then for all.

A conversation has four places: a system message, an earlier user message, an assistant
message and the last user message. A signal's sample goes into the last user message
where it can; ``system`` signals need the first, and the other two are used where the
last user message would make something true that must be false.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from routec.compiler import policy as p
from routec.compiler.theory.text.engine import Clash, Engine, Sample, Unknown
from routec.compiler.theory.text.keywords import KeywordIndex, smallest_cover
from routec.compiler.theory.text.matcher import Reading, needles
from routec.compiler.theory.text.normal import collapse, normalise
from routec.compiler.theory.text.pattern import Unsupported, in_one_line, is_plain, parse
from routec.compiler.theory.text.signals import (
    Answer,
    Budget,
    Impossible,
    Literal,
    Possible,
    TextSignal,
    Undecided,
)

Implication = tuple[Literal, Literal]
"""Where the first holds the second does."""

MAX_COMPARED = 200
"""Most pairs with a regex that `implications` compares."""

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
_PLACES = {
    "last_user": ("last",),
    "all_user": ("last", "earlier"),
    "system": ("system",),
    "all": ("last", "assistant"),
}


@dataclass(frozen=True, slots=True)
class _Traits:
    """What matters of a signal where texts are put together.

    Attributes:
        stable: whether a match stays one when lines are put before or after the text.
        one_line: whether no match reaches over a line end, besides.
    """

    stable: bool
    one_line: bool


@dataclass(slots=True)
class _Question:
    """One assignment, sorted."""

    true: list[str]
    false: dict[str, frozenset[str]]
    pieces: dict[str, str] = field(default_factory=dict)


class TextTheory:
    """The keyword and regex signals of a policy.

    Args:
        signals: names are unique; phrases and patterns are those that the policy's
            resolver accepted.
        budget: what one search by automata may cost.

    Raises:
        ValueError: two signals have one name.
    """

    __slots__ = ("_engine", "_forced", "_rank", "_signals", "_traits")

    def __init__(self, signals: Sequence[TextSignal], *, budget: Budget | None = None) -> None:
        self._signals = {signal.name: signal for signal in signals}
        if len(self._signals) != len(signals):
            raise ValueError("two text signals have one name")
        self._rank = {name: rank for rank, name in enumerate(self._signals)}
        index = KeywordIndex(signals)
        self._engine = Engine(signals, index, budget or Budget())
        self._traits = {signal.name: _traits(signal.definition) for signal in signals}
        self._forced = {
            signal.name: tuple(
                frozenset(
                    other
                    for other, in_one_line in index.forced(signal.definition, needle).items()
                    if other != signal.name
                    and self._reaches(signal, self._signals[other], in_one_line)
                )
                for needle in needles(signal.definition)
            )
            for signal in signals
            if isinstance(signal.definition, p.Keyword)
        }

    def implications(self) -> list[Implication]:
        """Return what is known of the signals before any question, each pair proved.

        ``((a, True), (b, True))`` says that `a` implies `b`. A signal that is always true
        is ``((a, False), (a, True))``, one that never is ``((a, True), (a, False))``: as
        clauses, both are units. Keywords are compared with keywords by their phrases, which
        finds all but implications that hang on odd foldings; a regex is compared with what
        is true of all samples of the other, `MAX_COMPARED` times at most. What is not
        found here `check` finds when it matters.
        """
        found: list[Implication] = []
        for name, phrases in self._forced.items():
            implied = sorted(frozenset.intersection(*phrases), key=self._rank.__getitem__)
            found += [((name, True), (other, True)) for other in implied]
        constant: set[str] = set()
        for name, signal in self._signals.items():
            if isinstance(signal.definition, p.Regex):
                if self._never([name], []):
                    found.append(((name, True), (name, False)))
                    constant.add(name)
                elif name in self._engine.true_of("") and self._never([], [name]):
                    found.append(((name, False), (name, True)))
                    constant.add(name)
        likely = [pair for pair in self._likely() if constant.isdisjoint(pair)]
        found += [
            ((name, True), (other, True))
            for name, other in likely[:MAX_COMPARED]
            if self._never([name], [other])
        ]
        return found

    def _never(self, true: list[str], false: list[str]) -> bool:
        return isinstance(self._engine.find(true, frozenset(false)), Clash)

    def _likely(self) -> Iterator[tuple[str, str]]:
        """Pairs, one of them a regex, the second of which is true of all samples of the first."""
        for name, signal in self._signals.items():
            held = [self._engine.true_of(text) for text in self._samples(name)]
            if not held:
                continue
            for other in sorted(frozenset.intersection(*held) - {name}, key=self._rank.__getitem__):
                definition = self._signals[other].definition
                pair = (signal.definition, definition)
                if not any(isinstance(of, p.Regex) for of in pair):
                    continue
                scopes = (signal.definition.scope, definition.scope)
                wider = scopes[0] == "last_user" and scopes[1] in ("all_user", "all")
                if scopes[0] == scopes[1]:
                    if self._signals[other].decoded or not signal.decoded:
                        yield name, other
                elif wider and self._traits[other].stable and not signal.decoded:
                    yield name, other

    def check(self, assignment: Mapping[str, bool]) -> Answer:
        """Say whether the signals can have these values together.

        Args:
            assignment: signals and their values; those not named are free.

        Raises:
            KeyError: there is no such signal.
        """
        question = self._question(assignment)
        for name in question.true:
            if conflict := self._forced_conflict(name, question):
                return conflict
        if answer := self._conversation(question):
            return answer
        reasons: list[str] = []
        for true, false in self._single_texts(question):
            found = self._engine.find(true, false)
            if isinstance(found, Clash):
                return self._impossible(found)
            if isinstance(found, Unknown):
                reasons.append(found.reason)
        if answer := self._conversation(question, exact=True):
            return answer
        if not all(self._traits[name].stable for name in assignment) and (
            answer := self._conversation(question, exact=True, apart=True)
        ):
            return answer
        for true, false in self._joint_texts(question):
            found = self._engine.find(true, false)
            if isinstance(found, Clash):
                return self._impossible(found)
            if isinstance(found, Sample) and (answer := self._joint(question, true, found.text)):
                return answer
            if isinstance(found, Unknown):
                reasons.append(found.reason)
        return Undecided(reasons[0] if reasons else "no conversation was found that serves all")

    def _question(self, assignment: Mapping[str, bool]) -> _Question:
        true: list[str] = []
        false: dict[str, set[str]] = {scope: set() for scope in _PLACES}
        for name in sorted(assignment, key=self._rank.__getitem__):
            if assignment[name]:
                true.append(name)
            else:
                false[self._signals[name].definition.scope].add(name)
        return _Question(true, {scope: frozenset(names) for scope, names in false.items()})

    def _reaches(self, signal: TextSignal, other: TextSignal, in_one_line: bool) -> bool:
        """Whether a keyword found inside a phrase of `signal` is true in its own scope.

        Only scopes and decoded views are looked at.

        Args:
            signal: true in its scope.
            other: the keyword inside it.
            in_one_line: whether what was found of `other` has no white space in it.
        """
        here, there = signal.definition.scope, other.definition.scope
        if signal.decoded:
            return other.decoded and here == there
        if here == there:
            return True
        if here == "last_user":
            return there in ("all_user", "all")
        # What was found may lie across two messages of the user between which, in the
        # text of all messages, another one stands.
        return there == "all" and in_one_line

    def _forced_conflict(self, name: str, question: _Question) -> Impossible | None:
        phrases = self._forced.get(name)
        if phrases is None:
            return None
        false = frozenset().union(*question.false.values())
        cover = smallest_cover([forced & false for forced in phrases], self._rank.__getitem__)
        if cover is None:
            return None
        return Impossible(((name, True), *((other, False) for other in cover)))

    def _impossible(self, clash: Clash) -> Impossible:
        reasons = [(name, True) for name in clash.true] + [(name, False) for name in clash.false]
        return Impossible(tuple(reasons))

    # What automata are asked.

    def _single_texts(self, question: _Question) -> Iterator[tuple[list[str], frozenset[str]]]:
        """One text each that must exist: for each true signal, and for each scope."""
        for name in question.true:
            signal = self._signals[name]
            scope = signal.definition.scope
            if signal.decoded:
                yield [name], frozenset(filter(self._is_decoded, question.false[scope]))
                continue
            yield [name], self._withheld(question, scope)
            if scope in ("all_user", "system") and self._traits[name].one_line:
                # The one message that the match lies in.
                beside = question.false[scope] | question.false["all"]
                yield [name], frozenset(n for n in beside if self._traits[n].stable)
        for scope in _PLACES:
            if question.false[scope]:
                yield [], self._withheld(question, scope)

    def _is_decoded(self, name: str) -> bool:
        return self._signals[name].decoded

    def _joint_texts(self, question: _Question) -> Iterator[tuple[list[str], frozenset[str]]]:
        """Likewise for several true signals of one scope, which share its text."""
        for scope in _PLACES:
            true = [
                name
                for name in question.true
                if self._signals[name].definition.scope == scope and not self._signals[name].decoded
            ]
            false = self._withheld(question, scope)
            if len(true) <= 8:
                for pair in combinations(true, 2):
                    yield list(pair), false
            if len(true) > 2:
                yield true, false

    def _withheld(self, question: _Question, scope: str) -> frozenset[str]:
        """The false signals that must not be true of the text of a scope by itself."""
        found = set(question.false[scope])
        if scope == "last_user":
            for wider in ("all_user", "all"):
                found.update(n for n in question.false[wider] if self._traits[n].stable)
        elif scope != "all":
            # No message holds a match, so no line of the scope does.
            found.update(n for n in question.false["all"] if self._traits[n].one_line)
        return frozenset(found)

    # How a conversation is put together.

    def _conversation(
        self, question: _Question, exact: bool = False, apart: bool = False
    ) -> Possible | None:
        """Choose a text for each true signal, and join them.

        Args:
            question: what to make true and false.
            exact: whether to ask automata where no sample will do.
            apart: whether to put filling before the last user message, so that what is
                anchored in the one is not in a wider scope.
        """
        places: dict[str, dict[str, str]] = {place: {} for place in _ROLES}
        for name in question.true:
            if self._served(name, places):
                continue
            chosen = self._choose(name, question, exact, apart)
            if chosen is None:
                return None
            place, text = chosen
            places[place][name] = text
        self._drop_covered(places, question.true)
        for place in ("system", "last"):
            if not places[place]:
                false = self._false_in(place, question, apart)
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

    def _served(
        self, name: str, places: Mapping[str, Mapping[str, str]], without: str | None = None
    ) -> bool:
        """Whether some text, but that of `without`, makes a signal true."""
        scope = self._signals[name].definition.scope
        return any(
            name in self._engine.true_of(text)
            for place, texts in places.items()
            if scope in _READ_BY[place]
            for owner, text in texts.items()
            if owner != without
        )

    def _choose(
        self, name: str, question: _Question, exact: bool, apart: bool = False
    ) -> tuple[str, str] | None:
        """Where to make a signal true, and with which text."""
        scope = self._signals[name].definition.scope
        for place in _PLACES[scope]:
            false = self._false_in(place, question, apart)
            for text in self._samples(name):
                held = self._engine.true_of(text)
                if name in held and held.isdisjoint(false):
                    return place, text
            if exact:
                found = self._engine.find([name], false)
                if isinstance(found, Sample):
                    return place, found.text
        return None

    def _false_in(self, place: str, question: _Question, apart: bool) -> frozenset[str]:
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
        for texts in places.values():
            for owner in list(texts):
                if all(self._served(name, places, owner) for name in true):
                    del texts[owner]

    def _samples(self, name: str) -> Iterable[str]:
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

    def _joint(self, question: _Question, true: list[str], text: str) -> Possible | None:
        scope = self._signals[true[0]].definition.scope
        places: dict[str, dict[str, str]] = {place: {} for place in _ROLES}
        places[_PLACES[scope][0]][true[0]] = text
        for name in question.true:
            if not self._served(name, places):
                chosen = self._choose(name, question, True)
                if chosen is None:
                    return None
                places[chosen[0]][name] = chosen[1]
        return self._verified(places, question)

    def _verified(
        self, places: Mapping[str, Mapping[str, str]], question: _Question
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


def _traits(definition: p.Keyword | p.Regex) -> _Traits:
    if isinstance(definition, p.Keyword):
        return _Traits(True, not any(" " in needle for needle in needles(definition)))
    try:
        tree = parse(definition)
    except Unsupported:
        return _Traits(False, False)
    stable = is_plain(tree)
    return _Traits(stable, stable and in_one_line(tree))
