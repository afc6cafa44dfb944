"""Nothing crosses a partition, however equal the texts.

What this prevents: a prompt of one tenant answered with another tenant's stored response, because
the scope was part of the compared text or a filter after the search instead of a wall before it.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routec.semcache import Hit, Miss, Partition, Terms

from .support import axis, make

# Names that run into each other when glued together without a length.
parts = st.text("a=\x00é", max_size=3)
keys = st.builds(Partition, parts, st.sampled_from(["chat", "code"]), st.binary(max_size=2))


@pytest.mark.parametrize("graph_from", [10_000, 1])
@given(owners=st.lists(keys, min_size=1, max_size=12, unique=True), askers=st.lists(keys))
@settings(max_examples=80, deadline=None)
def test_identical_vectors_and_fingerprints_stay_with_their_owner(graph_from, owners, askers):
    cache = make(
        Terms("chat", 0.0, 60.0, relax_to=(0.0, 0.0), examples=0.0),
        Terms("code", 0.0, 60.0),
        graph_from=graph_from,
    )
    for number, owner in enumerate(owners):
        for copy in range(3):
            cache.put(owner, b"key%d" % copy, axis(0), b"%d" % number, 1000.0)
    everyone = owners + askers
    outcomes = cache.nearest(everyone, [axis(0)] * len(everyone), 1000.0, load=1.0)
    for asker, outcome in zip(everyone, outcomes, strict=True):
        if asker in owners:
            expected = b"%d" % owners.index(asker)
            assert isinstance(outcome, Hit)
            assert (outcome.response, outcome.similarity) == (expected, 1.0)
            assert cache.exact(asker, b"key0", 1000.0).response == expected
        else:
            assert outcome == Miss("empty")
            assert cache.exact(asker, b"key0", 1000.0) is None


@given(st.lists(st.tuples(keys, st.binary(min_size=1, max_size=2)), unique=True, max_size=20))
@example([(Partition("", "chat", b""), b"ab"), (Partition("", "chat", b"a"), b"b")])
@example([(Partition("c", "chat", b""), b"k"), (Partition("", "code", b""), b"k")])
@settings(deadline=None)
def test_entry_ids_tell_partitions_and_fingerprints_apart(written):
    cache = make(Terms("chat", 0.9, 60.0), Terms("code", 0.9, 60.0))
    ids = [cache.put(key, fingerprint, None, b"", 1000.0) for key, fingerprint in written]
    assert len(set(ids)) == len(written)
    again = make(Terms("chat", 0.5, 6.0), Terms("code", None, 60.0))
    assert ids == [again.put(key, mark, axis(1), b"x", 990.0) for key, mark in written]


def test_invalidating_a_scope_leaves_the_others():
    cache = make()
    keys = [Partition(scope, "chat", b"") for scope in ("tenant=a", "tenant=b", "")]
    for key in keys:
        cache.put(key, b"k", axis(0), b"", 1000.0)
    assert cache.invalidate(scope="tenant=a") == 1
    found = cache.nearest(keys, np.array([axis(0)] * 3), 1000.0)
    assert [type(outcome) for outcome in found] == [Miss, Hit, Hit]
