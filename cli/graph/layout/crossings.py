"""The order of places in their layers, so that few links cross.

Sweeps down and up set every place at the mean of its neighbours' positions (the barycentre
heuristic), then neighbours are exchanged where that helps; the best order seen is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from routec.cli.graph.layout.layers import Chains

_SWEEPS = 24
_PATIENCE = 4
_EXCHANGED = 2_000
"""Places above which neighbours are not exchanged: it is the slow part, and gains least there."""

Order = list[list[int]]


def ordered(chains: Chains) -> Order:
    """The places of each layer from left to right; the same for the same input."""
    order = _first(chains)
    best, least = order, crossings(chains, order)
    stale = 0
    for sweep in range(_SWEEPS):
        if not least or stale >= _PATIENCE:
            break
        order = _sweep(chains, order, down=sweep % 2 == 0)
        if len(chains.sizes) <= _EXCHANGED:
            _exchange(chains, order)
        count = crossings(chains, order)
        stale = 0 if count < least else stale + 1
        if count < least:
            best, least = [list(layer) for layer in order], count
    return best


def crossings(chains: Chains, order: Order) -> int:
    """How many pairs of links cross."""
    position = _positions(chains, order)
    return sum(
        _between([sorted(position[w] for w in chains.below[v]) for v in layer], len(lower))
        for layer, lower in itertools.pairwise(order)
    )


def _between(ends: Sequence[Sequence[int]], width: int) -> int:
    """Inversions of a bipartite layer, with a Fenwick tree (Barth, Juenger and Mutzel, 2002)."""
    tree = [0] * (width + 1)
    total = seen = 0
    for targets in ends:
        for target in targets:
            at, upto = target + 1, 0
            while at:
                upto += tree[at]
                at &= at - 1
            total += seen - upto
        for target in targets:
            at = target + 1
            while at <= width:
                tree[at] += 1
                at += at & -at
            seen += 1
    return total


def _first(chains: Chains) -> Order:
    """Layers in the order of a walk from the roots: links in their own order, left to right."""
    order: Order = [[] for _ in range(max(chains.layer, default=-1) + 1)]
    seen = [False] * len(chains.sizes)
    roots = [at for at in range(chains.boxes) if not chains.above[at]]
    for root in roots:
        stack = [root]
        while stack:
            at = stack.pop()
            if seen[at]:
                continue
            seen[at] = True
            order[chains.layer[at]].append(at)
            stack += reversed(chains.below[at])
    return order


def _sweep(chains: Chains, order: Order, *, down: bool) -> Order:
    result = [list(layer) for layer in order]
    near = chains.above if down else chains.below
    layers = range(1, len(result)) if down else range(len(result) - 2, -1, -1)
    position = _positions(chains, result)
    for at in layers:
        keys: dict[int, float] = {}
        for place in result[at]:
            ends = near[place]
            keys[place] = (
                sum(position[e] for e in ends) / len(ends) if ends else float(position[place])
            )
        result[at].sort(key=lambda place: (keys[place], position[place]))
        for index, place in enumerate(result[at]):
            position[place] = index
    return result


def _exchange(chains: Chains, order: Order) -> None:
    position = _positions(chains, order)
    improved, rounds = True, 0
    while improved and rounds < _PATIENCE:
        improved, rounds = False, rounds + 1
        for layer in order:
            for at in range(len(layer) - 1):
                left, right = layer[at], layer[at + 1]
                gain = 0
                for near in (chains.above, chains.below):
                    a, b = [position[v] for v in near[left]], [position[v] for v in near[right]]
                    gain += sum((x > y) - (x < y) for x in a for y in b)
                if gain > 0:
                    layer[at], layer[at + 1] = right, left
                    position[left], position[right] = at + 1, at
                    improved = True


def _positions(chains: Chains, order: Order) -> list[int]:
    position = [0] * len(chains.sizes)
    for layer in order:
        for index, place in enumerate(layer):
            position[place] = index
    return position
