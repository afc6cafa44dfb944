"""Conditions over many requests at once, with some of their signals unknown.

A set of requests is an `int` whose bit k is request k. A condition has two of them: where it is
true and where it is false; elsewhere it is unknown (Kleene's strong three-valued logic). A score
of which some summands are unknown has bounds, and a comparison with it is known where those leave
no doubt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from routec.compiler.plan.rows import Rows
from routec.compiler.program import Node, Program, Signal

SCORE_DIGITS = 12
"""Decimal places that a score is rounded to, half-even."""

Sides = tuple[int, int]
"""Where a condition is true, and where it is false."""

_SLACK = 1e-3
"""By how much a cosine of single-precision vectors may pass 1."""

_RANGES = {
    "similarity": (-1.0 - _SLACK, 1.0 + _SLACK),
    "contrast": (-2.0 - _SLACK, 2.0 + _SLACK),
    "hour": (0.0, 23.0),
    "tokens": (0.0, math.inf),
    "turns": (0.0, math.inf),
}


def bits(values: Iterable[object]) -> int:
    """The set of those requests whose value is true."""
    text = "".join("1" if value else "0" for value in values)
    return int(text[::-1], 2) if text else 0


def members(mask: int, count: int) -> str:
    """A ``1`` or ``0`` for each request, in order."""
    return f"{mask:0{count}b}"[::-1]


class Conditions:
    """A program's conditions over rows.

    An item is a node, or a derived signal as ``~index``.

    Args:
        program: the program.
        rows: the requests.

    Attributes:
        program: the program.
        rows: the requests.
        full: the set of all requests.
        places: index of each signal by name.
        computed: whether each signal is computed from a request.
        spent: nodes evaluated so far, a measure of effort.
    """

    def __init__(self, program: Program, rows: Rows) -> None:
        self.program = program
        self.full = (1 << rows.count) - 1
        self.places = {signal.name: at for at, signal in enumerate(program.signals)}
        self.computed = tuple(signal.stage != "derived" for signal in program.signals)
        self.spent = 0
        self.rows = rows
        self._count = rows.count
        self._nodes: list[Node] = list(program.nodes)
        self._numbers: dict[Node, int] = {}
        # For each variable: its computed signal, ~ its derived one, or none for a field.
        self._signal_of: list[int | None] = [
            None
            if v.source == "field"
            else self.places[v.name]
            if self.computed[self.places[v.name]]
            else ~self.places[v.name]
            for v in program.variables
        ]
        self._items: dict[int, tuple[int, ...]] = {}
        self._support: dict[int, tuple[int, ...]] = {}
        self._true: dict[int, int] = {}
        self._bounds: dict[tuple[int, tuple[int, ...]], tuple[list[float], list[float]]] = {}
        self._sides: dict[tuple[int, tuple[int, ...]], Sides] = {}

    def atom(self, node: Node) -> int:
        """The number of an atom that the program may lack, for the switches of a diagram."""
        if node not in self._numbers:
            self._numbers[node] = len(self._nodes)
            self._nodes.append(node)
        return self._numbers[node]

    def reads(self, node: int) -> tuple[int, ...]:
        """Indices of the computed signals that a node reads, directly or through derived ones."""
        return self._behind(node)

    # --- evaluation -----------------------------------------------------------------

    def evaluate(self, root: int, rows: int, known: Sequence[int]) -> dict[int, Sides]:
        """Where a condition and all its parts are true and false.

        Args:
            root: index of the condition.
            rows: the requests that matter; of others nothing is said.
            known: for each signal the requests of which its value is known.
        """
        found: dict[int, Sides] = {}
        full, nodes, signal_of = self.full, self._nodes, self._signal_of
        items = self._items_of(root)
        self.spent += len(items)
        for item in items:
            if item < 0:
                continue
            node = nodes[item]
            op = node.op
            if node.variable is not None:
                signal = signal_of[node.variable]
                if signal is None:
                    true = self._truth(item)
                    found[item] = (true, full ^ true)
                elif signal >= 0:
                    true, there = self._truth(item), known[signal]
                    found[item] = (true & there, there & ~true)
                else:
                    found[item] = self._derived(item, ~signal, rows, known)
            elif op == "not":
                true, false = found[node.of[0]]
                found[item] = (false, true)
            elif op == "and":
                true, false = full, 0
                for at in node.of:
                    one = found[at]
                    true &= one[0]
                    false |= one[1]
                found[item] = (true, false)
            elif op == "or":
                true, false = 0, full
                for at in node.of:
                    one = found[at]
                    true |= one[0]
                    false &= one[1]
                found[item] = (true, false)
            else:
                found[item] = (full, 0) if node.value else (0, full)
        return found

    def truth(self, root: int) -> int:
        """Where a condition holds, once everything is known."""
        known = [self.full] * len(self.computed)
        return self.evaluate(root, self.full, known)[root][0]

    def waits(
        self,
        root: int,
        rows: int,
        found: dict[int, Sides],
        known: Sequence[int],
        rank: Sequence[int],
    ) -> dict[int, int]:
        """Which signal an unknown condition waits for: of those that can still change it the first.

        Args:
            root: index of the condition.
            rows: requests of which it is unknown.
            found: what `evaluate` found.
            known: for each signal the requests of which its value is known.
            rank: place of each signal in the order.

        Returns:
            For each signal the requests that wait for it; together they are `rows`.
        """
        candidates: dict[int, int] = {}
        reached = {root: rows}
        for item in reversed(self._items_of(root)):
            here = reached.get(item, 0)
            if not here:
                continue
            if item >= 0:
                true, false = found[item]
                here &= ~(true | false)
                if not here:
                    continue
            for part in self._below(item):
                reached[part] = reached.get(part, 0) | here
            for signal in self._signals(item):
                missing = here & ~known[signal]
                if missing:
                    candidates[signal] = candidates.get(signal, 0) | missing
        waiting: dict[int, int] = {}
        left = rows
        for signal in sorted(candidates, key=rank.__getitem__):
            mine = candidates[signal] & left
            if mine:
                waiting[signal] = mine
                left &= ~mine
        assert not left, "an unknown condition reads something unknown"
        return waiting

    def walked(self, root: int, rows: int) -> dict[int, int]:
        """The requests that read each signal where a condition is walked from left to right.

        A conjunction is left at its first operand that is false, a disjunction at its first
        that is true; a derived signal is worked out whole.
        """
        known = [self.full] * len(self.computed)
        found = self.evaluate(root, rows, known)
        read: dict[int, int] = {}
        reached = {root: rows}
        for item in reversed(self._items_of(root)):
            here = reached.get(item, 0)
            if not here:
                continue
            for signal in self._signals(item):
                read[signal] = read.get(signal, 0) | here
            op = "" if item < 0 else self._nodes[item].op
            for part in self._below(item):
                reached[part] = reached.get(part, 0) | here
                if op == "and":
                    here &= found[part][0]
                elif op == "or":
                    here &= found[part][1]
        return read

    # --- structure ------------------------------------------------------------------

    def _below(self, item: int) -> Sequence[int]:
        """The items that an item is worked out from, in order."""
        if item >= 0:
            node = self._nodes[item]
            if node.variable is None:
                return node.of
            signal = self._signal_of[node.variable]
            return (signal,) if signal is not None and signal < 0 else ()
        parts: list[int] = []
        signal_ = self.program.signals[~item]
        if signal_.source is not None:
            parts.append(self._derived_of(signal_.source))
        for summand in signal_.summands:
            if summand.node is not None:
                parts.append(summand.node)
            elif summand.variable is not None:
                parts.append(self._derived_of(summand.variable))
        return [part for part in parts if part != _NONE]

    def _derived_of(self, variable: int) -> int:
        signal = self._signal_of[variable]
        return signal if signal is not None and signal < 0 else _NONE

    def _signals(self, item: int) -> Sequence[int]:
        """The computed signals that an item itself reads."""
        if item >= 0:
            variable = self._nodes[item].variable
            variables: tuple[int, ...] = () if variable is None else (variable,)
        else:
            signal = self.program.signals[~item]
            variables = tuple(s.variable for s in signal.summands if s.variable is not None)
            if signal.source is not None:
                variables = (*variables, signal.source)
        found = (self._signal_of[variable] for variable in variables)
        return [signal for signal in found if signal is not None and signal >= 0]

    def _items_of(self, root: int) -> tuple[int, ...]:
        """An item and everything below it, each once, what is read before what reads it."""
        if root not in self._items:
            order: dict[int, None] = {}
            stack = [root]
            while stack:
                item = stack[-1]
                waiting = [part for part in self._below(item) if part not in order]
                if waiting and item not in order:
                    stack.extend(reversed(waiting))
                    continue
                stack.pop()
                order[item] = None
            self._items[root] = tuple(order)
        return self._items[root]

    def _behind(self, item: int) -> tuple[int, ...]:
        if item not in self._support:
            found = {s for part in self._items_of(item) for s in self._signals(part)}
            self._support[item] = tuple(sorted(found))
        return self._support[item]

    # --- atoms ----------------------------------------------------------------------

    def _truth(self, at: int) -> int:
        """Where an atom over a field or a computed signal holds."""
        if at not in self._true:
            node = self._nodes[at]
            assert node.variable is not None
            values = self.rows.read(self.program.variables[node.variable])
            self._true[at] = bits(_holds(node, value) for value in values)
        return self._true[at]

    def _derived(self, at: int, signal: int, rows: int, known: Sequence[int]) -> Sides:
        """Where an atom over a derived signal holds for sure, and fails for sure."""
        groups: list[tuple[tuple[int, ...], int]] = [((), rows)]
        for part in self._behind(~signal):
            there = known[part]
            split: list[tuple[tuple[int, ...], int]] = []
            for pattern, mask in groups:
                if mask & there:
                    split.append(((*pattern, part), mask & there))
                if mask & ~there:
                    split.append((pattern, mask & ~there))
            groups = split
        true = false = 0
        for pattern, mask in groups:
            key = (at, pattern)
            if key not in self._sides:
                self._sides[key] = self._compare(self._nodes[at], signal, pattern)
            one = self._sides[key]
            true |= one[0] & mask
            false |= one[1] & mask
        return true, false

    def _compare(self, node: Node, signal: int, pattern: tuple[int, ...]) -> Sides:
        lows, highs = self._bounds_of(signal, pattern)
        declared = self.program.signals[signal]
        if node.op == "is":
            names = [band.name for band in declared.bands]
            wanted = names.index(str(node.value)) if node.value in names else -1
            pairs = list(zip(lows, highs, strict=True))
            return (
                bits(low == high == wanted for low, high in pairs),
                bits(wanted < low or wanted > high for low, high in pairs),
            )
        constant = float(node.value or 0)
        pairs = list(zip(lows, highs, strict=True))
        match node.op:
            case "lt":
                return bits(h < constant for _, h in pairs), bits(lo >= constant for lo, _ in pairs)
            case "le":
                return bits(h <= constant for _, h in pairs), bits(lo > constant for lo, _ in pairs)
            case "gt":
                return bits(lo > constant for lo, _ in pairs), bits(h <= constant for _, h in pairs)
            case "ge":
                return bits(lo >= constant for lo, _ in pairs), bits(h < constant for _, h in pairs)
            case "eq":
                return (
                    bits(lo == h == constant for lo, h in pairs),
                    bits(constant < lo or constant > h for lo, h in pairs),
                )
        raise AssertionError(f"`{node.op}` does not compare a derived signal")

    def _bounds_of(self, signal: int, pattern: tuple[int, ...]) -> tuple[list[float], list[float]]:
        """Least and greatest value of a score, or index of a band, where only these are known."""
        wanted = frozenset(self._behind(~signal))
        key = (signal, tuple(s for s in pattern if s in wanted))
        if key not in self._bounds:
            declared = self.program.signals[signal]
            self.spent += self._count // 8
            if declared.source is not None:
                lows, highs = self._variable_bounds(declared.source, key[1])
                found = (
                    [_band(declared, value) for value in lows],
                    [_band(declared, value) for value in highs],
                )
            else:
                found = self._score(declared, key[1])
            self._bounds[key] = found
        return self._bounds[key]

    def _score(self, signal: Signal, pattern: tuple[int, ...]) -> tuple[list[float], list[float]]:
        lows = [signal.constant] * self._count
        highs = [signal.constant] * self._count
        for summand in signal.summands:
            factor = summand.coefficient
            if summand.variable is not None:
                low, high = self._variable_bounds(summand.variable, pattern)
            else:
                assert summand.node is not None
                known = [0] * len(self.computed)
                for at in pattern:
                    known[at] = self.full
                true, false = self.evaluate(summand.node, self.full, known)[summand.node]
                low = [float(bit == "1") for bit in members(true, self._count)]
                high = [float(bit == "0") for bit in members(false, self._count)]
            if factor < 0:
                low, high = high, low
            # Sums of doubles grow with their terms, so these are bounds of the rounded sum too.
            lows = [a + _times(factor, b) for a, b in zip(lows, low, strict=True)]
            highs = [a + _times(factor, b) for a, b in zip(highs, high, strict=True)]
        return (
            [round(value, SCORE_DIGITS) for value in lows],
            [round(value, SCORE_DIGITS) for value in highs],
        )

    def _variable_bounds(
        self, variable: int, pattern: tuple[int, ...]
    ) -> tuple[list[float], list[float]]:
        signal = self._signal_of[variable]
        if signal is not None and signal < 0:
            return self._bounds_of(~signal, pattern)
        read = self.program.variables[variable]
        if signal is None or signal in pattern:
            values = [float(value) for value in self.rows.read(read)]  # type: ignore[arg-type]
            return values, values
        low, high = range_of(self.program.signals[signal])
        return [low] * self._count, [high] * self._count


def range_of(signal: Signal) -> tuple[float, float]:
    """Least and greatest number that a computed signal counts, its failure value included."""
    low, high = _RANGES.get(signal.kind, (0.0, 1.0))
    if isinstance(signal.on_error, int | float):
        return min(low, float(signal.on_error)), max(high, float(signal.on_error))
    return low, high


_NONE = -(2**62)


def _times(factor: float, value: float) -> float:
    return factor * value if factor else 0.0


def _band(signal: Signal, value: float) -> float:
    """Index of the band that a number falls into."""
    for at, band in enumerate(signal.bands):
        bound = band.bound
        if bound is None or value < bound or (band.inclusive and value == bound):
            return float(at)
    return float(len(signal.bands) - 1)


def _holds(node: Node, value: object) -> bool:
    """Whether an atom holds of a value."""
    match node.op:
        case "truth":
            return value is True
        case "is":
            return value == node.value
        case "has":
            return isinstance(value, frozenset) and node.value in value
        case "empty":
            return not value
    assert isinstance(value, bool | int | float)
    number, constant = value, float(node.value or 0)
    match node.op:
        case "lt":
            return number < constant
        case "le":
            return number <= constant
        case "gt":
            return number > constant
        case "ge":
            return number >= constant
    return number == constant
