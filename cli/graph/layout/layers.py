"""From boxes and links to layers of places: every link becomes a chain of neighbours.

A link's label is a place of its own in the half layer below its source; where a link passes a
layer, an empty place keeps a gap for it. (Sugiyama, Tagawa and Toda, 1981; labels as in Gansner,
Koutsofios, North and Vo, 1993.)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from routec.cli.graph.layout.geometry import Link, Size

LINE_WIDTH = 10.0
"""Room for a link that passes a layer."""


@dataclass(frozen=True, slots=True)
class Chains:
    """Places in layers.

    Attributes:
        sizes: of every place; the boxes come first, in their order.
        layer: of every place; boxes stand in even layers.
        above: for each place its neighbours one layer up.
        below: for each place its neighbours one layer down.
        chains: for each link the places it runs through, both boxes included.
        labels: for each link the place of its label; ``None`` without one.
        boxes: how many places are boxes.
    """

    sizes: tuple[Size, ...]
    layer: tuple[int, ...]
    above: tuple[tuple[int, ...], ...]
    below: tuple[tuple[int, ...], ...]
    chains: tuple[tuple[int, ...], ...]
    labels: tuple[int | None, ...]
    boxes: int


def chains(boxes: Sequence[Size], links: Sequence[Link]) -> Chains:
    """Put boxes into layers by the longest path to them, and give links their places.

    Raises:
        ValueError: the links form a cycle.
    """
    depth = _depths(len(boxes), links)
    sizes, layer = list(boxes), [2 * d for d in depth]
    above: list[list[int]] = [[] for _ in boxes]
    below: list[list[int]] = [[] for _ in boxes]
    runs: list[tuple[int, ...]] = []
    labels: list[int | None] = []
    for link in links:
        run, label = [link.source], None
        for at in range(layer[link.source] + 1, layer[link.target]):
            place = len(sizes)
            if link.label is not None and label is None:
                label = place
                sizes.append(link.label)
            else:
                sizes.append(Size(LINE_WIDTH, 0.0))
            layer.append(at)
            above.append([])
            below.append([])
            run.append(place)
        run.append(link.target)
        for upper, lower in itertools.pairwise(run):
            below[upper].append(lower)
            above[lower].append(upper)
        runs.append(tuple(run))
        labels.append(label)
    return Chains(
        tuple(sizes),
        tuple(layer),
        tuple(tuple(sorted(set(n))) for n in above),
        tuple(tuple(dict.fromkeys(n)) for n in below),
        tuple(runs),
        tuple(labels),
        len(boxes),
    )


def _depths(count: int, links: Sequence[Link]) -> list[int]:
    waiting = [0] * count
    out: list[list[int]] = [[] for _ in range(count)]
    for link in links:
        waiting[link.target] += 1
        out[link.source].append(link.target)
    depth = [0] * count
    ready = [at for at in range(count) if not waiting[at]]
    done = 0
    while ready:
        at = ready.pop()
        done += 1
        for target in out[at]:
            depth[target] = max(depth[target], depth[at] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    if done < count:
        raise ValueError("the links form a cycle")
    return depth
