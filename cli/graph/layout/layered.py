"""A layered drawing of a directed acyclic graph, from top to bottom."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from routec.cli.graph.layout.coordinates import centres
from routec.cli.graph.layout.crossings import Order, ordered
from routec.cli.graph.layout.geometry import Layout, Link, Point, Size, enclosing, spread
from routec.cli.graph.layout.layers import Chains, chains

GAP = 20.0
LINE_GAP = 12.0
LAYER_GAP = 12.0
"""Between a layer of boxes and the layer of labels below it, and on to the next boxes."""
_SLOPE = 0.07
_STEEPEST = 26.0
"""A layer's gap grows with how far the links in it go aside, up to so much more."""
_PORT = 26.0
_PORTS = 0.62
"""Share of a box's side that ports take."""


def layered(boxes: Sequence[Size], links: Sequence[Link]) -> Layout:
    """Lay out a graph; the same input gives the same drawing.

    Args:
        boxes: their sizes.
        links: arrows between them, in the order in which they leave their boxes.

    Raises:
        ValueError: the links form a cycle.
    """
    if not boxes:
        return Layout(Size(0.0, 0.0), (), (), ())
    places = chains(boxes, links)
    order = ordered(places)
    xs = centres(places, order, GAP, LINE_GAP)
    leaving, entering = _ports(places, xs)
    tops, bottoms = _rows(places, order, _aside(places, xs))
    left, right = enclosing(
        [(x - s.width / 2, x + s.width / 2) for x, s in zip(xs, places.sizes, strict=True)]
    )
    xs = [x - left for x in xs]

    def y(place: int) -> float:
        at = places.layer[place]
        # Boxes hang from the top of their layer, so that arrows of one source begin level.
        return tops[at] + places.sizes[place].height / 2

    lines: list[tuple[Point, ...]] = []
    labels: list[Point | None] = []
    for at, run in enumerate(places.chains):
        source, target = run[0], run[-1]
        bottom = y(source) + places.sizes[source].height / 2
        line = [Point(xs[source] + leaving[at], bottom)]
        if bottom < bottoms[places.layer[source]]:
            line.append(Point(line[0].x, bottoms[places.layer[source]]))
        for place in run[1:-1]:
            layer = places.layer[place]
            line.append(Point(xs[place], tops[layer]))
            if bottoms[layer] > tops[layer]:
                line.append(Point(xs[place], bottoms[layer]))
        line.append(Point(xs[target] + entering[at], tops[places.layer[target]]))
        lines.append(tuple(line))
        label = places.labels[at]
        labels.append(None if label is None else Point(xs[label], y(label)))
    return Layout(
        Size(right - left, bottoms[-1]),
        tuple(Point(xs[at], y(at)) for at in range(len(boxes))),
        tuple(lines),
        tuple(labels),
    )


def _aside(places: Chains, xs: Sequence[float]) -> list[float]:
    """For each layer how far a link goes aside at most on its way to the next layer."""
    far = [0.0] * (max(places.layer) + 1)
    for run in places.chains:
        for upper, lower in itertools.pairwise(run):
            layer = places.layer[upper]
            far[layer] = max(far[layer], abs(xs[upper] - xs[lower]))
    return far


def _rows(places: Chains, order: Order, aside: Sequence[float]) -> tuple[list[float], list[float]]:
    tops: list[float] = []
    bottoms: list[float] = []
    y = 0.0
    for layer, far in zip(order, aside, strict=True):
        height = max((places.sizes[place].height for place in layer), default=0.0)
        tops.append(y)
        bottoms.append(y + height)
        y += height + LAYER_GAP + min(far * _SLOPE, _STEEPEST)
    return tops, bottoms


def _ports(places: Chains, xs: Sequence[float]) -> tuple[list[float], list[float]]:
    """For each link how far from its boxes' centres it leaves and enters."""
    leaving = [0.0] * len(places.chains)
    entering = [0.0] * len(places.chains)
    outs: dict[int, list[int]] = {}
    ins: dict[int, list[int]] = {}
    for at, run in enumerate(places.chains):
        outs.setdefault(run[0], []).append(at)
        ins.setdefault(run[-1], []).append(at)
    for ends, offsets, next_ in ((outs, leaving, 1), (ins, entering, -2)):
        for box, links in ends.items():
            links.sort(key=lambda at: (xs[places.chains[at][next_]], at))
            room = places.sizes[box].width * _PORTS
            for at, offset in zip(links, spread(len(links), room, _PORT), strict=True):
                offsets[at] = offset
    return leaving, entering
