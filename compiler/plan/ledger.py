"""What is known of requests while they are decided, and what that has cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routec.compiler.plan.costs import Costs
from routec.compiler.plan.kleene import Conditions
from routec.compiler.plan.profile import Profile
from routec.compiler.program import Category, Program, Signal, structural

SCANNED = frozenset({"keyword", "regex"})
"""Kinds that one scan of a text computes."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What requests are expected to cost.

    Attributes:
        cost_us: microseconds a request.
        calls: computations of each signal that is computed, by name, per 1,000 requests.
        embeddings: embeddings of a last user text, per 1,000 requests.
        lookups: searches of the semantic cache, per 1,000 requests.
    """

    cost_us: float
    calls: Mapping[str, float]
    embeddings: float
    lookups: float


@dataclass(frozen=True, slots=True)
class Hits:
    """Shares of a category's lookups that are answered, 0 to 1.

    Attributes:
        exact: by the exact tier.
        similar: by the semantic tier, of those that the exact one did not answer.
    """

    exact: float = 0.0
    similar: float = 0.0


def hits_of(program: Program, profile: Profile | None) -> tuple[Hits, ...]:
    """What a profile says of the cache of each category; 0 where it says nothing."""
    known = {} if profile is None else profile.cache
    found: list[Hits] = []
    for category in program.categories:
        said = known.get(category.name)
        if said is None or not said.asked:
            found.append(Hits())
            continue
        left = said.asked - said.exact
        found.append(Hits(said.exact / said.asked, said.similar / left if left else 0.0))
    return tuple(found)


def similar_tier(category: Category) -> bool:
    """Whether the semantic tier of a category is asked."""
    return bool(
        (category.similarity is not None and category.max_error is None) or category.examples
    )


def call_of(signal: Signal) -> str:
    """What one call computes: signals of one name here become known together."""
    if signal.kind in SCANNED:
        return f"scan {signal.scope}"
    return "near" if signal.kind in ("similarity", "contrast") else f"signal {signal.name}"


class Ledger:
    """What is known of requests so far, and what that has cost.

    Args:
        conditions: of the program, over the requests.
        costs: what calls cost.
        hits: how often the cache of each category answers.

    Attributes:
        known: for each signal the requests of which its value is known.
        asked: for each signal the requests that waited for it, by who asked.
    """

    def __init__(self, conditions: Conditions, costs: Costs, hits: Sequence[Hits]) -> None:
        self._conditions = conditions
        self._costs = costs
        self._hits = hits
        program = conditions.program
        self._program = program
        self.known = [0] * len(program.signals)
        self._calls = [0.0] * len(program.signals)
        self._together: dict[str, list[int]] = {}
        for at, signal in enumerate(program.signals):
            self._together.setdefault(call_of(signal), []).append(at)
        self._embedded = 0
        self._scans = self._embeddings = self._exacts = self._lookups = 0.0
        # Requests by the share of them that the cache has not answered.
        self._left: dict[float, int] = {1.0: conditions.full}
        self.asked: dict[tuple[int, str], int] = {}
        for at in structural(program):
            self.compute(at, conditions.full)

    def compute(self, signal: int, rows: int, asker: str = "") -> None:
        """Compute a signal of those requests of which it is not known yet."""
        rows &= ~self.known[signal]
        if not rows:
            return
        self.asked[signal, asker] = self.asked.get((signal, asker), 0) | rows
        weight = self._weight(rows)
        declared = self._program.signals[signal]
        if declared.kind in SCANNED:
            self._scans += weight
        for at in self._together[call_of(declared)]:
            self.known[at] |= rows
            self._calls[at] += weight
        if self._costs.embeds[signal]:
            self._embed(rows)

    def ask_cache(self, category: int, rows: int) -> None:
        """Ask the exact tier of a category's cache, then the semantic one if it has one."""
        self._exacts += self._weight(rows)
        self._answer(rows, self._hits[category].exact)
        if similar_tier(self._program.categories[category]):
            self._embed(rows)
            self._lookups += self._weight(rows)
            self._answer(rows, self._hits[category].similar)

    def askers(self, signal: int) -> Mapping[str, int]:
        """The requests of which a signal was computed, by who asked for it or came to know it."""
        together = self._together[call_of(self._program.signals[signal])]
        found: dict[str, int] = {}
        for (other, asker), rows in self.asked.items():
            if other in together:
                found[asker] = found.get(asker, 0) | rows
        return found

    def total(self) -> Expected:
        """What all of it has cost."""
        count = self._conditions.full.bit_count()
        costs = self._costs
        spent = (
            self._scans * costs.scan
            + self._embeddings * costs.embedding
            + self._exacts * costs.exact
            + self._lookups * costs.lookup
        )
        for calls, cost in zip(self._calls, costs.signals, strict=True):
            spent += calls * cost
        scale = 1000 / count
        return Expected(
            spent / count,
            {
                signal.name: self._calls[at] * scale
                for at, signal in enumerate(self._program.signals)
                if signal.stage != "derived"
            },
            self._embeddings * scale,
            self._lookups * scale,
        )

    def _embed(self, rows: int) -> None:
        new = rows & ~self._embedded
        if new:
            self._embeddings += self._weight(new)
            self._embedded |= new

    def _weight(self, rows: int) -> float:
        return sum(share * (rows & mask).bit_count() for share, mask in self._left.items())

    def _answer(self, rows: int, hit: float) -> None:
        if not hit:
            return
        left: dict[float, int] = {}
        for share, mask in self._left.items():
            for part, rest in ((mask & ~rows, share), (mask & rows, share * (1 - hit))):
                if part:
                    left[rest] = left.get(rest, 0) | part
        self._left = left
