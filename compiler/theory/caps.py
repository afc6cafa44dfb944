"""The theory of similarity: which thresholds of similarity and contrast signals go together.

All these signals measure one text, so one unit vector has to give them all their values. An
assignment of thresholds becomes inequalities on the sphere, with a case split where the nearest
of several examples counts; a score that sums such signals up adds its own. Signals fail together,
with the embedder: then each has its failure value instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from routec.compiler import policy as p
from routec.compiler.theory.arithmetic import Arithmetic, Assigned
from routec.compiler.theory.caps_search import Bound, Search
from routec.compiler.theory.encoding import Cut, Encoding, Key
from routec.compiler.theory.linear import Feasible, Infeasible
from routec.compiler.theory.regions import Pair, Region
from routec.compiler.theory.solver import Agreed, Doubtful, Model, Refused
from routec.compiler.theory.sphere import TOLERANCE, Array, Blocked, Point, Sphere

DECIMALS = 6
"""Decimals of a signal's value."""

MINIMISED = 12
"""Most thresholds in a conflict that is made smaller."""

POINTS = 2000
"""Most points that are remembered."""

TRIED = 4
"""Of these, how many are tried on one assignment."""

FEW = 12
"""Cases that are tried to give signals certain values."""

NEAR = f"similarities come within {TOLERANCE:g} of their thresholds, or in too many cases, to tell"


class Caps:
    """Ties similarity and contrast signals to one unit vector.

    Args:
        encoding: literals of the conditions.
        signals: all signals of the policy.
        sphere: where the examples lie.
        regions: the signals to tie, by name.
    """

    def __init__(
        self,
        encoding: Encoding,
        signals: Mapping[str, p.Signal],
        sphere: Sphere,
        regions: Mapping[str, Region],
    ) -> None:
        self._encoding = encoding
        self._arithmetic = Arithmetic(encoding, signals)
        self._sphere = sphere
        self.regions = dict(regions)
        self._failed = {name: _on_error(signals[name]) for name in regions}
        self._at_failure = {
            x: _below(self._failed[n], cut) for n in regions for cut, x in self.cuts(n)
        }
        self._groups = [
            group
            for group in self._arithmetic.groups
            if any(self._is_region(key) for key in group.keys)
        ]
        tied = {key for group in self._groups for key in group.keys}
        self._alone = [n for n in regions if (n, None) not in tied]
        self._free = self._others()
        self._watched = [x for name in self._alone for _, x in self.cuts(name)]
        for group in self._groups:
            self._watched += [
                x for x in self._arithmetic.literals(group) if abs(x) != encoding.true
            ]
        self._realised: dict[tuple[tuple[str, Fraction], ...], bool] = {}
        self._column = {name: at for at, name in enumerate(self.regions)}
        self._points: list[dict[str, Fraction]] = []
        self._table: Array = np.empty((0, len(self.regions)))
        for x in sphere.coordinates:
            if abs(float(x @ x) - 1) < TOLERANCE:
                self._keep(x)
        self._known: dict[tuple[bool, ...], Agreed | Refused | Doubtful] = {}

    def _is_region(self, key: Key) -> bool:
        return key[1] is None and key[0] in self.regions

    def _others(self) -> dict[Key, float]:
        """Numbers tied to signals that lie on no sphere, with their greatest absolute values."""
        found: dict[Key, float] = {}
        for group in self._groups:
            for key in group.keys:
                if key in [(name, None) for name in group.scores] or self._is_region(key):
                    continue
                number = self._encoding.numbers.get(key)
                if number is None:
                    found[key] = 1.0  # a classifier's score that nothing is compared with
                    continue
                low, high = number.variable.type.low, number.variable.type.high
                if low is None or high is None:
                    found[key] = np.inf
                else:
                    found[key] = float(max(abs(low), abs(high)))
        return found

    def cuts(self, name: str) -> list[tuple[Cut, int]]:
        """Cuts of a signal that the assignment decides about, from low to high."""
        number = self._encoding.numbers.get((name, None))
        if number is None:
            return []
        return [(cut, x) for cut, x in number.ordered() if abs(x) != self._encoding.true]

    # --- known beforehand -------------------------------------------------------------

    def clauses(self) -> list[list[int]]:
        """Thresholds that no text passes, and pairs of thresholds that exclude or imply others."""
        found = [[-x] for x in self._impossible()]
        names = [n for n in self.regions if self.cuts(n)]
        for at, second in enumerate(names):
            for first in names[:at]:
                found += self._pairs(first, second)
        return [clause for clause in found if self._survives(clause)]

    def _impossible(self) -> Iterator[int]:
        for name in self.regions:
            for cut, literal in self.cuts(name):
                for assumed in (literal, -literal):
                    if self.excludes(name, assumed < 0, float(cut[0])):
                        yield assumed

    def _pairs(self, first: str, second: str) -> Iterator[list[int]]:
        pair = Pair(self.regions[first], self.regions[second])
        for (one, _), a in self.cuts(first):
            for (other, _), b in self.cuts(second):
                s, t = float(one), float(other)
                if pair.disjoint(s, t):
                    yield [a, b]
                if pair.covering(s, t):
                    yield [-a, -b]
                if pair.contained(s, t):
                    yield [a, -b]
                if pair.containing(s, t):
                    yield [-a, b]

    def _survives(self, clause: Iterable[int]) -> bool:
        """Whether a clause also holds when the signals fail."""
        return any(self._at_failure.get(abs(x)) is (x > 0) for x in clause)

    # --- looking at assignments -------------------------------------------------------

    def look(self, model: Model) -> Agreed | Refused | Doubtful:
        """Whether one unit vector, or the failure of all, gives the signals such values."""
        key = tuple(model.holds(x) for x in self._watched)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._ask(model.holds)
        return found

    def _ask(self, holds: Assigned) -> Agreed | Refused | Doubtful:
        bounds = [b for name in self._alone for b in self._bounds(name, holds)]
        known = self._among_known(holds, bounds)
        if known is not None:
            return known
        posed = [c for group in self._groups for c in self._arithmetic.posed(group, holds)]
        found = Search(self._sphere, self.regions, self._free).run(bounds, posed)
        if isinstance(found, Point):
            agreed = self._settle(holds, self._keep(found.x))
            if isinstance(agreed, Agreed):
                return agreed
        failed = self._settle(holds, self._failed)
        if isinstance(failed, Agreed):
            return failed
        if isinstance(found, Point):
            return Doubtful(tuple(-x if holds(x) else x for x in self._watched), NEAR)
        blame = self._smaller(bounds, found) if found.proved and not posed else found.reasons
        clause = tuple(-x for x in sorted(blame))
        if not self._survives(clause):
            clause += tuple(-x for x in sorted(failed - blame))
        return Refused(clause) if found.proved else Doubtful(clause, NEAR)

    def _keep(self, x: Array) -> dict[str, Fraction]:
        """The values of all signals at a point, which is remembered."""
        values = {n: _rounded(region.value(x)) for n, region in self.regions.items()}
        self._realised[tuple(values.items())] = True
        if len(self._points) < POINTS:
            self._points.append(values)
            self._table = np.vstack([self._table, [float(v) for v in values.values()]])
        return values

    def _among_known(self, holds: Assigned, bounds: Sequence[Bound]) -> Agreed | None:
        """Agreement at a point that is known already: an example itself, or one found before."""
        fit = np.ones(len(self._points), np.bool_)
        for bound in bounds:
            column = self._table[:, self._column[bound.name]]
            fit &= column >= bound.value if bound.lower else column <= bound.value
        for at in np.flatnonzero(fit)[:TRIED]:
            agreed = self._settle(holds, self._points[at])
            if isinstance(agreed, Agreed):
                return agreed
        return None

    def _bounds(self, name: str, holds: Assigned) -> Iterator[Bound]:
        lower: tuple[float, int] | None = None
        upper: tuple[float, int] | None = None
        for (value, _), literal in self.cuts(name):
            if holds(literal):
                upper = (float(value), literal)
                break
            lower = (float(value), -literal)
        # Between two close thresholds there is only so much room.
        room = TOLERANCE
        if lower is not None and upper is not None:
            room = min(room, (upper[0] - lower[0]) / 2)
        if lower is not None:
            yield Bound(name, True, lower[0], room, lower[1])
        if upper is not None:
            yield Bound(name, False, upper[0], room, upper[1])

    def _smaller(self, bounds: Sequence[Bound], found: Blocked) -> frozenset[int]:
        """Fewer reasons, where some can be left out."""
        kept = [b for b in bounds if b.literal in found.reasons]
        if len(kept) <= MINIMISED:
            for bound in list(kept):
                rest = [b for b in kept if b is not bound]
                if _proved(Search(self._sphere, self.regions, {}).run(rest, [])):
                    kept = rest
        return frozenset(b.literal for b in kept)

    def _settle(self, holds: Assigned, values: Mapping[str, Fraction]) -> Agreed | frozenset[int]:
        """Agreement with these values of the signals, or literals that are against it."""
        for name in self.regions:
            for cut, literal in self.cuts(name):
                if holds(literal) is not _below(values[name], cut):
                    return frozenset({literal if holds(literal) else -literal})
        numbers: dict[Key, Fraction] = {(name, None): value for name, value in values.items()}
        for group in self._groups:
            answer = self._arithmetic.settle(group, holds, numbers)
            if isinstance(answer, Infeasible):
                return answer.reasons
            if not isinstance(answer, Feasible):
                return frozenset(x if holds(x) else -x for x in self._watched)
            for at, key in enumerate(group.keys):
                numbers.setdefault(key, answer.values.get(at, Fraction(0)))
        return Agreed(numbers=numbers)

    # --- other questions --------------------------------------------------------------

    def realisable(self, values: Mapping[str, float]) -> bool:
        """Whether one vector, or the failure of all, is known to give signals these values.

        Only a few cases are tried: what is not known to be possible counts as impossible.
        """
        known = tuple((n, _rounded(v)) for n, v in values.items() if n in self.regions)
        if all(self._failed[n] == v for n, v in known):
            return True
        if known not in self._realised:
            half = 0.5 * 10**-DECIMALS
            bounds = []
            for name, value in known:
                bounds.append(Bound(name, True, float(value) - half, 0.0, 0))
                bounds.append(Bound(name, False, float(value) + half, 0.0, 0))
            found = Search(self._sphere, self.regions, {}, FEW).run(bounds, [])
            self._realised[known] = isinstance(found, Point)
        return self._realised[known]

    def excludes(self, name: str, lower: bool, value: float) -> bool:
        """Whether no text gives a signal at least, or at most, a value."""
        bound = Bound(name, lower, value, TOLERANCE, 0)
        return _proved(Search(self._sphere, self.regions, {}).run([bound], []))

    def separates(self, names: Sequence[str], threshold: float) -> bool:
        """Whether no text gives all of some signals a value of at least a threshold."""
        if len(names) == 2:
            pair = Pair(self.regions[names[0]], self.regions[names[1]])
            if pair.settled:
                return pair.disjoint(threshold, threshold)
        bounds = [Bound(name, True, threshold, TOLERANCE, 0) for name in names]
        return _proved(Search(self._sphere, self.regions, {}).run(bounds, []))

    def cosine(self, first: str, second: str) -> float | None:
        """Of the nearest examples (or means) of two signals; ``None`` where a contrast is one."""
        pair = Pair(self.regions[first], self.regions[second])
        return pair.nearest if pair.settled else None


def _proved(found: Point | Blocked) -> bool:
    return isinstance(found, Blocked) and found.proved


def _rounded(value: float) -> Fraction:
    return Fraction(round(value * 10**DECIMALS), 10**DECIMALS)


def _below(value: Fraction, cut: Cut) -> bool:
    """Whether a value lies below a cut."""
    place = Fraction(cut[0])
    return value <= place if cut[1] else value < place


def _on_error(signal: p.Signal) -> Fraction:
    value = signal.on_error
    assert isinstance(value, int | float)
    return Fraction(str(value))
