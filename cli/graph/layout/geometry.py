"""Sizes, places and links; all lengths are pixels, y grows downwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Point:
    """A place."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow between two boxes.

    Attributes:
        source: index of the box it leaves.
        target: index of the box it enters.
        label: size of its label; ``None`` without one.
    """

    source: int
    target: int
    label: Size | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing without its contents; its upper left corner is the origin.

    Attributes:
        size: of the whole.
        boxes: the centre of each box.
        lines: for each link the points it runs through, from box to box. Between two points of
            different x it is meant to be drawn as a curve that leaves and enters vertically.
        labels: for each link the centre of its label; ``None`` without one.
    """

    size: Size
    boxes: tuple[Point, ...]
    lines: tuple[tuple[Point, ...], ...]
    labels: tuple[Point | None, ...]


def moved(layout: Layout, x: float, y: float) -> Layout:
    """The same drawing with its upper left corner elsewhere; the size stays."""
    return Layout(
        layout.size,
        tuple(Point(p.x + x, p.y + y) for p in layout.boxes),
        tuple(tuple(Point(p.x + x, p.y + y) for p in line) for line in layout.lines),
        tuple(None if p is None else Point(p.x + x, p.y + y) for p in layout.labels),
    )


def spread(count: int, width: float, most: float) -> list[float]:
    """Offsets from a centre for so many ports on a side of this width, at most `most` apart."""
    step = min(most, width / max(count, 1))
    return [(at - (count - 1) / 2) * step for at in range(count)]


def enclosing(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Least and greatest of some intervals; (0, 0) of none."""
    if not points:
        return (0.0, 0.0)
    return (min(low for low, _ in points), max(high for _, high in points))
