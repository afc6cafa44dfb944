"""The text theory as a side of the solver: keyword and regex signals over one conversation."""

from __future__ import annotations

from routec.compiler import policy as p
from routec.compiler.dependencies import guarded_signals
from routec.compiler.theory.encoding import Encoding
from routec.compiler.theory.solver import Agreed, Doubtful, Messages, Model, Refused
from routec.compiler.theory.text import Impossible, Possible, TextSignal, TextTheory
from routec.compiler.theory.text.matcher import Reading


class Texts:
    """Ties the truth of text signals to what one conversation can hold.

    Attributes:
        names: the text signals that conditions read.
    """

    def __init__(self, encoding: Encoding, policy: p.Policy) -> None:
        self._encoding = encoding
        # Signals that guards depend on also see decoded views of the text.
        guarded = guarded_signals(policy)
        found = [
            TextSignal(s.name, s.definition, decoded=s.name in guarded)
            for s in policy.signals.values()
            if isinstance(s.definition, p.Keyword | p.Regex)
        ]
        self._signals = {s.name: s for s in found}
        self._theory = TextTheory(found)
        self.names = tuple(n for n in self._signals if (n, None) in encoding.truths)
        self._known: dict[frozenset[str], Agreed | Refused | Doubtful] = {}

    def clauses(self) -> list[list[int]]:
        """Implications between signals that hold of every text."""
        named = set(self.names)
        return [
            [-self._literal(*left), self._literal(*right)]
            for left, right in self._theory.implications()
            if left[0] in named and right[0] in named
        ]

    def look(self, model: Model) -> Agreed | Refused | Doubtful:
        """Whether some conversation makes the signals as the assignment has them."""
        true = frozenset(n for n in self.names if model.holds(self._encoding.truths[(n, None)]))
        found = self._known.get(true)
        if found is None:
            found = self._known[true] = self._ask(true)
        return found

    def write(self, wanted: dict[str, bool]) -> Messages | None:
        """A conversation that makes the signals so; ``None`` where none is found."""
        said = self._theory.check(wanted)
        return said.messages if isinstance(said, Possible) else None

    def all_matches(self, messages: Messages) -> dict[str, bool]:
        """Which text signals are true of a conversation."""
        reading = Reading(messages)
        return {name: reading.matches(signal) for name, signal in self._signals.items()}

    def _ask(self, true: frozenset[str]) -> Agreed | Refused | Doubtful:
        if self._theory.surely(true, self.names):
            return Agreed()  # the text is written for those who show it
        assignment = {n: n in true for n in self.names}
        said = self._theory.check(assignment)
        if isinstance(said, Possible):
            return Agreed(said.messages)
        if isinstance(said, Impossible):
            return Refused(tuple(-self._literal(name, value) for name, value in said.reasons))
        clause = tuple(-self._literal(name, value) for name, value in assignment.items())
        return Doubtful(clause, said.reason)

    def _literal(self, name: str, value: bool) -> int:
        literal = self._encoding.truths[(name, None)]
        return literal if value else -literal
