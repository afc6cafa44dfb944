"""Similarity, contrast and repetition: bounds, and independence of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from routec.safety.similarity import Examples, Measures, contrast, cosine, repeated, similarity


def units(*rows: list[float]) -> NDArray[np.float32]:
    matrix = np.array(rows, np.float64)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 0).astype(
        np.float32
    )


def random_units(seed: int, rows: int) -> NDArray[np.float32]:
    return units(*np.random.default_rng(seed).standard_normal((rows, 384)).tolist())


def test_similarity_is_to_the_nearest_example_or_to_all() -> None:
    text = units([1, 0])
    matrix = units([1, 0], [0, 1], [-1, 0])
    assert similarity(text, Examples(matrix)).tolist() == [1.0]
    assert similarity(text, Examples(matrix, "mean")).tolist() == [0.0]


def test_contrast_spans_from_minus_two_to_two() -> None:
    up, down = Examples(units([1, 0])), Examples(units([-1, 0]))
    assert contrast(units([1, 0], [-1, 0], [0, 1]), up, down).tolist() == [2.0, -2.0, 0.0]


def test_a_text_without_content_is_like_nothing() -> None:
    nothing = np.zeros((1, 2), np.float32)
    example = Examples(units([1, 0]))
    assert similarity(nothing, example).tolist() == [0.0]
    assert not repeated(nothing[0], nothing, 0.5)


def test_a_turn_is_repeated_when_one_before_was_near_enough() -> None:
    previous = units([0, 1], [3, 4])
    assert repeated(units([3, 4])[0], previous, 1.0)
    assert repeated(units([1, 0])[0], previous, 0.6)
    assert not repeated(units([1, 0])[0], previous, 0.600001)
    assert not repeated(units([1, 0])[0], previous[:0], -1.0)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 20), st.booleans())
def test_scores_keep_their_bounds_and_do_not_depend_on_the_batch(
    seed: int, rows: int, examples: int, mean: bool
) -> None:
    vectors = random_units(seed, rows)
    high = Examples(random_units(seed + 1, examples), "mean" if mean else "max")
    low = Examples(vectors[:1])
    together = similarity(vectors, high)
    apart = contrast(vectors, high, low)
    assert np.all(np.abs(together) <= 1)
    assert np.all(np.abs(apart) <= 2)
    for index in range(rows):
        one = vectors[index : index + 1]
        assert similarity(one, high)[0] == together[index]
        assert contrast(one, high, low)[0] == apart[index]
    assert similarity(vectors, Examples(vectors)).tolist() == [1.0] * rows


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 20))
def test_a_cosine_is_the_same_to_the_bit_whatever_is_beside_it(
    seed: int, rows: int, others: int
) -> None:
    left, right = random_units(seed, rows), random_units(seed + 1, others)
    together = cosine(left, right)
    for i in range(rows):
        assert cosine(left[i : i + 1], right)[0].tolist() == together[i].tolist()
    for j in range(others):
        assert cosine(left, right[j : j + 1])[:, 0].tolist() == together[:, j].tolist()


@given(
    st.integers(0, 2**32),
    st.integers(0, 12),
    st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(("max", "mean")) | st.integers(1, 9)),
        max_size=6,
    ),
)
def test_signals_measured_together_score_as_one_by_one(
    seed: int, rows: int, shapes: list[tuple[int, Any]]
) -> None:
    vectors = random_units(seed, 12)[:rows]
    signals: list[Any] = []
    apart = []
    for at, (count, other) in enumerate(shapes):
        matrix = random_units(seed + 2 * at + 1, count)
        if isinstance(other, str):
            signals.append(Examples(matrix, other))  # type: ignore[arg-type]
            apart.append(similarity(vectors, signals[-1]))
        else:
            low = Examples(random_units(seed + 2 * at + 2, other))
            signals.append((Examples(matrix), low))
            apart.append(contrast(vectors, *signals[-1]))
    together = Measures(signals).scores(vectors)
    assert together.shape == (rows, len(shapes))
    for column, alone in enumerate(apart):
        assert together[:, column].tolist() == alone.tolist()


def test_signals_over_very_many_examples_are_measured_piece_by_piece() -> None:
    many = Examples(np.zeros((400_000, 2), np.float32))
    vectors = units([1, 0], [0, 1], [1, 1], [0, 0], [3, 4])
    few = Examples(units([3, 4]))
    scores = Measures([many, few]).scores(vectors)
    assert scores[:, 0].tolist() == [0.0] * 5
    assert scores[:, 1].tolist() == similarity(vectors, few).tolist()


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((0, 2), np.float32),
        np.zeros(2, np.float32),
        np.array([[2, 0]], np.float32),
        np.array([[np.nan, 0]], np.float32),
        np.array([[np.inf, 0]], np.float32),
    ],
)
def test_examples_that_are_no_vectors_are_refused(matrix: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="example"):
        Examples(matrix)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match="`median`"):
        Examples(units([1, 0]), "median")  # type: ignore[arg-type]


def test_other_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        similarity(units([1, 0, 0]), Examples(units([1, 0])))
