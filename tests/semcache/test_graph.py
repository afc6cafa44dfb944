"""The graph tier finds what the flat tier finds, through turnover and rebuilds."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest

from routec.semcache import Hit, Terms
from routec.semcache.flat import FlatIndex
from routec.semcache.graph import Build, Builder
from routec.semcache.index import VectorIndex
from routec.semcache.vectors import unit

from .support import KEY, clustered, make

DIMENSION = 64


def rows(count, seed):
    return np.array([unit(row, DIMENSION) for row in clustered(count, DIMENSION, seed)])


def pair(graph_from, background=False):
    builder = Builder(graph_from, background=background)
    return VectorIndex(DIMENSION, builder), FlatIndex(DIMENSION), builder


@pytest.mark.parametrize("turnover", [0, 1500])
def test_hits_are_found_as_by_comparing_all(turnover):
    index, flat, builder = pair(graph_from=500)
    stored = rows(3000 + turnover, seed=1)
    for label, row in enumerate(stored, 1):
        index.add(label, row)
        flat.add(label, row)
        if label > 3000:
            index.remove(label - 3000)
            flat.remove(label - 3000)
    assert index.has_graph
    assert builder.built >= 2
    random = np.random.default_rng(2)
    queries = stored[turnover:] + 0.05 * random.normal(size=stored[turnover:].shape)
    queries = np.array([unit(row, DIMENSION) for row in queries])
    found = hits = 0
    for near, truth in zip(index.search(queries, 1), flat.search(queries, 1), strict=True):
        if truth[0][1] >= 0.8:
            hits += 1
            found += near[0] == truth[0]
    assert hits > 1000
    assert found / hits >= 0.99


def test_what_was_removed_in_any_order_is_never_found_again():
    index, _, builder = pair(graph_from=200)
    stored = rows(900, seed=9)
    random = np.random.default_rng(10)
    live: set[int] = set()
    for label, row in enumerate(stored, 1):
        index.add(label, row)
        live.add(label)
        if len(live) > 300 or label % 3 == 0:
            gone = int(random.choice(sorted(live)))
            index.remove(gone)
            live.remove(gone)
        assert len(index) == len(live)
    assert builder.built > 3
    for near in index.search(stored, 5):
        assert {label for label, _ in near} <= live


def test_small_partitions_never_load_the_graph_library():
    index, _, builder = pair(graph_from=100)
    for label, row in enumerate(rows(100, seed=3), 1):
        index.add(label, row)
    assert (index.has_graph, builder.built, builder.failed) == (False, 0, 0)


def test_a_partition_that_shrinks_is_flat_again_and_loses_nothing():
    index, flat, _ = pair(graph_from=100)
    stored = rows(200, seed=4)
    for label, row in enumerate(stored, 1):
        index.add(label, row)
        flat.add(label, row)
    assert index.has_graph
    for label in range(1, 151):
        index.remove(label)
        flat.remove(label)
    assert not index.has_graph
    assert len(index) == 50
    assert index.search(stored, 3) == flat.search(stored, 3)


def test_a_flat_index_gives_its_room_back():
    stored = rows(100, seed=11)
    tracemalloc.start()
    try:
        flat = FlatIndex(DIMENSION)
        for label in range(5000):
            flat.add(label, stored[label % 100])
        for label in range(4990):
            flat.remove(label)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(flat) == 10
    # Of the matrix; the dictionary of rows keeps its table until the next write.
    assert held < 5000 * DIMENSION * 4 / 2


def test_searches_and_changes_go_on_during_a_build(monkeypatch):
    gate = threading.Event()
    run = Build.run

    def wait_then_run(build):
        gate.wait(10)
        run(build)

    monkeypatch.setattr(Build, "run", wait_then_run)
    index, flat, builder = pair(graph_from=100, background=True)
    stored = rows(160, seed=5)
    for label, row in enumerate(stored[:120], 1):
        index.add(label, row)
        flat.add(label, row)
    assert not builder.free
    for label, row in enumerate(stored[120:], 121):  # after the snapshot
        index.add(label, row)
        flat.add(label, row)
    for label in (*range(1, 21), *range(130, 140)):  # in the snapshot, and after it
        index.remove(label)
        flat.remove(label)
    assert index.search(stored, 4) == flat.search(stored, 4)
    assert not index.has_graph
    gate.set()
    builder._running.done.wait(10)
    assert index.search(stored, 4) == flat.search(stored, 4)
    assert index.has_graph
    assert len(index) == len(flat) == 130


def test_closing_ends_a_build_and_starts_no_other():
    cache = make(dimension=DIMENSION, capacity=20_000, graph_from=5000, background=True)
    stored = clustered(6000, DIMENSION, seed=6)
    for number, row in enumerate(stored):
        cache.put(KEY, number.to_bytes(4, "big"), row, b"", 1000.0)
    cache.close()
    for number, row in enumerate(stored[:2000]):
        cache.put(KEY, b"x%d" % number, row, b"", 1000.0)
    assert cache.stats().graphs_built <= 1
    [outcome] = cache.nearest([KEY], stored[:1], 1000.0)
    assert isinstance(outcome, Hit)


def test_where_no_graph_can_be_built_the_flat_tier_answers(monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "hnswlib", None)
    index, flat, builder = pair(graph_from=50)
    stored = rows(100, seed=7)
    for label, row in enumerate(stored, 1):
        index.add(label, row)
        flat.add(label, row)
    assert not index.has_graph
    assert 1 <= builder.failed <= 5
    assert "no graph could be built" in caplog.text
    assert index.search(stored, 2) == flat.search(stored, 2)


def test_a_query_has_one_cosine_alone_in_a_batch_and_in_either_tier():
    stored = clustered(300, DIMENSION, seed=8)
    caches = [
        make(Terms("chat", 0.5, 60.0), dimension=DIMENSION, capacity=400, graph_from=size)
        for size in (100, 1000)
    ]
    for number, row in enumerate(stored):
        for cache in caches:
            cache.put(KEY, number.to_bytes(2, "big"), row, b"", 1000.0)
    assert [cache.stats().graphs_built > 0 for cache in caches] == [True, False]
    queries = clustered(50, DIMENSION, seed=8)
    batches = [cache.nearest([KEY] * 50, queries, 1000.0) for cache in caches]
    single = [caches[1].nearest([KEY], row[None], 1000.0)[0] for row in queries]
    assert batches[0] == batches[1] == single
