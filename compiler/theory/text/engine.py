"""Texts for sets of signals: the automata, asked only about the signals that matter.

To give a text to `true` signals and withhold it from hundreds of `false` ones, the
search starts with no false signal at all, tries the text it finds on all of them, and
takes in those that it hits, until none is hit or no text is left (counterexample-guided
refinement). So a proof names only signals that mattered, and is then thinned out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routec.compiler import policy as p
from routec.compiler.theory.text.keywords import KeywordIndex
from routec.compiler.theory.text.machine import Machine, build
from routec.compiler.theory.text.matcher import search
from routec.compiler.theory.text.normal import normalise
from routec.compiler.theory.text.pattern import Unsupported
from routec.compiler.theory.text.search import Exhausted, Meter, shortest
from routec.compiler.theory.text.signals import Budget, TextSignal


@dataclass(frozen=True, slots=True)
class Sample:
    """A text that makes all the true signals true and none of the false ones."""

    text: str


@dataclass(frozen=True, slots=True)
class Clash:
    """Names that no text can serve together; without any one of them it is not proved."""

    true: tuple[str, ...]
    false: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """The search was cut off."""

    reason: str


Found = Sample | Clash | Unknown


class Engine:
    """The automata of all signals and what was worked out with them.

    Args:
        signals: the signals; names are unique.
        index: of their keywords.
        budget: what one search may cost.
    """

    __slots__ = (
        "_budget",
        "_index",
        "_left",
        "_machines",
        "_patterns",
        "_rank",
        "_signals",
        "_texts",
        "_true",
    )

    def __init__(self, signals: Sequence[TextSignal], index: KeywordIndex, budget: Budget) -> None:
        self._signals: Mapping[str, TextSignal] = {signal.name: signal for signal in signals}
        self._rank = {signal.name: rank for rank, signal in enumerate(signals)}
        self._index = index
        self._budget = budget
        self._patterns = [
            (signal.name, search(signal.definition))
            for signal in signals
            if isinstance(signal.definition, p.Regex)
        ]
        self._machines: dict[str, Machine | Unknown] = {}
        self._texts: dict[tuple[tuple[str, ...], tuple[str, ...]], str | Unknown | None] = {}
        self._left = budget.total
        self._true: dict[str, frozenset[str]] = {}

    def true_of(self, text: str) -> frozenset[str]:
        """Return the names of the signals that are true of a text, whatever their scope."""
        known = self._true.get(text)
        if known is None:
            normal = normalise(text)
            data = normal.encode()
            found = self._index.found(normal)
            found.update(name for name, pattern in self._patterns if pattern.search(data))
            known = self._true[text] = frozenset(found)
        return known

    def find(
        self, true: Sequence[str], false: frozenset[str], kept: frozenset[str] = frozenset()
    ) -> Found:
        """Return a shortest text for the signals, or a proof that there is none.

        Args:
            true: signals that must be true of it.
            false: signals that must not.
            kept: names that a clash must hold, if they had a part in it or not.
        """
        true = sorted(true, key=self._rank.__getitem__)
        taken: list[str] = []
        while True:
            text = self._shortest(true, taken)
            if isinstance(text, Unknown):
                return text
            if text is None:
                return self._thinned(list(true), [*taken, *(kept & false - set(taken))], kept)
            held = self.true_of(text)
            hit = sorted(held & false, key=self._rank.__getitem__)
            if not hit and held.issuperset(true):
                return Sample(text)
            hit = [name for name in hit if name not in taken]
            if not hit:
                return Unknown("the only text found is not in normal form")
            taken += hit[:4]

    def _thinned(self, true: list[str], false: list[str], kept: frozenset[str]) -> Clash:
        for names in (false, true):
            for name in [name for name in names if name not in kept]:
                rest = [other for other in names if other != name]
                left = (true, rest) if names is false else (rest, false)
                if self._shortest(*left) is None:
                    names.remove(name)
        return Clash(tuple(true), tuple(sorted(false, key=self._rank.__getitem__)))

    def _shortest(self, true: Sequence[str], false: Sequence[str]) -> str | Unknown | None:
        key = (tuple(true), tuple(false))
        if key not in self._texts:
            self._texts[key] = self._search(*key)
        return self._texts[key]

    def _search(self, true: tuple[str, ...], false: tuple[str, ...]) -> str | Unknown | None:
        machines: list[Machine] = []
        for name in (*true, *false):
            machine = self.machine(name)
            if isinstance(machine, Unknown):
                return machine
            machines.append(machine)
        allowed = min(self._budget.steps, self._left)
        meter = Meter(allowed)
        try:
            return shortest(machines[: len(true)], machines[len(true) :], meter)
        except Unsupported as reason:
            return Unknown(f"one of {_listed((*true, *false))} is too complex: {reason}")
        except Exhausted:
            names = _listed((*true, *false))
            return Unknown(f"{names} took more than {allowed:,} steps of automata")
        finally:
            self._left -= allowed - max(meter.left, 0)

    def machine(self, name: str) -> Machine | Unknown:
        """The automaton of a signal, built once."""
        known = self._machines.get(name)
        if known is None:
            try:
                known = build(self._signals[name].definition, self._budget.nodes)
            except Unsupported as reason:
                known = Unknown(f"`{name}` is not modelled: {reason}")
            self._machines[name] = known
        return known


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
