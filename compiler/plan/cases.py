"""Which category applies, whatever route it will be: asked before the route is known.

The first route that holds takes no category, a certain one, or the first category whose condition
holds. So whether a category applies follows from decision lists over the routes, grouped into
runs that use the cache alike, and from the categories' conditions. They are written such that
three-valued logic settles them early: in ``G1 or (not G2 and G3)`` an unknown `G2` does not matter
once `G3` is false, nor anything behind `G1` once that is true.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

from routec.compiler.program import Case, Node, Program, Route

DEEPEST = 30
"""Most alternations between routes of a category and others; each nests two nodes deeper."""

Mode = str | bool
"""How a run of routes uses the cache: ``False`` off, ``True`` by the request, or a category."""


def cases_of(program: Program) -> tuple[tuple[Node, ...], tuple[Case, ...]]:
    """The cases of `Plan.cases`, and the nodes that they need.

    Only the routes of ``program.plan.routes`` count, where any are given.

    Args:
        program: a program whose plan may have live routes.

    Returns:
        All nodes, those of the program first and operands before what uses them; and the cases:
        one for each category that may apply, in order, and a last one that always holds. There
        are no cases (and no further nodes) where no category can apply, or where routes that
        use the cache differently alternate more than `DEEPEST` times.
    """
    live = program.plan.routes or range(len(program.routes))
    routes = [program.routes[at] for at in live]
    runs = [
        (mode, [route.when for route in group])
        for mode, group in groupby(routes, key=lambda route: _mode(route))
    ]
    by_request = any(mode is True for mode, _ in runs)
    nodes = _Nodes(program.nodes)
    cases: list[Case] = []
    for at, category in enumerate(program.categories):
        forced = any(mode == category.name for mode, _ in runs)
        if not (forced or by_request):
            continue
        only = nodes.taken(runs, {category.name})
        also = nodes.taken(runs, {category.name, True})
        if only is None or also is None:
            return program.nodes, ()
        # An earlier category that holds is the case before this one, if it applies.
        cases.append(Case(nodes.any((only, nodes.all((category.when, also)))), at))
    if not cases:
        return program.nodes, ()
    cases.append(Case(nodes.const(True), -1))
    return tuple(nodes.nodes), tuple(cases)


def _mode(route: Route) -> Mode:
    if route.cache == "force":
        assert route.category is not None, "a route that forces a category names it"
        return route.category
    return route.cache == "auto"


class _Nodes:
    """Nodes of a program, and further ones; equal nodes are one, constants are folded."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = list(nodes)
        self._numbers: dict[Node, int] = {}
        for at, node in enumerate(nodes):
            self._numbers.setdefault(node, at)

    def taken(self, runs: Sequence[tuple[Mode, list[int]]], modes: Collection[Mode]) -> int | None:
        """That the first route that holds is of a run of these modes; ``None`` if too deep."""
        grouped = [
            (inside, [when for _, run in group for when in run])
            for inside, group in groupby(runs, key=lambda run: run[0] in modes)
        ]
        if len(grouped) > DEEPEST + 1:
            return None
        # The last group holds the default route: whatever comes to it stays.
        found = self.const(grouped[-1][0])
        for inside, whens in reversed(grouped[:-1]):
            some = self.any(whens)
            found = self.any((some, found)) if inside else self.all((self.no(some), found))
        return found

    def const(self, value: bool) -> int:
        """A constant."""
        return self._add(Node("const", value=value))

    def no(self, node: int) -> int:
        """Negation."""
        found = self.nodes[node]
        if found.op == "const":
            return self.const(not found.value)
        return found.of[0] if found.op == "not" else self._add(Node("not", of=(node,)))

    def all(self, parts: Sequence[int]) -> int:
        """Conjunction."""
        return self._join("and", parts, settles=False)

    def any(self, parts: Sequence[int]) -> int:
        """Disjunction."""
        return self._join("or", parts, settles=True)

    def _join(self, op: str, parts: Sequence[int], settles: bool) -> int:
        left: dict[int, None] = {}
        for part in parts:
            node = self.nodes[part]
            if node.op != "const":
                left[part] = None
            elif node.value is settles:
                return self.const(settles)
        if not left:
            return self.const(not settles)
        if len(left) == 1:
            return next(iter(left))
        return self._add(Node("or" if op == "or" else "and", of=tuple(left)))

    def _add(self, node: Node) -> int:
        if node not in self._numbers:
            self._numbers[node] = len(self.nodes)
            self.nodes.append(node)
        return self._numbers[node]
