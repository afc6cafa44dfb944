"""Caps on the sphere: every claim is checked by a vector that shows it, or by weights that prove it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler.theory.caps_search import Bound, Search
from routec.compiler.theory.regions import Pair, Region
from routec.compiler.theory.sphere import TOLERANCE, Array, Blocked, Point, Row, Sphere

MANY = settings(max_examples=60, deadline=None)


def units(random: np.random.Generator, count: int, dimension: int) -> Array:
    rows = random.normal(size=(count, dimension))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def region(high: Array, low: Array | None = None) -> Region:
    below = np.zeros((1, high.shape[1])) if low is None else low
    return Region(high, below, low is not None)


def rows_of(directions: Array, bounds: Array) -> list[Row]:
    return [
        Row(d, np.zeros(0), float(b), TOLERANCE, TOLERANCE, frozenset({at + 1}))
        for at, (d, b) in enumerate(zip(directions, bounds, strict=True))
    ]


def on_sphere(sphere: Sphere, x: Array) -> Array:
    """The unit vector that a point stands for, with one more coordinate where there is room."""
    rest = 1 - float(x @ x)
    assert rest > -1e-9
    if not sphere.roomy:
        assert abs(rest) < 1e-9
        return x
    return np.append(x, np.sqrt(max(rest, 0.0)))


@MANY
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(2, 12))
def test_a_point_meets_every_inequality_and_lies_on_the_sphere(
    seed: int, count: int, dimension: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = units(random, count, dimension)
    sphere = Sphere(vectors)
    signs = random.choice([-1.0, 1.0], size=count)
    bounds = random.uniform(-0.6, 0.9, size=count)
    found = sphere.meet(rows_of(sphere.coordinates * signs[:, None], bounds), np.zeros(0))
    if isinstance(found, Point):
        unit = on_sphere(sphere, found.x)
        assert np.linalg.norm(unit) == pytest.approx(1.0, abs=1e-9)
        back = np.hstack([sphere.coordinates, np.zeros((count, 1))])[:, : len(unit)]
        assert np.all(signs * (back @ unit) >= bounds)


@MANY
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(2, 4))
def test_what_is_called_impossible_is_found_by_no_search(
    seed: int, count: int, dimension: int
) -> None:
    """On spheres of few dimensions a dense sample and descent from its best find what there is."""
    random = np.random.default_rng(seed)
    vectors = units(random, count, dimension)
    bounds = random.uniform(-0.9, 0.95, size=count)
    sphere = Sphere(vectors)
    found = sphere.meet(rows_of(sphere.coordinates, bounds), np.zeros(0))
    points = units(random, 2000, dimension)
    worst = (points @ vectors.T - bounds).min(axis=1)
    best = points[np.argsort(-worst)[:5]]
    for step in np.geomspace(0.3, 1e-4, 60):
        gaps = best @ vectors.T - bounds
        best = best + step * vectors[gaps.argmin(axis=1)]
        best /= np.linalg.norm(best, axis=1, keepdims=True)
    reached = max(float(worst.max()), float((best @ vectors.T - bounds).min(axis=1).max()))
    if isinstance(found, Blocked) and found.proved:
        assert reached < 0
    if isinstance(found, Point):
        assert reached > -0.2  # the search is no oracle of the other direction, but no stranger


@MANY
@given(st.integers(0, 10**6), st.integers(2, 8))
def test_reasons_alone_are_impossible_by_weights_found_another_way(seed: int, count: int) -> None:
    """``min |Aᵀu| - b·u`` over the simplex, by projected subgradients, is below zero."""
    random = np.random.default_rng(seed)
    vectors = units(random, count, 3)
    bounds = random.uniform(0.2, 0.98, size=count)
    sphere = Sphere(vectors)
    found = sphere.meet(rows_of(sphere.coordinates, bounds), np.zeros(0))
    if not (isinstance(found, Blocked) and found.proved):
        return
    chosen = [reason - 1 for reason in sorted(found.reasons)]
    a, b = vectors[chosen], bounds[chosen]
    u = np.full(len(chosen), 1 / len(chosen))
    least = np.inf
    for step in 0.5 / np.sqrt(np.arange(1, 1500)):
        pull = a.T @ u
        length = float(np.linalg.norm(pull))
        least = min(least, length - float(b @ u))
        if least < 0:
            break
        u = np.maximum(u - step * (a @ pull / max(length, 1e-12) - b), 0)
        u = u / u.sum() if u.sum() > 0 else np.full(len(u), 1 / len(u))
    assert least < 0 or again_blocked(sphere, chosen, bounds)


def again_blocked(sphere: Sphere, chosen: list[int], bounds: Array) -> bool:
    """Subgradients are slow near zero: there, a fine grid of the two or three reasons decides."""
    grid = np.random.default_rng(0).normal(size=(200_000, sphere.rank))
    grid /= np.linalg.norm(grid, axis=1, keepdims=True)
    gaps = grid @ sphere.coordinates[chosen].T - bounds[chosen]
    return bool(gaps.min(axis=1).max() < 0)


@MANY
@given(
    st.integers(0, 10**6),
    st.floats(-0.95, 0.95),
    st.floats(-0.95, 0.95),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_pairs_by_formula_and_by_search_agree(
    seed: int, first: float, second: float, ups: int, others: int
) -> None:
    random = np.random.default_rng(seed)
    common = random.normal(size=8) * random.uniform(0, 2)
    vectors = random.normal(size=(ups + others, 8)) + common
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sphere = Sphere(vectors)
    one, other = sphere.coordinates[:ups], sphere.coordinates[ups:]
    regions = {"one": region(one), "other": region(other)}
    pair = Pair(regions["one"], regions["other"])

    def ask(one_above: bool, other_above: bool) -> Point | Blocked:
        bounds = [
            Bound("one", one_above, first, TOLERANCE, 1),
            Bound("other", other_above, second, TOLERANCE, 2),
        ]
        return Search(sphere, regions, {}).run(bounds, [])

    def clear(found: Point | Blocked) -> bool:
        return isinstance(found, Point) or found.proved

    both = ask(True, True)
    if clear(both):  # exact in both directions: unions of caps meet where two of their caps do
        assert pair.disjoint(first, second) is isinstance(both, Blocked)
    inside, around, neither = ask(True, False), ask(False, True), ask(False, False)
    # Containment and covering are exact for single caps, and sufficient for unions of them.
    if pair.contained(first, second):
        assert isinstance(inside, Blocked)
    if pair.containing(first, second):
        assert isinstance(around, Blocked)
    if pair.covering(first, second):
        assert isinstance(neither, Blocked)
    if ups == others == 1:
        for claim, found in (
            (pair.contained(first, second), inside),
            (pair.containing(first, second), around),
            (pair.covering(first, second), neither),
        ):
            if clear(found):
                assert claim is isinstance(found, Blocked)


@MANY
@given(st.integers(0, 10**6), st.data())
def test_values_at_a_found_point_are_within_the_bounds(seed: int, data: st.DataObject) -> None:
    """Nearest examples, means and contrasts together, each bounded from one side or both."""
    random = np.random.default_rng(seed)
    vectors = units(random, 12, 20)
    sphere = Sphere(vectors)
    c = sphere.coordinates
    regions = {
        "nearest": region(c[:4]),
        "mean": region(c[4:7].mean(axis=0, keepdims=True)),
        "contrast": region(c[7:9], c[9:12]),
    }
    bounds = []
    for name in regions:
        low = data.draw(st.floats(-0.9, 0.9))
        high = low + data.draw(st.floats(0.0, 0.5))
        for lower, value in ((True, low), (False, high)):
            if data.draw(st.booleans()):
                bounds.append(Bound(name, lower, value, TOLERANCE, len(bounds) + 1))
    found = Search(sphere, regions, {}).run(bounds, [])
    if isinstance(found, Point):
        for bound in bounds:
            value = regions[bound.name].value(found.x)
            assert value >= bound.value if bound.lower else value <= bound.value
    elif found.proved:
        # No unit vector near the examples, or anywhere else we look, does what cannot be done.
        tries = np.vstack([units(random, 300, 20), vectors, -vectors])
        tries = np.vstack([tries, *(vectors + s * units(random, 12, 20) for s in (0.3, 0.6, 1.0))])
        tries /= np.linalg.norm(tries, axis=1, keepdims=True)
        at = np.linalg.lstsq(vectors.T, tries.T, rcond=None)[0].T @ vectors
        inside = (at @ np.linalg.pinv(vectors)) @ c
        for x in inside:
            ok = all(
                (regions[b.name].value(x) >= b.value) == b.lower
                or regions[b.name].value(x) == b.value
                for b in bounds
            )
            assert not ok


def test_a_crowded_sphere_does_not_claim_room_that_it_has_not() -> None:
    """In two dimensions, below 0.9 of three directions spread evenly there is still an arc."""
    angles = np.array([0, 2, 4]) * np.pi / 3
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    sphere = Sphere(vectors)
    assert not sphere.roomy
    found = sphere.meet(rows_of(-sphere.coordinates, np.full(3, -0.9)), np.zeros(0))
    assert isinstance(found, Point)
    assert np.linalg.norm(found.x) == pytest.approx(1.0)
    none = sphere.meet(rows_of(-sphere.coordinates, np.full(3, -0.4)), np.zeros(0))
    assert not isinstance(none, Point)  # the circle's every point is within 60 degrees of one
    assert not none.proved  # the ball has a point, so this is no proof


def test_thresholds_that_just_touch_are_neither_possible_nor_impossible() -> None:
    vectors = np.eye(3)[:2]
    sphere = Sphere(vectors)
    touching = np.full(2, np.sqrt(0.5))
    found = sphere.meet(rows_of(sphere.coordinates, touching), np.zeros(0))
    assert found == Blocked(frozenset({1, 2}), False)
    apart = sphere.meet(rows_of(sphere.coordinates, touching + 1e-5), np.zeros(0))
    assert apart == Blocked(frozenset({1, 2}), True)
    meeting = sphere.meet(rows_of(sphere.coordinates, touching - 1e-5), np.zeros(0))
    assert isinstance(meeting, Point)


def test_free_numbers_take_part_without_lengthening_the_point() -> None:
    """``x1 + z >= 1.5`` with z at most 0.7 needs x1 of 0.8, with z at most 0.4 more than 1."""
    sphere = Sphere(np.eye(2)[:1])
    x = sphere.coordinates[0]

    def ask(most: float) -> Point | Blocked:
        rows = [
            Row(x, np.ones(1), 1.5, TOLERANCE, TOLERANCE, frozenset({1})),
            Row(np.zeros(1), -np.ones(1), -most, 0.0, TOLERANCE, frozenset({2})),
        ]
        return sphere.meet(rows, np.ones(1))

    possible = ask(0.7)
    assert isinstance(possible, Point)
    assert float(x @ possible.x) >= 0.8
    assert ask(0.4) == Blocked(frozenset({1, 2}), True)
