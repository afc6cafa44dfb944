"""The theory of keyword and regex signals: which of them can be true together.

A question is answered in three tries, each costlier than the one before:

1. *Phrases*: a true keyword all of whose phrases force something false is a conflict.
2. *Samples*: each true signal offers some texts of its own (its phrases, a shortest
   match); the first that is true of nothing false is taken, and those of all signals
   are joined into messages.
3. *Automata*: where no sample will do, the automata find a text or prove that there is
   none: for each true signal by itself, for two at once, then for all.

What is false in one scope is withheld from the texts of narrower ones as well, as far as a
match there would be one in the wider scope: not where an anchor, or a line end inside
the match, may change that, and not where there may be no message at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from routec.compiler import policy as p
from routec.compiler.theory.text.apart import Apart
from routec.compiler.theory.text.conversation import PLACES, Conversations
from routec.compiler.theory.text.engine import Clash, Engine, Sample, Unknown
from routec.compiler.theory.text.keywords import KeywordIndex, smallest_cover
from routec.compiler.theory.text.matcher import needles
from routec.compiler.theory.text.question import Question, traits
from routec.compiler.theory.text.signals import (
    Answer,
    Budget,
    Impossible,
    Literal,
    TextSignal,
    Undecided,
)

Implication = tuple[Literal, Literal]
"""Where the first holds the second does."""

MAX_COMPARED = 200
"""Most pairs with a regex that `implications` compares."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that a conversation must have.

    Attributes:
        true: signals that are true of it.
        false: signals that are not.
        kept: those without which there might be no such text at all.
    """

    true: tuple[str, ...]
    false: frozenset[str]
    kept: frozenset[str] = frozenset()


class TextTheory:
    """The keyword and regex signals of a policy.

    Args:
        signals: names are unique; phrases and patterns are those that the policy's
            resolver accepted.
        budget: what one search by automata may cost.

    Raises:
        ValueError: two signals have one name.
    """

    __slots__ = ("_apart", "_conversations", "_engine", "_forced", "_rank", "_signals", "_traits")

    def __init__(self, signals: Sequence[TextSignal], *, budget: Budget | None = None) -> None:
        self._signals = {signal.name: signal for signal in signals}
        if len(self._signals) != len(signals):
            raise ValueError("two text signals have one name")
        self._rank = {name: rank for rank, name in enumerate(self._signals)}
        index = KeywordIndex(signals)
        self._engine = Engine(signals, index, budget or Budget())
        self._traits = {signal.name: traits(signal.definition) for signal in signals}
        self._conversations = Conversations(self._signals, self._traits, self._engine)
        self._apart = Apart(self._signals, self._traits, self._conversations, self._engine)
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
            held = [self._engine.true_of(text) for text in self._conversations.samples(name)]
            if not held:
                continue
            for other in sorted(frozenset.intersection(*held) - {name}, key=self._rank.__getitem__):
                definition = self._signals[other].definition
                pair = (signal.definition, definition)
                if not any(isinstance(of, p.Regex) for of in pair):
                    continue
                here, there = signal.definition.scope, definition.scope
                if here == there:
                    follows = self._signals[other].decoded or not signal.decoded
                else:
                    follows = (
                        here == "last_user"
                        and there in ("all_user", "all")
                        and not signal.decoded
                        and self._traits[other].stable
                        and name not in self._engine.true_of("")
                    )
                if follows:
                    yield name, other

    def surely(self, true: Collection[str], asked: Collection[str]) -> bool:
        """Whether it is plain that of those asked about just these can be true.

        Much quicker than `check`, which finds a conversation where this says so.
        """
        return self._apart.allows(true, asked)

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
        if answer := self._conversations.find(question):
            return answer
        reasons: list[str] = []
        for text in self._single_texts(question):
            found = self._engine.find(text.true, text.false, text.kept)
            if isinstance(found, Clash):
                return self._least(self._impossible(found), text.kept)
            if isinstance(found, Unknown):
                reasons.append(found.reason)
        if answer := self._conversations.find(question, exact=True):
            return answer
        if not all(self._traits[name].stable for name in assignment) and (
            answer := self._conversations.find(question, exact=True, apart=True)
        ):
            return answer
        for text in self._joint_texts(question):
            found = self._engine.find(text.true, text.false, text.kept)
            if isinstance(found, Clash):
                return self._least(self._impossible(found), text.kept)
            if isinstance(found, Sample) and (
                answer := self._conversations.around(question, text.true, found.text)
            ):
                return answer
            if isinstance(found, Unknown):
                reasons.append(found.reason)
        return Undecided(reasons[0] if reasons else "no conversation was found that serves all")

    def _question(self, assignment: Mapping[str, bool]) -> Question:
        true: list[str] = []
        false: dict[str, set[str]] = {scope: set() for scope in PLACES}
        for name in sorted(assignment, key=self._rank.__getitem__):
            if assignment[name]:
                true.append(name)
            else:
                false[self._signals[name].definition.scope].add(name)
        return Question(tuple(true), {scope: frozenset(names) for scope, names in false.items()})

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

    def _forced_conflict(self, name: str, question: Question) -> Impossible | None:
        phrases = self._forced.get(name)
        if phrases is None:
            return None
        false = frozenset().union(*question.false.values())
        cover = smallest_cover([forced & false for forced in phrases], self._rank.__getitem__)
        if cover is None:
            return None
        return Impossible(((name, True), *((other, False) for other in cover)))

    def _least(self, found: Impossible, kept: frozenset[str]) -> Impossible:
        """The same without reasons that one question had to keep and another does without."""
        for name, _ in found.reasons:
            if name in kept:
                fewer = {other: value for other, value in found.reasons if other != name}
                answer = self.check(fewer)
                if isinstance(answer, Impossible):
                    return answer
        return found

    def _impossible(self, clash: Clash) -> Impossible:
        reasons = [(name, True) for name in clash.true] + [(name, False) for name in clash.false]
        return Impossible(tuple(reasons))

    # What automata are asked.

    def _single_texts(self, question: Question) -> Iterator[_Text]:
        """Texts that must exist: one for each scope, and one for each true signal."""
        for scope in PLACES:
            yield from self._scope_texts(question, (), scope)
        for name in question.true:
            signal = self._signals[name]
            scope = signal.definition.scope
            if signal.decoded:
                same = frozenset(n for n in question.false[scope] if self._signals[n].decoded)
                yield _Text((name,), same)
                continue
            yield from self._scope_texts(question, (name,), scope)
            inside = self._traits[name].one_line and name not in self._engine.true_of("")
            if scope in ("all_user", "system") and inside:
                # The one message that the match lies in.
                beside = question.false[scope] | question.false["all"]
                stable = frozenset(n for n in beside if self._traits[n].stable)
                yield _Text((name,), stable, frozenset((name,)))

    def _joint_texts(self, question: Question) -> Iterator[_Text]:
        """Likewise for several true signals of one scope, which share its text."""
        for scope in PLACES:
            true = tuple(
                name
                for name in question.true
                if self._signals[name].definition.scope == scope and not self._signals[name].decoded
            )
            if len(true) <= 8:
                for pair in combinations(true, 2):
                    yield from self._scope_texts(question, pair, scope)
            if len(true) > 2:
                yield from self._scope_texts(question, true, scope)

    def _scope_texts(
        self, question: Question, true: tuple[str, ...], scope: str
    ) -> Iterator[_Text]:
        """The text of a scope, by itself and as part of a wider scope."""
        same = question.false[scope]
        empty = self._engine.true_of("")
        if empty.issuperset(true) and empty.isdisjoint(same):
            # There may be no message, whose empty text is not a line of any wider scope.
            return
        yield _Text(true, same)
        if scope == "last_user":
            beside = question.false["all_user"] | question.false["all"]
            wider = {name for name in beside if self._traits[name].stable}
        elif scope != "all":
            # No message holds a match, so no line of the scope does.
            wider = {name for name in question.false["all"] if self._traits[name].one_line}
        else:
            return
        if wider:
            proof = next((n for n in true if n not in empty), None) or min(same & empty)
            yield _Text(true, same | wider, frozenset((proof,)))
