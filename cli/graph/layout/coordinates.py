"""Horizontal places of ordered layers (Brandes and Koepf, 2001): long links run straight.

Each place is aligned with its median neighbour above or below, leftmost or rightmost; of these
four drawings every place takes the mean of its two middle ones. Blocks of aligned places are set
by longest paths in the graph of who stands beside whom.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from routec.cli.graph.layout.crossings import Order
from routec.cli.graph.layout.layers import Chains

Neighbours = Sequence[Sequence[int]]


def centres(chains: Chains, order: Order, gap: float, line_gap: float) -> list[float]:
    """The x of every place's centre.

    Args:
        chains: the places.
        order: of the places in each layer.
        gap: least room between two boxes or labels.
        line_gap: least room beside a place that is only a link's.
    """
    conflicts = _conflicts(chains, order)
    boxed = [at < chains.boxes for at in range(len(chains.sizes))]
    for label in chains.labels:
        if label is not None:
            boxed[label] = True

    def apart(left: int, right: int) -> float:
        room = gap if boxed[left] and boxed[right] else line_gap
        return (chains.sizes[left].width + chains.sizes[right].width) / 2 + room

    drawings: list[list[float]] = []
    for down in (True, False):
        for leftmost in (True, False):
            layers = order if down else order[::-1]
            if not leftmost:
                layers = [layer[::-1] for layer in layers]
            near = chains.above if down else chains.below
            root = _aligned(layers, near, conflicts, len(chains.sizes))
            xs = _compact(layers, root, apart)
            drawings.append(xs if leftmost else [-x for x in xs])
    return _balanced(chains, drawings)


def _conflicts(chains: Chains, order: Order) -> set[tuple[int, int]]:
    """Links that cross an inner segment (one between two places of links): they must give way."""
    found: set[tuple[int, int]] = set()
    position = {place: at for layer in order for at, place in enumerate(layer)}
    inner = [at >= chains.boxes for at in range(len(chains.sizes))]
    for upper, lower in itertools.pairwise(order):
        begin = scanned = 0
        for at, place in enumerate(lower):
            ends = chains.above[place]
            straight = next((e for e in ends if inner[place] and inner[e]), None)
            if straight is None and at < len(lower) - 1:
                continue
            end = len(upper) - 1 if straight is None else position[straight]
            for other in lower[scanned : at + 1]:
                for above in chains.above[other]:
                    if not begin <= position[above] <= end and not (inner[other] and inner[above]):
                        found.add((above, other))
            scanned, begin = at + 1, end
    return found


def _aligned(
    layers: Order, near: Neighbours, conflicts: set[tuple[int, int]], count: int
) -> list[int]:
    """For each place the first place of the block it is aligned with."""
    position = {place: at for layer in layers for at, place in enumerate(layer)}
    root, align = list(range(count)), list(range(count))
    for layer in layers:
        last = -1
        for place in layer:
            ends = sorted(near[place], key=position.__getitem__)
            middle = (len(ends) - 1) / 2
            for at in sorted({int(middle), int(middle + 0.5)}) if ends else ():
                end = ends[at]
                crossed = (end, place) in conflicts or (place, end) in conflicts
                if align[place] == place and last < position[end] and not crossed:
                    align[end] = place
                    align[place] = root[place] = root[end]
                    last = position[end]
    return root


def _compact(layers: Order, root: list[int], apart: object) -> list[float]:
    assert callable(apart)
    after: dict[int, dict[int, float]] = {}
    before: dict[int, dict[int, float]] = {}
    blocks = dict.fromkeys(root[place] for layer in layers for place in layer)
    for layer in layers:
        for left, right in itertools.pairwise(layer):
            a, b = root[left], root[right]
            room = max(after.get(a, {}).get(b, 0.0), apart(left, right))
            after.setdefault(a, {})[b] = room
            before.setdefault(b, {})[a] = room
    waiting = {block: len(before.get(block, ())) for block in blocks}
    ready = [block for block in blocks if not waiting[block]]
    sorted_: list[int] = []
    while ready:
        block = ready.pop()
        sorted_.append(block)
        for other in after.get(block, ()):
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    x = dict.fromkeys(blocks, 0.0)
    for block in sorted_:
        x[block] = max((x[b] + room for b, room in before.get(block, {}).items()), default=0.0)
    # What has room on its right moves towards what it stands beside there.
    for block in reversed(sorted_):
        beside = after.get(block)
        if beside:
            x[block] = max(x[block], min(x[b] - room for b, room in beside.items()))
    return [x.get(root[place], 0.0) for place in range(len(root))]


def _balanced(chains: Chains, drawings: list[list[float]]) -> list[float]:
    """The mean of the two middle drawings, all moved to the narrowest one's sides."""

    def sides(xs: list[float]) -> tuple[float, float]:
        half = [size.width / 2 for size in chains.sizes]
        return (
            min((x - h for x, h in zip(xs, half, strict=True)), default=0.0),
            max((x + h for x, h in zip(xs, half, strict=True)), default=0.0),
        )

    spans = [sides(xs) for xs in drawings]
    narrow = min(range(len(spans)), key=lambda at: spans[at][1] - spans[at][0])
    shifted = []
    for at, xs in enumerate(drawings):
        leftmost = at % 2 == 0
        shift = spans[narrow][0] - spans[at][0] if leftmost else spans[narrow][1] - spans[at][1]
        shifted.append([x + shift for x in xs])
    middle = [sorted(four)[1:3] for four in zip(*shifted, strict=True)]
    return [(low + high) / 2 for low, high in middle]
