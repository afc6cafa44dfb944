"""Layouts: nothing overlaps, arrows go down, and the same graph is always drawn the same."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.cli.graph.layout import Layout, Link, Point, Rung, Size, ladder, layered
from routec.cli.graph.layout.crossings import crossings, ordered
from routec.cli.graph.layout.layers import Chains, chains

LABEL = Size(40.0, 18.0)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Size], list[Link]]:
    """Directed acyclic graphs in which every box but the first has a source."""
    count = draw(st.integers(1, 14))
    sizes = [Size(draw(st.floats(20, 300)), draw(st.floats(20, 120))) for _ in range(count)]
    pairs = {(draw(st.integers(0, at - 1)), at) for at in range(1, count)}
    pairs |= {
        (a, b)
        for a, b in draw(
            st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=12)
        )
        if a < b
    }
    return sizes, [Link(a, b, LABEL if draw(st.booleans()) else None) for a, b in sorted(pairs)]


def frame(size: Size, at: Point) -> tuple[float, float, float, float]:
    return (
        at.x - size.width / 2,
        at.y - size.height / 2,
        at.x + size.width / 2,
        at.y + size.height / 2,
    )


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return wide > 1e-6 and high > 1e-6


def frames(
    sizes: list[Size], links: list[Link], drawn: Layout
) -> list[tuple[float, float, float, float]]:
    boxes = [frame(size, at) for size, at in zip(sizes, drawn.boxes, strict=True)]
    labels = [
        frame(link.label, at)
        for link, at in zip(links, drawn.labels, strict=True)
        if link.label is not None and at is not None
    ]
    return boxes + labels


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_boxes_and_labels_never_overlap(graph: tuple[list[Size], list[Link]]) -> None:
    sizes, links = graph
    drawn = layered(sizes, links)
    for a, b in itertools.combinations(frames(sizes, links, drawn), 2):
        assert not overlap(a, b)


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_arrows_go_down_from_the_side_of_a_box_to_the_side_of_another(
    graph: tuple[list[Size], list[Link]],
) -> None:
    sizes, links = graph
    drawn = layered(sizes, links)
    for link, line in zip(links, drawn.lines, strict=True):
        assert all(a.y <= b.y for a, b in itertools.pairwise(line))
        left, _, right, bottom = frame(sizes[link.source], drawn.boxes[link.source])
        assert left < line[0].x < right
        assert line[0].y == pytest.approx(bottom)
        left, top, right, _ = frame(sizes[link.target], drawn.boxes[link.target])
        assert left < line[-1].x < right
        assert line[-1].y == pytest.approx(top)


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_everything_is_within_the_size_and_drawn_alike_every_time(
    graph: tuple[list[Size], list[Link]],
) -> None:
    sizes, links = graph
    drawn = layered(sizes, links)
    assert drawn == layered(list(sizes), list(links))
    for left, top, right, bottom in frames(sizes, links, drawn):
        assert left >= -1e-6
        assert top >= -1e-6
        assert right <= drawn.size.width + 1e-6
        assert bottom <= drawn.size.height + 1e-6


def brute(places: Chains, order: list[list[int]]) -> int:
    count = 0
    for upper, lower in itertools.pairwise(order):
        ends = [(a, lower.index(w)) for a, v in enumerate(upper) for w in places.below[v]]
        count += sum(
            (a < c and d < b) or (c < a and b < d)
            for (a, b), (c, d) in itertools.combinations(ends, 2)
        )
    return count


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_crossings_are_counted_as_they_are(graph: tuple[list[Size], list[Link]]) -> None:
    places = chains(*graph)
    order = ordered(places)
    assert sorted(itertools.chain(*order)) == list(range(len(places.sizes)))
    assert crossings(places, order) == brute(places, order)


def test_a_tree_is_drawn_without_crossings_whatever_the_order_of_its_links() -> None:
    links = [Link((at - 1) // 2, at) for at in range(1, 31)]
    places = chains([Size(50.0, 30.0)] * 31, links[::-1])
    assert crossings(places, ordered(places)) == 0


def test_a_long_arrow_runs_straight_beside_what_it_passes() -> None:
    sizes = [Size(100.0, 40.0)] * 5
    links = [Link(0, 1), Link(1, 2), Link(2, 3), Link(3, 4), Link(0, 4)]
    drawn = layered(sizes, links)
    assert len({point.x for point in drawn.lines[4][2:-1]}) == 1


def test_a_cycle_is_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        layered([Size(10.0, 10.0)] * 2, [Link(0, 1), Link(1, 0)])


def test_nothing_has_no_size() -> None:
    assert layered([], []).size == Size(0.0, 0.0)


@given(
    st.lists(
        st.tuples(st.floats(50, 400), st.floats(30, 150), st.none() | st.floats(50, 300)),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=100, deadline=None)
def test_rows_of_a_ladder_stand_below_each_other(
    rows: list[tuple[float, float, float | None]],
) -> None:
    sizes: list[Size] = []
    rungs: list[Rung] = []
    links: list[Link] = []
    for width, height, right in rows:
        left = len(sizes)
        sizes.append(Size(width, height))
        if rungs:
            links.append(Link(rungs[-1].left, left))
        if right is not None:
            sizes.append(Size(right, 40.0))
            links.append(Link(left, left + 1, LABEL))
        rungs.append(Rung(left, None if right is None else left + 1))
    drawn = ladder(sizes, rungs, links)
    for a, b in itertools.combinations(frames(sizes, links, drawn), 2):
        assert not overlap(a, b)
    for left, _, right_, bottom in frames(sizes, [], Layout(drawn.size, drawn.boxes, (), ())):
        assert left >= -1e-6
        assert right_ <= drawn.size.width + 1e-6
        assert bottom <= drawn.size.height + 1e-6
