"""Quotas are guarantees, free room is lent, and memory has a bound."""

from __future__ import annotations

import tracemalloc

import pytest

from routec.semcache import CacheError, Partition, Terms

from .support import KEY, Clock, clustered, make

QUIET = Partition("", "quiet", b"")


def fill(cache, key, count, start=0, response=b""):
    for number in range(start, start + count):
        cache.put(key, number.to_bytes(4, "big"), None, response, 1000.0)


def entries(cache):
    return {name: counts.entries for name, counts in cache.stats().categories.items()}


class TestQuota:
    def test_a_category_borrows_free_room_and_gives_it_back(self):
        cache = make(Terms("chat", 0.9, 60.0, 0.6), Terms("quiet", 0.9, 60.0, 40))
        fill(cache, KEY, 500)
        assert entries(cache) == {"chat": 100, "quiet": 0}
        fill(cache, QUIET, 500)
        assert entries(cache) == {"chat": 60, "quiet": 40}
        fill(cache, KEY, 500, start=1000)
        assert entries(cache) == {"chat": 60, "quiet": 40}

    def test_what_no_quota_names_is_divided_equally(self):
        cache = make(
            Terms("chat", 0.9, 60.0, 0.29), Terms("quiet", 0.9, 60.0), Terms("x", 0.9, 60.0)
        )
        counts = cache.stats().categories
        assert [counts[name].guaranteed for name in ("chat", "quiet", "x")] == [29, 35, 35]

    def test_a_category_without_guarantee_never_displaces_a_guaranteed_entry(self):
        cache = make(Terms("chat", 0.9, 60.0, 1.0), Terms("quiet", 0.9, 60.0, 0))
        fill(cache, QUIET, 5)
        fill(cache, KEY, 100)
        assert entries(cache) == {"chat": 100, "quiet": 0}
        assert cache.put(QUIET, b"k", None, b"", 1000.0) is None
        assert cache.stats().categories["quiet"].refused == {"no-room": 1}

    def test_of_categories_equally_far_above_the_writer_gives_way_itself(self):
        names = ("first", "chat", "last")
        keys = {name: Partition("", name, b"") for name in names}
        for writer in ("first", "last"):
            other = "last" if writer == "first" else "first"
            cache = make(
                Terms("first", 0.9, 60.0, 4),
                Terms("chat", 0.9, 60.0, 2),
                Terms("last", 0.9, 60.0, 4),
                capacity=10,
            )
            for name, count in ((writer, 4), (other, 5), ("chat", 1)):
                fill(cache, keys[name], count)
            fill(cache, keys[writer], 1, start=100)
            assert entries(cache) == {writer: 4, other: 5, "chat": 1}

    def test_entries_that_answered_get_a_second_chance(self):
        cache = make(capacity=3)
        for mark in (b"a", b"b", b"c"):
            cache.put(KEY, mark, None, mark, 1000.0)
        cache.exact(KEY, b"a", 1000.0)
        cache.put(KEY, b"d", None, b"d", 1000.0)
        assert cache.exact(KEY, b"b", 1000.0) is None
        assert cache.exact(KEY, b"a", 1000.0) is not None

    def test_expired_entries_make_room_before_any_live_one_goes(self):
        clock = Clock(0.0)
        cache = make(capacity=3, clock=clock)
        for mark, written in ((b"a", -1.0), (b"b", -50.0), (b"c", 0.0)):
            cache.put(KEY, mark, None, mark, written)
        clock.now = 20.0
        cache.put(KEY, b"d", None, b"d", 20.0)
        assert cache.stats().categories["chat"].evictions == {"expired": 1}
        assert cache.exact(KEY, b"a", 20.0) is not None


class TestMemory:
    def test_responses_are_bounded_one_by_one_and_together(self):
        cache = make(max_response_bytes=100, max_bytes=1000)
        assert cache.put(KEY, b"long", None, bytes(101), 1000.0) is None
        assert cache.stats().categories["chat"].refused == {"too-large": 1}
        for number in range(50):
            assert cache.put(KEY, b"%03d" % number, None, bytes(97), 1000.0) is not None
            assert cache.stats().bytes <= 1000
        counts = cache.stats().categories["chat"]
        assert (counts.entries, counts.evictions) == (10, {"bytes": 40})

    def test_bytes_are_guaranteed_in_the_same_parts_as_entries(self):
        cache = make(Terms("chat", 0.9, 60.0, 0.5), Terms("quiet", 0.9, 60.0, 0.5), max_bytes=2000)
        fill(cache, QUIET, 10, response=bytes(96))
        fill(cache, KEY, 100, response=bytes(196))
        assert entries(cache) == {"chat": 5, "quiet": 10}

    def test_an_answer_renews_an_expired_one_that_was_not_swept_yet(self):
        clock = Clock(1000.0)
        cache = make(capacity=3000, clock=clock)
        fill(cache, KEY, 2500)
        clock.now = 1061.0
        assert cache.put(KEY, (2499).to_bytes(4, "big"), None, b"new", 1061.0) is not None
        assert cache.exact(KEY, (2499).to_bytes(4, "big"), 1061.0).response == b"new"
        counts = cache.stats().categories["chat"]
        assert (counts.entries, counts.evictions) == (1476, {"expired": 1024, "replaced": 1})

    def test_what_cannot_fit_displaces_nothing(self):
        cache = make(Terms("chat", 0.9, 60.0, 0.1), Terms("quiet", 0.9, 60.0, 0.9), max_bytes=1000)
        fill(cache, QUIET, 9, response=bytes(96))
        fill(cache, KEY, 1, response=bytes(50))
        assert cache.put(KEY, b"big", None, bytes(300), 1000.0) is None
        assert entries(cache) == {"chat": 1, "quiet": 9}

    @pytest.mark.parametrize(
        ("ttl", "capacity", "graph_from"),
        [(50.0, 200, 10_000), (1e9, 50, 10_000), (1e9, 50, 10)],
        ids=["by age", "by capacity", "with graphs"],
    )
    def test_turnover_does_not_grow_the_process(self, ttl, capacity, graph_from):
        clock = Clock(0.0)
        cache = make(
            Terms("chat", 0.9, ttl),
            clock=clock,
            capacity=capacity,
            dimension=8,
            graph_from=graph_from,
        )
        rows = clustered(300, 8, seed=1)
        kept = Partition("kept", "chat", b"")

        def turn():
            for number, row in enumerate(rows):
                clock.now += 1.0
                key = Partition(f"tenant={number % 3}", "chat", b"%d" % (number % 7 // 6))
                cache.put(key, b"%f" % clock.now, row, bytes(100), clock.now)
                cache.nearest([key], row[None], clock.now)
                # One answer is asked for all the time, so it stays while all about it goes.
                if cache.exact(kept, b"k", clock.now) is None:
                    cache.put(kept, b"k", None, b"", clock.now)

        turn()
        tracemalloc.start()
        try:
            turn()
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(3):
                turn()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert 50 <= cache.stats().entries <= 52
        assert after - before < 20_000
        clock.now += 2e9
        cache.sweep()
        left = cache.stats()
        assert (left.entries, left.bytes, left.partitions) == (0, 0, 0)


@pytest.mark.parametrize("bound", ["capacity", "dimension", "max_bytes", "graph_from"])
def test_bounds_below_one_are_refused(bound):
    with pytest.raises(CacheError, match=f"`{bound}` is 0"):
        make(**{bound: 0})
