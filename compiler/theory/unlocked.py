"""Similarity signals whose examples have no vectors: what must stay unknown, and what need not.

Without vectors nothing is known of how the examples of different signals lie to each other. It is
taken for granted that a text can be near the examples of one signal and far from all others, that
the examples of one signal do not point away from each other, and that those of a contrast differ
enough for a value of 1. Whatever asks for more is in doubt: two signals beyond their thresholds
at once, or a threshold of a mean that only examples near to each other reach.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import sqrt

from routec.compiler import policy as p
from routec.compiler.theory.encoding import Cut, Encoding
from routec.compiler.theory.solver import Agreed, Doubtful, Model


def below_zero(cut: Cut) -> bool:
    """Whether a signal of which nothing is near, so of value 0, lies below a cut."""
    return cut[0] > 0 or (cut[0] == 0 and cut[1] == 1)


def neutral(encoding: Encoding, names: Collection[str]) -> list[int]:
    """Literals that are true where these signals are 0."""
    return [
        literal if below_zero(cut) else -literal
        for name in names
        if (name, None) in encoding.numbers
        for cut, literal in encoding.numbers[(name, None)].ordered()
    ]


def granted(signal: p.Signal) -> float:
    """The greatest value, or least but for the sign, that every such signal is taken to reach."""
    match signal.definition:
        case p.Similarity(examples=examples, reduce="mean"):
            return 1 / sqrt(len(examples))
        case _:
            return 1.0


class Unlocked:
    """Doubts assignments that only vectors could settle.

    Args:
        encoding: literals of the conditions.
        signals: all similarity and contrast signals.
        without: names of those whose vectors are missing.
        reason: why they are missing.
    """

    def __init__(
        self,
        encoding: Encoding,
        signals: Mapping[str, p.Signal],
        without: Collection[str],
        reason: str,
    ) -> None:
        self.reason = reason
        self.without = frozenset(without)
        self._cuts: list[tuple[str, list[tuple[int, bool]]]] = []
        for name, signal in signals.items():
            number = encoding.numbers.get((name, None))
            if number is None:
                continue
            # Those nearest to 0 first: what lies beyond a threshold lies beyond these too.
            cuts = sorted(number.ordered(), key=lambda item: abs(item[0][0]))
            most = granted(signal)
            found = [
                (-literal if below_zero(cut) else literal, abs(cut[0]) > most)
                for cut, literal in cuts
                if abs(literal) != encoding.true
            ]
            self._cuts.append((name, found))

    def clauses(self) -> list[list[int]]:
        """Nothing is known."""
        return []

    def look(self, model: Model) -> Agreed | Doubtful:
        """Whether an assignment keeps to what is taken for granted."""
        beyond: list[tuple[str, int]] = []
        for name, cuts in self._cuts:
            passed = [(literal, far) for literal, far in cuts if model.holds(literal)]
            if not passed:
                continue
            if name in self.without:
                for literal, far in passed:
                    if far:
                        return Doubtful((-literal,), self.reason)
            beyond.append((name, passed[0][0]))
        for at, (name, literal) in enumerate(beyond):
            for other, second in beyond[:at]:
                if name in self.without or other in self.without:
                    return Doubtful((-literal, -second), self.reason)
        return Agreed()
