"""The shortest text in which some signals are true and others are not."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from routec.compiler.theory.text.alphabet import symbols
from routec.compiler.theory.text.machine import MATCHED, Machine
from routec.compiler.theory.text.normal import fold


class Exhausted(Exception):
    """The steps allowed were not enough."""


@dataclass(slots=True)
class Meter:
    """Counts steps down.

    Attributes:
        left: steps still allowed.
    """

    left: int

    def spend(self, steps: int) -> None:
        """Take steps off.

        Raises:
            Exhausted: there are not so many.
        """
        self.left -= steps
        if self.left < 0:
            raise Exhausted


def shortest(true: Sequence[Machine], false: Sequence[Machine], meter: Meter) -> str | None:
    """Return a shortest text that all of `true` and none of `false` match.

    Breadth first over the product of the automata, so the first text found is a
    shortest one, and among those the one whose characters are the most readable.

    Args:
        true: automata that must find something.
        false: automata that must not.
        meter: pays for each step of an automaton, and for each node that one visits.

    Returns:
        The text, or ``None`` where there is none: a proof, since the alphabet stands for
        all characters of Unicode. A text in which a mark follows a letter may not
        be in normal form; whoever uses a text must try it on the signals.

    Raises:
        Exhausted: the meter ran out.
        Unsupported: an automaton has too many states.
    """
    alphabet = symbols([*false, *true])
    # Pairs of a letter and its accent are rare and hard to read: first without them.
    plain = tuple(symbol for symbol in alphabet if len(symbol) == 1)
    found = _search(true, false, plain, meter)
    if found is None and plain != alphabet:
        found = _search(true, false, alphabet, meter)
    return found


def _search(
    true: Sequence[Machine], false: Sequence[Machine], alphabet: Sequence[str], meter: Meter
) -> str | None:
    machines = [*false, *true]
    folded = {symbol: fold(symbol) for symbol in alphabet}
    reads = [
        [
            tuple(map(machine.classify, folded[symbol] if machine.view == "folded" else symbol))
            for symbol in alphabet
        ]
        for machine in machines
    ]
    start = (0,) * len(machines)
    came: dict[tuple[int, ...], tuple[tuple[int, ...], int]] = {start: (start, -1)}
    queue = deque([start])
    forbidden = len(false)
    paid = sum(machine.visits for machine in machines)
    while queue:
        state = queue.popleft()
        if all(
            machine.ends(at) is (number >= forbidden)
            for number, (machine, at) in enumerate(zip(machines, state, strict=True))
        ):
            return _text(came, state, alphabet)
        visits = sum(machine.visits for machine in machines)
        meter.spend(len(alphabet) * len(machines) + visits - paid)
        paid = visits
        for number in range(len(alphabet)):
            after: list[int] = []
            for machine, at, kinds in zip(machines, state, reads, strict=True):
                for kind in kinds[number]:
                    at = machine.step(at, kind)
                if at == MATCHED and len(after) < forbidden:
                    break
                after.append(at)
            else:
                key = tuple(after)
                if key not in came:
                    came[key] = (state, number)
                    queue.append(key)
    return None


def _text(
    came: dict[tuple[int, ...], tuple[tuple[int, ...], int]],
    state: tuple[int, ...],
    alphabet: Sequence[str],
) -> str:
    found: list[str] = []
    while (step := came[state])[1] >= 0:
        state, number = step
        found.append(alphabet[number])
    return "".join(reversed(found))
