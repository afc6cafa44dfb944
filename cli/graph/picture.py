"""A whole drawing: a panel for each question, side by side or below each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routec.cli.graph.boxes import Box, box_of, label_size, measure, widened, wrapped
from routec.cli.graph.layout import Layout, Link, Point, Rung, Size, ladder, layered
from routec.cli.graph.layout.geometry import moved
from routec.cli.graph.model import Cluster, Graph

PAD = 26.0
HEAD = 46.0
NOTE = 16.0
GAP = 54.0
"""Between panels: room for the arrow from one to the next."""
APART_HEAD = 30.0
_APART_GAP = 14.0
_SCREEN = Size(1120.0, 780.0)
"""What a drawing should fit into."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A question's part of the drawing; all places are within the whole drawing.

    Attributes:
        cluster: the question.
        corner: its upper left corner.
        size: of the whole panel.
        note: lines of its note.
        boxes: contents of each vertex's box, by id.
        centres: centre of each vertex's box, by id.
        lines: for each edge the points it runs through.
        labels: for each edge the centre of its label; ``None`` without one.
        apart: where the heading of the rules that never act stands; ``None`` without those.
    """

    cluster: Cluster
    corner: Point
    size: Size
    note: tuple[str, ...]
    boxes: Mapping[str, Box]
    centres: Mapping[str, Point]
    lines: tuple[tuple[Point, ...], ...]
    labels: tuple[Point | None, ...]
    apart: Point | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing: its panels, and arrows from one to the next as two points each."""

    size: Size
    panels: tuple[Panel, ...]
    arrows: tuple[tuple[Point, Point], ...]


def picture(graph: Graph) -> Picture:
    """Place everything; the same graph gives the same picture."""
    parts = [_part(cluster) for cluster in graph.clusters]
    corners = _arranged([part.size for part in parts])
    panels = tuple(_moved(part, corner) for part, corner in zip(parts, corners, strict=True))
    arrows = tuple(_arrow(a, b) for a, b in itertools.pairwise(panels))
    size = Size(
        max(panel.corner.x + panel.size.width for panel in panels),
        max(panel.corner.y + panel.size.height for panel in panels),
    )
    return Picture(size, panels, arrows)


def _part(cluster: Cluster) -> Panel:
    boxes = {vertex.id: box_of(vertex) for vertex in cluster.vertices}
    # The columns of a list are flush on both sides.
    for column in (0, 1):
        names = [row[column] for row in cluster.rows if len(row) == 2]
        boxes |= dict(zip(names, widened([boxes[name] for name in names]), strict=True))
    inside = _layout(cluster, boxes)
    main = [vertex.id for vertex in cluster.vertices if vertex.id not in set(cluster.apart)]
    title = measure(cluster.title, "name") * 1.25 + 190.0
    inner = max(inside.size.width, title, 240.0)
    note = tuple(wrapped(cluster.note, int(inner / 6.4), 3)) if cluster.note else ()
    top = PAD + HEAD + NOTE * len(note) + (6.0 if note else 0.0)
    layout = moved(inside, PAD + (inner - inside.size.width) / 2, top)
    centres = dict(zip(main, layout.boxes, strict=True))
    y = top + inside.size.height
    apart = None
    if cluster.apart:
        apart = Point(PAD, y + APART_HEAD)
        y = _shelved(cluster.apart, boxes, centres, y + APART_HEAD + 24.0, inner)
    return Panel(
        cluster,
        Point(0.0, 0.0),
        Size(inner + 2 * PAD, y + PAD),
        note,
        boxes,
        centres,
        layout.lines,
        layout.labels,
        apart,
    )


def _layout(cluster: Cluster, boxes: Mapping[str, Box]) -> Layout:
    apart = set(cluster.apart)
    index = {
        name: at for at, name in enumerate(v.id for v in cluster.vertices if v.id not in apart)
    }
    sizes = [boxes[name].size for name in index]
    links = [
        Link(index[edge.source], index[edge.target], label_size(edge)) for edge in cluster.edges
    ]
    if not cluster.rows:
        return layered(sizes, links)
    rungs = [Rung(index[row[0]], index[row[1]] if len(row) > 1 else None) for row in cluster.rows]
    return ladder(sizes, rungs, links)


def _shelved(
    names: Sequence[str],
    boxes: Mapping[str, Box],
    centres: dict[str, Point],
    top: float,
    room: float,
) -> float:
    """Place boxes beside each other on as many shelves as they need; returns where that ends."""
    x, y, tall = 0.0, top, 0.0
    for name in names:
        size = boxes[name].size
        if x and x + size.width > room:
            x, y, tall = 0.0, y + tall + _APART_GAP, 0.0
        centres[name] = Point(PAD + x + size.width / 2, y + size.height / 2)
        x += size.width + _APART_GAP
        tall = max(tall, size.height)
    return y + tall


def _arranged(sizes: Sequence[Size]) -> list[Point]:
    """Where panels stand, so that the whole can be seen as large as possible on one screen."""
    options = [_row(sizes)]
    if len(sizes) > 1:
        options.append(_column(sizes))
    if len(sizes) == 3:
        first, second, _third = sizes
        left = max(first.width, second.width)
        options.append([Point(0.0, 0.0), Point(0.0, first.height + GAP), Point(left + GAP, 0.0)])

    def scale(corners: Sequence[Point]) -> float:
        wide = max(c.x + s.width for c, s in zip(corners, sizes, strict=True))
        high = max(c.y + s.height for c, s in zip(corners, sizes, strict=True))
        return min(_SCREEN.width / wide, _SCREEN.height / high)

    return max(options, key=scale)


def _row(sizes: Sequence[Size]) -> list[Point]:
    return [Point(sum(s.width + GAP for s in sizes[:at]), 0.0) for at in range(len(sizes))]


def _column(sizes: Sequence[Size]) -> list[Point]:
    return [Point(0.0, sum(s.height + GAP for s in sizes[:at])) for at in range(len(sizes))]


def _moved(panel: Panel, corner: Point) -> Panel:
    def at(point: Point) -> Point:
        return Point(point.x + corner.x, point.y + corner.y)

    return Panel(
        panel.cluster,
        corner,
        panel.size,
        panel.note,
        panel.boxes,
        {name: at(point) for name, point in panel.centres.items()},
        tuple(tuple(at(p) for p in line) for line in panel.lines),
        tuple(None if p is None else at(p) for p in panel.labels),
        None if panel.apart is None else at(panel.apart),
    )


def _arrow(a: Panel, b: Panel) -> tuple[Point, Point]:
    if b.corner.x >= a.corner.x + a.size.width:
        # Where both panels are beside each other, near the head of the lower one.
        y = max(a.corner.y, b.corner.y) + PAD + HEAD / 2 - 6.0
        return Point(a.corner.x + a.size.width, y), Point(b.corner.x, y)
    x = a.corner.x + PAD + 14.0
    return Point(x, a.corner.y + a.size.height), Point(x, b.corner.y)
