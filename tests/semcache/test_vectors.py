"""Vectors that mean nothing are refused at the door, and empty texts match nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from routec.semcache import CacheError, Hit, Miss

from .support import KEY, axis, make


@pytest.mark.parametrize(
    ("vector", "code"),
    [
        ([0, 0, 0, 0], "vector-value"),
        ([1, math.nan, 0, 0], "vector-value"),
        ([1, math.inf, 0, 0], "vector-value"),
        ([1, 0, 0], "vector-shape"),
        ([[1, 0, 0, 0]], "vector-shape"),
        ([], "vector-shape"),
        (1.0, "vector-shape"),
        (["1", "0", "0", "0"], "vector-shape"),
        ([1j, 0, 0, 0], "vector-shape"),
        ([None, 0, 0, 0], "vector-shape"),
    ],
)
def test_a_bad_vector_is_never_stored(vector, code):
    cache = make()
    with pytest.raises(CacheError) as refusal:
        cache.put(KEY, b"k", vector, b"", 1000.0)
    assert refusal.value.code == code
    assert cache.stats().entries == 0


def test_one_bad_vector_of_a_batch_is_a_miss_of_its_own():
    cache = make()
    cache.put(KEY, b"k", axis(0), b"", 1000.0)
    rows = np.array([axis(0), np.zeros(4), [np.nan, 1, 1, 1], axis(1)])
    outcomes = cache.nearest([KEY] * 4, rows, 1000.0)
    assert isinstance(outcomes[0], Hit)
    assert outcomes[1:3] == [Miss("invalid-vector")] * 2
    assert outcomes[3].reason == "below"


@pytest.mark.parametrize(
    "rows", [np.ones((1, 4)), np.ones((2, 3)), np.ones(2), [[1, 0, 0, 0], [1, 0]], ["a", "b"]]
)
def test_a_batch_of_the_wrong_shape_is_refused(rows):
    with pytest.raises(CacheError) as refusal:
        make().nearest([KEY, KEY], rows, 1000.0)
    assert refusal.value.code == "vector-shape"


def test_an_empty_batch_has_no_outcomes():
    assert make().nearest([], [], 1000.0) == []
    assert make().nearest([], np.empty((0, 4), np.float32), 1000.0) == []


def test_texts_without_a_vector_meet_only_in_the_exact_tier():
    cache = make()
    cache.put(KEY, b"empty", None, b"answer", 1000.0)
    assert cache.nearest([KEY, KEY], [None, axis(0)], 1000.0) == [
        Miss("no-vector"),
        Miss("empty"),
    ]
    assert cache.exact(KEY, b"empty", 1000.0).response == b"answer"


@given(
    vector=arrays(
        np.float64,
        4,
        elements=st.floats(allow_nan=False, allow_infinity=False, width=64),
    ).filter(lambda row: np.max(np.abs(row)) > 1e-300)
)
@settings(deadline=None)
def test_any_finite_vector_is_its_own_nearest(vector):
    cache = make()
    cache.put(KEY, b"k", vector, b"", 1000.0)
    [outcome] = cache.nearest([KEY], [vector], 1000.0)
    assert isinstance(outcome, Hit)
    assert outcome.similarity == 1.0


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_no_time_is_refused(time):
    cache = make()
    for call in (
        lambda: cache.put(KEY, b"k", axis(0), b"", time),
        lambda: cache.exact(KEY, b"k", time),
        lambda: cache.nearest([KEY], [axis(0)], time),
    ):
        with pytest.raises(CacheError, match="pass finite seconds"):
            call()


def test_what_is_not_bytes_is_refused():
    cache = make()
    with pytest.raises(CacheError, match="a response is `str`, not bytes"):
        cache.put(KEY, b"k", None, "text", 1000.0)
    for fingerprint in ("text", b"", bytes(65)):
        with pytest.raises(CacheError, match="1 to 64 bytes"):
            cache.put(KEY, fingerprint, None, b"", 1000.0)
    with pytest.raises(CacheError, match="name an entry"):
        cache.invalidate()
