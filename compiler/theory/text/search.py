"""The shortest text in which some signals are true and others are not."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from routec.compiler.theory.text.alphabet import symbols
from routec.compiler.theory.text.machine import MATCHED, Machine
from routec.compiler.theory.text.normal import fold


class Exhausted(Exception):
    """The steps allowed were not enough."""


def shortest(true: Sequence[Machine], false: Sequence[Machine], steps: int) -> str | None:
    """Return a shortest text that all of `true` and none of `false` match.

    Breadth first over the product of the automata, so the first text found is a
    shortest one, and among those the one whose characters are the most readable.

    Args:
        true: automata that must find something.
        false: automata that must not.
        steps: most steps of single automata.

    Returns:
        The text, or ``None`` where there is none: a proof, since the alphabet stands for
        all characters of Unicode. A text in which a mark follows a letter may not
        be in normal form; whoever uses a text must try it on the signals.

    Raises:
        Exhausted: `steps` were not enough.
        Unsupported: an automaton has too many states.
    """
    machines = [*false, *true]
    alphabet = symbols(machines)
    folded = {symbol: fold(symbol) for symbol in alphabet}
    reads = [
        [folded[symbol] if machine.view == "folded" else symbol for symbol in alphabet]
        for machine in machines
    ]
    start = (0,) * len(machines)
    came: dict[tuple[int, ...], tuple[tuple[int, ...], int]] = {start: (start, -1)}
    queue = deque([start])
    forbidden = len(false)
    while queue:
        state = queue.popleft()
        if all(
            machine.ends(at) is (number >= forbidden)
            for number, (machine, at) in enumerate(zip(machines, state, strict=True))
        ):
            return _text(came, state, alphabet)
        steps -= len(alphabet) * len(machines)
        if steps < 0:
            raise Exhausted
        for number in range(len(alphabet)):
            after: list[int] = []
            for machine, at, texts in zip(machines, state, reads, strict=True):
                for character in texts[number]:
                    at = machine.step(at, character)
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
