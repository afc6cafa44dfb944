"""What deciding requests costs, as the engine goes about it.

A question is walked from its first step. A step whose condition is unknown waits for one of the
signals that can still change it: the one that comes first in the order. Keywords and regexes of
one scope become known by one scan, similarities and contrasts by one embedding, which all that read
the embedding of the last user text share. What guards mask is looked for once they are settled.

While the route is open, the category is looked for too, with what is known. Once that is settled
whatever the route will be, the cache is asked, as soon as the route waits for an embedding or for
anything dearer, or is settled. Where both are open, the signal is computed that comes first in the
order.

A request that the cache answers costs nothing more, so after each lookup requests count with the
share of them that is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routec.compiler.plan.costs import STAGES, Costs
from routec.compiler.plan.kleene import Conditions
from routec.compiler.plan.ledger import Expected, Hits, Ledger
from routec.compiler.plan.questions import (
    Question,
    Step,
    cases_of,
    categories_of,
    guards_of,
    routes_of,
)
from routec.compiler.program import Node, Program

_EMBED = STAGES.index("embed")


def order_of(program: Program) -> tuple[int, ...]:
    """The program's order of signals: the plan's, else that of stages and declaration."""
    if program.plan.order:
        return program.plan.order
    computed = [at for at, s in enumerate(program.signals) if s.stage != "derived"]
    return tuple(sorted(computed, key=lambda at: _stage(program.signals[at].stage)))


def _stage(name: str) -> int:
    return STAGES.index(name) if name in STAGES else len(STAGES)


class Simulation:
    """Decides all rows the engine's way, again for every order one wants to know the cost of.

    Args:
        conditions: of the program, over the requests.
        costs: what calls cost.
        hits: how often the cache of each category answers.
        lazy: whether to pass over the plan's diagrams.
    """

    def __init__(
        self, conditions: Conditions, costs: Costs, hits: Sequence[Hits], *, lazy: bool = False
    ) -> None:
        program = conditions.program
        self._conditions = conditions
        self._program = program
        self._costs = costs
        self._hits = hits
        self._guards = guards_of(program, lazy=lazy)
        self._routes = routes_of(program, lazy=lazy)
        self._cases = cases_of(program, lazy=lazy)
        self._categories = categories_of(program)
        self._places = {category.name: at for at, category in enumerate(program.categories)}
        self._stages = [_stage(signal.stage) for signal in program.signals]
        self._ledger = Ledger(conditions, costs, hits)
        self._rank: list[int] = []
        self._settled: dict[int, int] = {}
        self._pending: dict[int, int] = {}
        self._acting: dict[int, int] = {}

    def run(self, order: Sequence[int]) -> Expected:
        """What the requests cost if signals are asked in this order.

        Args:
            order: indices of all signals that are computed.
        """
        return self.ledger(order).total()

    def ledger(self, order: Sequence[int]) -> Ledger:
        """As `run`, with who asked for what."""
        self._ledger = Ledger(self._conditions, self._costs, self._hits)
        self._rank = [len(order)] * len(self._program.signals)
        for place, signal in enumerate(order):
            self._rank[signal] = place
        self._settled, self._pending = {}, {}
        self._acting = {}
        outcomes = self._serve(self._guards, self._conditions.full)
        passed = outcomes.pop(-1, 0)
        for guard, rows in outcomes.items():
            # The leaf of a diagram is the rejecting guard itself.
            self._acting[guard] = self._acting.get(guard, 0) | rows
        for guard, rows in self._acting.items():
            for name in self._program.guards[guard].redact:
                asker = f"guard {self._program.guards[guard].name}"
                self._ledger.compute(self._conditions.places[name], rows, asker)
        self._route(passed)
        return self._ledger

    # --- one question ---------------------------------------------------------------

    def _serve(self, question: Question, rows: int) -> dict[int, int]:
        """The requests of each outcome, once everything it takes has been computed."""
        at = [0] * len(question)
        at[0] = rows
        outcomes: dict[int, int] = {}
        for place, step in enumerate(question):
            here = at[place]
            if not here:
                continue
            if step.kind == "leaf":
                outcomes[step.outcome] = outcomes.get(step.outcome, 0) | here
                continue
            if step.kind == "act":
                self._acting[step.outcome] = self._acting.get(step.outcome, 0) | here
            while here:
                moved, here, waits = self._take(step, here)
                for to, mask in moved:
                    at[to] |= mask
                for signal, mask in waits.items():
                    self._ledger.compute(signal, mask, step.asker)
        return outcomes

    def _take(self, step: Step, rows: int) -> tuple[list[tuple[int, int]], int, Mapping[int, int]]:
        """Where requests go from a step, those of which it is unknown, and what they wait for."""
        if step.kind == "act":
            return [(step.to[0], rows)], 0, {}
        conditions, known = self._conditions, self._ledger.known
        if step.kind == "test":
            found = conditions.evaluate(step.condition, rows, known)
            true, false = found[step.condition]
            moved = [(step.to[0], rows & false), (step.to[1], rows & true)]
            rows &= ~(true | false)
            if not rows:
                return moved, 0, {}
            waits = conditions.waits(step.condition, rows, found, known, self._rank)
            return moved, rows, waits
        return self._take_values(step, rows)

    def _take_values(
        self, step: Step, rows: int
    ) -> tuple[list[tuple[int, int]], int, Mapping[int, int]]:
        """As `_take`, from a switch or a bisection."""
        conditions, known = self._conditions, self._ledger.known
        atoms = self._atoms(step)
        found = [conditions.evaluate(at, rows, known) for at in atoms]
        sides = [parts[at] for at, parts in zip(atoms, found, strict=True)]
        possible: dict[int, int] = {}
        for to, mask in self._reached(step, rows, sides):
            possible[to] = possible.get(to, 0) | mask
        # A request moves on once all that the variable can still be leads to one place.
        moved, unknown = [], rows
        for to in possible:
            elsewhere = 0
            for other, mask in possible.items():
                elsewhere |= mask if other != to else 0
            moved.append((to, rows & ~elsewhere))
            unknown &= elsewhere
        waits: dict[int, int] = {}
        left = unknown
        for at, parts, (true, false) in zip(atoms, found, sides, strict=True):
            missing = left & ~(true | false)
            left &= ~missing
            if missing:
                for signal, mask in conditions.waits(at, missing, parts, known, self._rank).items():
                    waits[signal] = waits.get(signal, 0) | mask
        return moved, unknown, waits

    def _reached(
        self, step: Step, rows: int, sides: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """For each stretch or label of a variable its target, and the requests that can be there.

        Args:
            step: a switch or a bisection.
            rows: the requests.
            sides: where each of its atoms is true, and where it is false.
        """
        found: list[tuple[int, int]] = []
        if step.kind == "bisect":
            for at, to in enumerate(step.to):
                there = rows
                if at < len(sides):
                    there &= ~sides[at][1]
                if at > 0:
                    there &= ~sides[at - 1][0]
                found.append((to, there))
            return found
        targets = [*step.to[:-1], *[step.to[-1]] * (len(sides) - len(step.labels))]
        found = [(to, rows & ~false) for to, (_, false) in zip(targets, sides, strict=True)]
        if len(sides) < len(step.to):
            other = rows
            for true, _ in sides:
                other &= ~true
            found.append((step.to[-1], other))
        return found

    def _atoms(self, step: Step) -> list[int]:
        """The atoms of a switch or a bisection; of a switch on bands those of all of them."""
        atom = self._conditions.atom
        if step.kind == "switch":
            names = list(step.labels)
            variable = self._program.variables[step.variable]
            for signal in self._program.signals:
                if variable.source == "signal" and signal.name == variable.name:
                    names += [b.name for b in signal.bands if b.name not in step.labels]
            return [atom(Node("is", step.variable, label)) for label in names]
        return [
            atom(Node("le" if inclusive else "lt", step.variable, bound))
            for bound, inclusive in zip(step.bounds, step.inclusive, strict=True)
        ]

    # --- route, category and cache --------------------------------------------------

    def _route(self, rows: int) -> None:
        at = [0] * len(self._routes)
        at[0] = rows
        for place, step in enumerate(self._routes):
            here = at[place]
            if not here:
                continue
            if step.kind == "leaf":
                self._taken(step.outcome, here)
                continue
            while here:
                moved, here, waits = self._take(step, here)
                for to, mask in moved:
                    at[to] |= mask
                if here:
                    self._wait(step, here, waits)

    def _wait(self, step: Step, rows: int, waits: Mapping[int, int]) -> None:
        """The route is open and waits: the category may be settled, or its signal come first."""
        open_ = rows
        for mask in self._settled.values():
            open_ &= ~mask
        other = self._try_category(open_) if self._cases and open_ else {}
        for signal, waiting in waits.items():
            if self._stages[signal] >= _EMBED:
                self._ask_cache(waiting)
        for signal, waiting in waits.items():
            mine = waiting
            for another, (mask, asker) in other.items():
                if self._rank[another] < self._rank[signal] and mine & mask:
                    self._ledger.compute(another, mine & mask, asker)
                    mine &= ~mask
            self._ledger.compute(signal, mine, step.asker)

    def _try_category(self, rows: int) -> dict[int, tuple[int, str]]:
        """Settle the category with what is known; what others wait for, and who asks."""
        at = [0] * len(self._cases)
        at[0] = rows
        waiting: dict[int, tuple[int, str]] = {}
        for place, step in enumerate(self._cases):
            here = at[place]
            if not here:
                continue
            if step.kind == "leaf":
                self._settle(step.outcome, here)
                continue
            moved, _, waits = self._take(step, here)
            for to, mask in moved:
                at[to] |= mask
            for signal, mask in waits.items():
                waiting[signal] = (waiting.get(signal, (0, ""))[0] | mask, step.asker)
        return waiting

    def _settle(self, category: int, rows: int) -> None:
        """The category is known, so the cache may be asked."""
        self._settled[category] = self._settled.get(category, 0) | rows
        if category >= 0:
            self._pending[category] = self._pending.get(category, 0) | rows

    def _ask_cache(self, rows: int) -> None:
        for category, mask in self._pending.items():
            if mask & rows:
                self._pending[category] = mask & ~rows
                self._ledger.ask_cache(category, mask & rows)

    def _taken(self, route: int, rows: int) -> None:
        """The route is known: its cache is asked, unless that has been done."""
        declared = self._program.routes[route]
        open_ = rows
        for mask in self._settled.values():
            open_ &= ~mask
        if open_:
            if declared.cache == "force" and declared.category is not None:
                self._settle(self._places[declared.category], open_)
            elif declared.cache == "auto":
                for category, mask in self._serve(self._categories, open_).items():
                    self._settle(category, mask)
        self._ask_cache(rows)
