"""Dropping a category is one step; what it held is freed a little at a time.

What this prevents: a swap of policies that drops a large category holds up every decision for as
long as it takes to visit each of its entries.
"""

from __future__ import annotations

import numpy as np
import pytest

from routec.semcache import Hit, Miss, Partition, SemanticCache, Terms
from routec.semcache.shelf import Shelf

from .support import KEY, Clock, axis, make

TERMS = (Terms("chat", 0.9, 60.0), Terms("code", 0.9, 60.0))
CODE = Partition("", "code", b"compat")


class Answer(bytes):
    """A response that tells when it is freed."""

    alive = 0

    def __new__(cls, text: bytes) -> Answer:
        Answer.alive += 1
        return super().__new__(cls, text)

    def __del__(self) -> None:
        Answer.alive -= 1


@pytest.fixture(autouse=True)
def counted():
    Answer.alive = 0


def filled(count: int, partitions: int = 1, **bounds) -> SemanticCache:
    cache = make(*TERMS, capacity=count + 10, max_bytes=1 << 30, **bounds)
    for number in range(count):
        key = Partition(str(number % partitions), "chat", b"compat")
        cache.put(key, b"%03d" % number, axis(number % 4), Answer(b"a%03d" % number), 1000.0)
    return cache


def touched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The labels of the entries that are visited from now on."""
    seen: list[int] = []
    forget, scoped = Shelf._forget, Shelf.scoped

    def note(self, entry):
        seen.append(entry.label)
        forget(self, entry)

    def note_all(self, scope):
        found = scoped(self, scope)
        seen.extend(entry.label for entry in found)
        return found

    monkeypatch.setattr(Shelf, "_forget", note)
    monkeypatch.setattr(Shelf, "scoped", note_all)
    return seen


DROPS = {
    "the category is invalidated": lambda cache: cache.invalidate(category="chat"),
    "the cache is cleared": lambda cache: cache.clear(),
    "the category is gone from the terms": lambda cache: cache.reconfigure(TERMS[1:]),
}
CHANGES = {
    "shorter-lived": Terms("chat", 0.9, 30.0),
    "stricter": Terms("chat", 0.99, 60.0),
    "with less room": Terms("chat", 0.9, 60.0, quota=1),
    "closed": Terms("chat", None, 60.0),
}


@pytest.mark.parametrize("drop", DROPS.values(), ids=list(DROPS))
@pytest.mark.parametrize("partitions", [1, 7, 400])
def test_a_drop_visits_no_entry_and_nothing_is_found_after_it(monkeypatch, drop, partitions):
    cache = filled(400, partitions)
    seen = touched(monkeypatch)
    drop(cache)
    assert seen == []
    stats = cache.stats()
    assert (stats.entries, stats.bytes, stats.partitions, stats.unfreed) == (0, 0, 0, 400)
    keys = [Partition(str(number % partitions), "chat", b"compat") for number in range(400)]
    assert all(cache.exact(key, b"%03d" % at, 1000.0) is None for at, key in enumerate(keys))
    outcomes = cache.nearest(keys, [axis(at % 4) for at in range(400)], 1000.0)
    assert {outcome.reason for outcome in outcomes} <= {"empty", "unknown-category"}


@pytest.mark.parametrize("term", CHANGES.values(), ids=list(CHANGES))
def test_other_terms_visit_no_entry(monkeypatch, term):
    cache = filled(400)
    seen = touched(monkeypatch)
    cache.reconfigure([term, TERMS[1]])
    assert seen == []
    assert cache.stats().entries == 400


@pytest.mark.parametrize("partitions", [1, 7, 400])
@pytest.mark.parametrize("graph_from", [50, 10_000])
def test_each_step_frees_what_it_says_and_no_more(partitions, graph_from):
    cache = filled(400, partitions, graph_from=graph_from)
    size = cache.stats().bytes
    cache.invalidate(category="chat")
    left = 400
    while left:
        assert Answer.alive == left
        left = max(0, left - 30)
        assert cache.release(30) == left
        stats = cache.stats()
        assert stats.unfreed == left
        assert stats.unfreed_bytes == size * left // 400
    assert Answer.alive == 0
    assert cache.release(30) == 0


def test_lookups_and_writes_free_it_where_nobody_else_does():
    cache = filled(400)
    cache.invalidate(category="chat")
    for _ in range(100):
        cache.nearest([CODE], [axis(0)], 1000.0)
    assert Answer.alive == cache.stats().unfreed == 0


def test_what_is_dropped_gives_way_to_writes_before_the_bounds_are_reached():
    cache = make(*TERMS, capacity=1000, max_bytes=100_000, max_response_bytes=90_000)
    for number in range(900):
        cache.put(KEY, b"%d" % number, None, b"x" * 100, 1000.0)
    cache.invalidate(category="chat")
    # One answer as large as nearly everything that was dropped.
    assert cache.put(CODE, b"large", None, b"y" * 90_000, 1000.0) is not None
    stats = cache.stats()
    assert stats.bytes + stats.unfreed_bytes <= 100_000
    assert stats.entries + stats.unfreed <= 1000
    assert stats.categories["code"].evictions == {}


def test_the_same_answers_can_be_written_again_at_once():
    cache = filled(100)
    first = cache.exact(Partition("0", "chat", b"compat"), b"007", 1000.0)
    cache.invalidate(category="chat")
    key = Partition("0", "chat", b"compat")
    again = cache.put(key, b"007", axis(0), b"new", 1000.0)
    assert first is not None
    assert again == first.entry
    while cache.release(9):
        assert cache.exact(key, b"007", 1000.0) == Hit(again, 1.0, b"new", "exact")
    assert cache.exact(key, b"007", 1000.0) == Hit(again, 1.0, b"new", "exact")
    assert cache.invalidate(entry=again) == 1


def test_the_counts_of_a_category_outlive_its_entries_and_other_terms():
    cache = filled(50)
    cache.invalidate(category="chat")
    cache.reconfigure([TERMS[1], CHANGES["stricter"]])
    stats = cache.stats().categories["chat"]
    assert (stats.entries, stats.writes, stats.evictions) == (0, 50, {"invalidated": 50})


def test_whose_entry_goes_among_equals_is_a_matter_of_terms_not_of_history():
    def losers(cache):
        for number in range(2):
            cache.put(CODE, b"%d" % number, None, b"", 1000.0)
            cache.put(KEY, b"%d" % number, None, b"", 1000.0)
        cache.put(Partition("", "more", b""), b"new", None, b"", 1000.0)
        return {name: stats.entries for name, stats in cache.stats().categories.items()}

    terms = [Terms(name, 0.9, 60.0, quota=1) for name in ("code", "chat", "more")]
    swapped = make(*TERMS, capacity=4)
    swapped.reconfigure(terms)
    assert losers(swapped) == losers(make(*terms, capacity=4))


def test_a_category_that_comes_back_begins_anew():
    clock = Clock()
    cache = filled(50, clock=clock)
    cache.reconfigure(TERMS[1:])
    cache.reconfigure(TERMS)
    stats = cache.stats().categories["chat"]
    assert (stats.entries, stats.writes, stats.evictions) == (0, 0, {})
    key = Partition("0", "chat", b"compat")
    assert cache.nearest([key], [axis(0)], 1000.0) == [Miss("empty")]
    # Entries left over are no longer the category's: their time does not run out.
    clock.now = 5000.0
    assert cache.sweep() == 0


def test_a_graph_that_is_being_built_is_given_up_with_its_category():
    count, rows = 3000, np.random.default_rng(1).normal(size=(3000, 16)).astype(np.float32)
    cache = SemanticCache(
        TERMS, capacity=count, dimension=16, clock=lambda: 0.0, graph_from=count - 1
    )
    for number, row in enumerate(rows):
        cache.put(KEY, b"%d" % number, row, b"", 0.0)
    cache.invalidate(category="chat")
    while cache.release(100):
        pass
    cache.close()
    assert cache.stats().graphs_built == 0
    assert cache.nearest([KEY], rows[:1], 0.0) == [Miss("empty")]
