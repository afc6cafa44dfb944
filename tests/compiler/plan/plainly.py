"""The engine's rule written for one request at a time, in the most obvious way.

The oracle of the simulation: no sets of requests, no memory, recursion where it is natural.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from routec.compiler.plan.costs import STAGES, Costs
from routec.compiler.plan.ledger import Expected, Hits
from routec.compiler.plan.profile import Answer
from routec.compiler.program import Node, Program, Signal, structural

Values = Mapping[str, object]


@dataclass
class Spent:
    """What one request has cost so far.

    `share` is how much of it the cache has left over; `known` holds signals by index.
    """

    share: float = 1.0
    known: set[int] = field(default_factory=set)
    calls: dict[str, float] = field(default_factory=dict)
    embedded: bool = False
    embeddings: float = 0.0
    lookups: float = 0.0
    cost: float = 0.0


class Plainly:
    """Decides one request.

    Args:
        program: the program; its plan's order, routes and cases count, its diagrams do not.
        values: of fields and computed signals.
        order: of the signals.
        costs: of calls.
        hits: of the caches.
    """

    def __init__(
        self,
        program: Program,
        values: Values,
        order: Sequence[int],
        costs: Costs,
        hits: Sequence[Hits],
    ) -> None:
        self.program, self.values, self.order = program, values, list(order)
        self.costs, self.hits = costs, hits
        self.signals = {signal.name: at for at, signal in enumerate(program.signals)}
        self.spent = Spent()
        self.category: int | None = None
        self.asked = False
        for at in structural(program):
            self.compute(at)

    # --- computing ------------------------------------------------------------------

    def compute(self, at: int) -> None:
        spent, signal = self.spent, self.program.signals[at]
        if at in spent.known:
            return
        together = [at]
        every = enumerate(self.program.signals)
        if signal.kind in ("keyword", "regex"):
            together = [
                other
                for other, one in every
                if one.kind in ("keyword", "regex") and one.scope == signal.scope
            ]
            spent.cost += spent.share * self.costs.scan
        elif signal.kind in ("similarity", "contrast"):
            together = [o for o, one in every if one.kind in ("similarity", "contrast")]
        for other in together:
            name = self.program.signals[other].name
            spent.known.add(other)
            spent.calls[name] = spent.calls.get(name, 0.0) + spent.share
            spent.cost += spent.share * self.costs.signals[other]
        if self.costs.embeds[at]:
            self.embed()

    def embed(self) -> None:
        if not self.spent.embedded:
            self.spent.embedded = True
            self.spent.embeddings += self.spent.share
            self.spent.cost += self.spent.share * self.costs.embedding

    # --- conditions -----------------------------------------------------------------

    def bounds(self, variable: int) -> tuple[float, float]:
        read = self.program.variables[variable]
        if read.source == "field":
            value = self.values[read.name]
            assert isinstance(value, bool | int | float)
            return float(value), float(value)
        at = self.signals[read.name]
        signal = self.program.signals[at]
        if signal.kind == "score":
            return self.score(signal)
        if at in self.spent.known:
            value = self.plain(variable)
            assert isinstance(value, bool | int | float)
            return float(value), float(value)
        low, high = {
            "similarity": (-1.001, 1.001),
            "contrast": (-2.001, 2.001),
            "hour": (0.0, 23.0),
            "tokens": (0.0, math.inf),
            "turns": (0.0, math.inf),
        }.get(signal.kind, (0.0, 1.0))
        if isinstance(signal.on_error, int | float):
            return min(low, float(signal.on_error)), max(high, float(signal.on_error))
        return low, high

    def score(self, signal: Signal) -> tuple[float, float]:
        low = high = signal.constant
        for summand in signal.summands:
            if summand.variable is not None:
                a, b = self.bounds(summand.variable)
            else:
                assert summand.node is not None
                value = self.holds(summand.node)
                a, b = (0.0, 1.0) if value is None else (float(value), float(value))
            if summand.coefficient == 0:
                continue
            ends = sorted((summand.coefficient * a, summand.coefficient * b))
            low, high = low + ends[0], high + ends[1]
        return round(low, 12), round(high, 12)

    def plain(self, variable: int) -> object:
        read = self.program.variables[variable]
        value = self.values[read.name]
        if isinstance(value, Answer):
            return value.label if read.member is None else value.scores.get(read.member, 0.0)
        return value

    def band(self, signal: Signal, number: float) -> str:
        for band in signal.bands:
            if band.bound is None or number < band.bound:
                return band.name
            if band.inclusive and number == band.bound:
                return band.name
        return signal.bands[-1].name

    def holds(self, at: int) -> bool | None:
        node = self.program.nodes[at]
        if node.op == "const":
            return bool(node.value)
        if node.op in ("not", "and", "or"):
            parts = [self.holds(part) for part in node.of]
            if node.op == "not":
                return None if parts[0] is None else not parts[0]
            decisive = node.op == "or"
            if decisive in parts:
                return decisive
            return None if None in parts else not decisive
        return self.atom(node)

    def atom(self, node: Node) -> bool | None:
        assert node.variable is not None
        read = self.program.variables[node.variable]
        if read.source == "signal":
            at = self.signals[read.name]
            signal = self.program.signals[at]
            if signal.kind == "bands":
                assert signal.source is not None
                low, high = self.bounds(signal.source)
                names = [band.name for band in signal.bands]
                between = names[
                    names.index(self.band(signal, low)) : names.index(self.band(signal, high)) + 1
                ]
                if node.value not in between:
                    return False
                return True if len(between) == 1 else None
            if signal.kind == "score":
                low, high = self.bounds(node.variable)
                sides = {self.compare(node, low), self.compare(node, high)}
                inside = node.op == "eq" and low < float(node.value or 0) < high
                return None if len(sides) == 2 or inside else sides.pop()
            if at not in self.spent.known:
                return None
        return self.compare(node, self.plain(node.variable))

    def compare(self, node: Node, value: object) -> bool:
        if node.op == "truth":
            return value is True
        if node.op == "is":
            return value == node.value
        if node.op == "has":
            assert isinstance(value, frozenset)
            return node.value in value
        if node.op == "empty":
            return not value
        assert isinstance(value, bool | int | float)
        constant = float(node.value or 0)
        return {
            "lt": value < constant,
            "le": value <= constant,
            "gt": value > constant,
            "ge": value >= constant,
            "eq": value == constant,
        }[node.op]

    def missing(self, at: int) -> set[int]:
        """The signals that an unknown condition can still be changed by."""
        if self.holds(at) is not None:
            return set()
        node = self.program.nodes[at]
        if node.variable is None:
            return set().union(*(self.missing(part) for part in node.of))
        return self.missing_of(node.variable)

    def missing_of(self, variable: int) -> set[int]:
        read = self.program.variables[variable]
        if read.source == "field":
            return set()
        at = self.signals[read.name]
        signal = self.program.signals[at]
        if signal.stage != "derived":
            return set() if at in self.spent.known else {at}
        found: set[int] = set()
        if signal.source is not None:
            found |= self.missing_of(signal.source)
        for summand in signal.summands:
            if summand.variable is not None:
                found |= self.missing_of(summand.variable)
            elif summand.node is not None:
                found |= self.missing(summand.node)
        return found

    def first(self, at: int) -> int:
        return min(self.missing(at), key=self.order.index)

    # --- the decision ---------------------------------------------------------------

    def decide(self) -> Spent:
        masking: list[str] = []
        for guard in self.program.guards:
            while (holds := self.holds(guard.when)) is None:
                self.compute(self.first(guard.when))
            if holds:
                masking += guard.redact
                if guard.reject is not None:
                    break
        rejected = holds and guard.reject is not None if self.program.guards else False
        for name in masking:
            self.compute(self.signals[name])
        if rejected:
            return self.spent
        route = self.route()
        declared = self.program.routes[route]
        if self.category is None:
            if declared.cache == "off":
                self.category = -1
            elif declared.cache == "force":
                names = [category.name for category in self.program.categories]
                self.category = names.index(declared.category or "")
            else:
                self.category = self.walk_categories()
        if not self.asked:
            self.ask_cache()
        return self.spent

    def route(self) -> int:
        places = self.program.plan.routes or range(len(self.program.routes))
        while True:
            need = -1
            for at in places:
                when = self.program.routes[at].when
                holds = self.holds(when)
                if holds:
                    return at
                if holds is None:
                    need = self.first(when)
                    break
            other = self.try_category() if self.category is None else None
            stage = STAGES.index(self.program.signals[need].stage)
            settled = self.category is not None
            if settled and not self.asked and stage >= STAGES.index("embed"):
                self.ask_cache()
            elif other is not None and self.order.index(other) < self.order.index(need):
                self.compute(other)
            else:
                self.compute(need)

    def try_category(self) -> int | None:
        """Settle the category if that can be done; else the signal that it waits for."""
        for case in self.program.plan.cases:
            holds = self.holds(case.when)
            if holds:
                self.category = case.category
                return None
            if holds is None:
                return self.first(case.when)
        return None

    def walk_categories(self) -> int:
        for at, category in enumerate(self.program.categories):
            while (holds := self.holds(category.when)) is None:
                self.compute(self.first(category.when))
            if holds:
                return at
        return -1

    def ask_cache(self) -> None:
        assert self.category is not None
        self.asked = True
        if self.category < 0:
            return
        self.spent.cost += self.spent.share * self.costs.exact
        self.spent.share *= 1 - self.hits[self.category].exact
        terms = self.program.categories[self.category]
        learnt = terms.max_error is not None
        if (terms.similarity is not None and not learnt) or terms.examples:
            self.embed()
            self.spent.lookups += self.spent.share
            self.spent.cost += self.spent.share * self.costs.lookup
            self.spent.share *= 1 - self.hits[self.category].similar


def plainly(
    program: Program,
    columns: Mapping[str, Sequence[object]],
    order: Sequence[int],
    costs: Costs,
    hits: Sequence[Hits],
) -> Expected:
    """What requests cost, one after the other."""
    count = len(next(iter(columns.values())))
    every = [
        Plainly(
            program, {name: column[at] for name, column in columns.items()}, order, costs, hits
        ).decide()
        for at in range(count)
    ]
    scale = 1000 / count
    return Expected(
        sum(one.cost for one in every) / count,
        {
            signal.name: sum(one.calls.get(signal.name, 0.0) for one in every) * scale
            for signal in program.signals
            if signal.stage != "derived"
        },
        sum(one.embeddings for one in every) * scale,
        sum(one.lookups for one in every) * scale,
    )
