"""A category's terms: threshold, relaxation, examples, age, change of policy."""

from __future__ import annotations

import math

import pytest

from routec.semcache import CacheError, Hit, Miss, Partition, Terms

from .support import KEY, Clock, at_cosine, axis, make


def ask(cache, vector, now=1000.0, load=0.0, key=KEY):
    [outcome] = cache.nearest([key], [vector], now, load)
    return outcome


class TestThreshold:
    def test_a_cosine_at_the_threshold_answers_and_one_below_does_not(self):
        cache = make(Terms("chat", 0.9, 60.0))
        entry = cache.put(KEY, b"k", axis(0), b"answer", 1000.0)
        assert ask(cache, at_cosine(0.9)) == Hit(entry, 0.9, b"answer", "semantic")
        assert ask(cache, at_cosine(0.899)) == Miss("below", 0.899, entry)

    def test_an_equal_vector_answers_at_threshold_one_whatever_its_length(self):
        cache = make(Terms("chat", 1.0, 60.0), dimension=384)
        vector = [math.sin(number) / 7 for number in range(384)]
        cache.put(KEY, b"k", vector, b"answer", 1000.0)
        for scale in (1.0, 3.0, 1e-200, 1e200):
            assert ask(cache, [scale * value for value in vector]).similarity == 1.0

    def test_threshold_zero_is_a_threshold(self):
        cache = make(Terms("chat", 0.0, 60.0))
        cache.put(KEY, b"k", axis(0), b"", 1000.0)
        assert isinstance(ask(cache, axis(1)), Hit)
        assert ask(cache, -axis(0)).reason == "below"

    def test_without_a_threshold_only_the_exact_tier_answers(self):
        cache = make(Terms("chat", None, 60.0))
        entry = cache.put(KEY, b"k", axis(0), b"answer", 1000.0)
        assert ask(cache, axis(0)) == Miss("closed", 1.0, entry)
        assert cache.exact(KEY, b"k", 1000.0) == Hit(entry, 1.0, b"answer", "exact")

    def test_it_relaxes_only_above_the_load(self):
        cache = make(Terms("chat", 0.93, 60.0, relax_to=(0.88, 0.8)))
        cache.put(KEY, b"k", axis(0), b"", 1000.0)
        outcomes = [ask(cache, at_cosine(0.9), load=load) for load in (0.0, 0.8, 0.81, math.nan)]
        assert [type(outcome) for outcome in outcomes] == [Miss, Miss, Hit, Miss]

    def test_near_entries_come_as_examples_nearest_first_and_at_most_four(self):
        cache = make(Terms("chat", 0.99, 60.0, examples=0.75))
        for number, similarity in enumerate((0.8, 0.7, 0.9, 0.76, 0.85, 0.77)):
            cache.put(KEY, bytes([number]), at_cosine(similarity), b"%d" % number, 1000.0)
        outcome = ask(cache, axis(0))
        assert (outcome.reason, outcome.similarity) == ("below", 0.9)
        assert [example.response for example in outcome.examples] == [b"2", b"4", b"0", b"5"]


class TestAge:
    def test_a_hit_does_not_extend_the_life_of_an_entry(self):
        clock = Clock(0.0)
        cache = make(Terms("chat", 0.9, 60.0), clock=clock)
        cache.put(KEY, b"k", axis(0), b"", 0.0)
        for clock.now in (30.0, 60.0):
            assert isinstance(ask(cache, axis(0), clock.now), Hit)
            assert cache.exact(KEY, b"k", clock.now) is not None
        assert cache.exact(KEY, b"k", 60.5) is None
        assert ask(cache, axis(0), 60.5).reason == "expired"

    def test_writing_again_does_not_either_until_the_entry_has_expired(self):
        clock = Clock(0.0)
        cache = make(Terms("chat", 0.9, 60.0), clock=clock)
        first = cache.put(KEY, b"k", axis(0), b"old", 0.0)
        for clock.now, response in ((50.0, b"old"), (61.0, b"new"), (110.0, b"new")):
            assert cache.put(KEY, b"k", axis(0), b"new", clock.now) == first
            assert cache.exact(KEY, b"k", clock.now).response == response

    def test_expired_entries_do_not_hide_a_fresh_one_behind_them(self):
        late = Clock(1050.0)
        cache = make(Terms("chat", 0.9, 60.0), capacity=1000, clock=late)
        for number in range(40):
            cache.put(KEY, b"old%d" % number, axis(0), b"old", 1000.0)
        cache.put(KEY, b"new", at_cosine(0.95), b"new", 1050.0)
        assert ask(cache, axis(0), now=1070.0).response == b"new"

    def test_time_may_go_backwards(self):
        cache = make(Terms("chat", 0.9, 60.0))
        cache.put(KEY, b"k", axis(0), b"", 1000.0)
        assert cache.exact(KEY, b"k", 1061.0) is None
        assert cache.exact(KEY, b"k", 500.0) is not None

    def test_an_event_from_the_future_neither_frees_nor_outlives_anything(self):
        clock = Clock(1000.0)
        cache = make(Terms("chat", 0.9, 60.0), clock=clock)
        cache.put(KEY, b"k", axis(0), b"", 1000.0)
        assert ask(cache, axis(0), now=1e12).reason == "expired"
        cache.put(KEY, b"later", axis(1), b"", 1e12)
        assert ask(cache, axis(0)).similarity == 1.0
        clock.now = 1061.0
        assert cache.sweep() == 2

    def test_sweeping_frees_what_the_clock_has_passed_and_keeps_to_its_limit(self):
        clock = Clock(0.0)
        cache = make(Terms("chat", 0.9, 60.0), clock=clock)
        for number in range(10):
            cache.put(KEY, bytes([number]), axis(0), b"", float(number) - 9)
        clock.now = 56.0
        assert (cache.sweep(limit=2), cache.sweep(), cache.sweep()) == (2, 3, 0)
        assert cache.stats().categories["chat"].evictions == {"expired": 5}


class TestReconfigure:
    def test_new_terms_hold_for_old_entries_at_once(self):
        cache = make(Terms("chat", 0.9, 60.0))
        cache.put(KEY, b"k", axis(0), b"", 1000.0)
        assert ask(cache, at_cosine(0.85), 1050.0).reason == "below"
        cache.reconfigure([Terms("chat", 0.8, 60.0)])
        assert isinstance(ask(cache, at_cosine(0.85), 1050.0), Hit)
        cache.reconfigure([Terms("chat", 0.8, 40.0)])
        assert ask(cache, at_cosine(0.85), 1050.0).reason == "expired"

    def test_entries_of_a_category_that_is_gone_are_gone(self):
        cache = make(Terms("chat", 0.9, 60.0), Terms("code", 0.9, 60.0))
        code = Partition("", "code", b"")
        for key in (KEY, code):
            cache.put(key, b"k", axis(0), b"", 1000.0)
        cache.reconfigure([Terms("chat", 0.9, 60.0)])
        assert ask(cache, axis(0), key=code) == Miss("unknown-category")
        assert cache.exact(code, b"k", 1000.0) is None
        assert cache.put(code, b"k", axis(0), b"", 1000.0) is None
        assert (cache.stats().entries, cache.stats().unknown_category) == (1, 3)
        cache.reconfigure([Terms("chat", 0.9, 60.0), Terms("code", 0.9, 60.0)])
        assert ask(cache, axis(0), key=code) == Miss("empty")

    def test_terms_that_cannot_be_kept_leave_the_old_ones_in_force(self):
        cache = make(Terms("chat", 0.9, 60.0))
        cache.put(KEY, b"k", axis(0), b"", 1000.0)
        with pytest.raises(CacheError, match="add up to 101 entries, the cache holds 100"):
            cache.reconfigure([Terms("code", 0.9, 60.0, 51), Terms("chat", 0.9, 60.0, 0.5)])
        with pytest.raises(CacheError, match="`code` has terms twice"):
            cache.reconfigure([Terms("code", 0.9, 60.0), Terms("code", 0.8, 60.0)])
        assert isinstance(ask(cache, axis(0)), Hit)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("similarity", 1.01),
        ("similarity", -0.1),
        ("similarity", math.nan),
        ("ttl", 0),
        ("ttl", math.inf),
        ("ttl", math.nan),
        ("quota", -1),
        ("quota", 1.5),
        ("quota", True),
        ("relax_to", (0.95, 0.8)),
        ("relax_to", (0.8, 80)),
        ("examples", 75),
    ],
)
def test_terms_outside_their_range_are_refused_by_name(field, value):
    with pytest.raises(CacheError, match=f"`{field}` of category `chat` is") as refusal:
        Terms(**{"name": "chat", "similarity": 0.9, "ttl": 60.0, field: value})
    assert refusal.value.code == "bad-terms"
