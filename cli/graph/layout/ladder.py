"""A list of rules as a ladder: rules below each other, what they do at their right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routec.cli.graph.layout.geometry import Layout, Link, Point, Size

GAP = 64.0
"""Between a rule and what it does: room for the arrow's label."""
ROW_GAP = 34.0


@dataclass(frozen=True, slots=True)
class Rung:
    """One row: index of the box at the left, and of the one at the right (``None`` for none)."""

    left: int
    right: int | None = None


def ladder(boxes: Sequence[Size], rungs: Sequence[Rung], links: Sequence[Link]) -> Layout:
    """Lay out rows; links go to the right in a row, or to a later row.

    Args:
        boxes: their sizes.
        rungs: the rows, from top to bottom; every box stands in one.
        links: arrows between boxes.
    """
    row = {box: at for at, rung in enumerate(rungs) for box in (rung.left, rung.right)}
    lefts = max((boxes[r.left].width for r in rungs), default=0.0)
    rights = max((boxes[r.right].width for r in rungs if r.right is not None), default=0.0)
    centres = [Point(0.0, 0.0)] * len(boxes)
    y = 0.0
    for rung in rungs:
        tall = [boxes[rung.left].height]
        tall += [boxes[rung.right].height] if rung.right is not None else []
        middle = y + max(tall) / 2
        centres[rung.left] = Point(lefts / 2, middle)
        if rung.right is not None:
            # What rules do stands flush at the left: names are compared more easily so.
            centres[rung.right] = Point(lefts + GAP + boxes[rung.right].width / 2, middle)
        y += max(tall) + ROW_GAP
    lines: list[tuple[Point, ...]] = []
    labels: list[Point | None] = []
    for link in links:
        a, b = centres[link.source], centres[link.target]
        if row[link.source] == row[link.target]:
            start = Point(a.x + boxes[link.source].width / 2, a.y)
            end = Point(b.x - boxes[link.target].width / 2, b.y)
        else:
            start = Point(a.x, a.y + boxes[link.source].height / 2)
            end = Point(b.x, b.y - boxes[link.target].height / 2)
            if start.x > end.x:
                # From what a rule does back to the next rule: beside the arrow from rule to rule.
                end = Point(min(start.x, b.x + boxes[link.target].width * 0.36), end.y)
        lines.append((start, end))
        middle_ = Point((start.x + end.x) / 2, (start.y + end.y) / 2)
        labels.append(None if link.label is None else middle_)
    width = lefts + (GAP + rights if rights else 0.0)
    return Layout(Size(width, max(y - ROW_GAP, 0.0)), tuple(centres), tuple(lines), tuple(labels))
