"""The cache does what a list, compared entry by entry, would do.

The oracle keeps everything in plain lists and works every answer out from scratch. It is told only
one thing: which of several equally near entries the cache picked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import routec.semcache.cache as cache_module
from routec.semcache import Hit, Miss, Partition, SemanticCache, Terms

CAPACITY = 10
DIMENSION = 3
MAX_BYTES = 500
MAX_RESPONSE = 120
NAMES = ("chat", "code", "money")

# Few directions, so that equal and near vectors are common.
vectors = st.tuples(*[st.integers(-2, 2)] * DIMENSION).filter(any)
partitions = st.builds(
    Partition,
    st.sampled_from(["", "tenant=a"]),
    st.sampled_from(NAMES),
    st.sampled_from([b"1", b"2"]),
)
fingerprints = st.sampled_from([bytes([number]) for number in range(6)])
shifts = st.sampled_from([-30.0, -1.0, 0.0, 0.0, 0.0, 1.0, 30.0])
similarities = st.sampled_from([0.0, 0.5, 0.8, 1.0])


@st.composite
def terms(draw):
    kept = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    made = []
    for name in kept:
        similarity = draw(st.none() | similarities)
        relaxed = draw(st.sampled_from([0.0, 0.3, 0.5]))
        made.append(
            Terms(
                name,
                similarity,
                draw(st.sampled_from([5.0, 40.0, 1000.0])),
                draw(st.sampled_from([None, 0, 2, 3, 0.0, 0.2, 0.3])),
                (min(relaxed, similarity or 0.0), 0.5) if draw(st.booleans()) else None,
                draw(st.none() | similarities),
            )
        )
    return made


@dataclass(eq=False)
class Record:
    partition: Partition
    fingerprint: bytes
    vector: tuple[int, ...] | None
    response: bytes
    written_at: float
    id: str
    used: bool = False

    @property
    def size(self):
        return len(self.response) + len(self.fingerprint) + (4 * DIMENSION if self.vector else 0)


def cosine(left, right):
    dot = sum(a * b for a, b in zip(left, right, strict=True))
    return round(dot / (math.hypot(*left) * math.hypot(*right)), 6)


class Oracle:
    def __init__(self):
        self.records: dict[str, list[Record]] = {}  # by category, next to be evicted first
        self.terms: dict[str, Terms] = {}

    def reconfigure(self, new):
        self.terms = {term.name: term for term in new}
        self.records = {name: self.records.get(name, []) for name in self.terms}
        reserved = {
            term.name: math.floor(term.quota * CAPACITY + 1e-9)
            if isinstance(term.quota, float)
            else term.quota
            for term in new
            if term.quota is not None
        }
        open_ended = [term.name for term in new if term.quota is None]
        left = CAPACITY - sum(reserved.values())
        self.guaranteed = reserved | {name: left // len(open_ended) for name in open_ended}

    def expired(self, record, now):
        return now - record.written_at > self.terms[record.partition.category].ttl

    def sweep(self, clock):
        for name, records in self.records.items():
            self.records[name] = [record for record in records if not self.expired(record, clock)]

    def everything(self):
        return [record for records in self.records.values() for record in records]

    def find(self, partition, fingerprint):
        for record in self.records.get(partition.category, []):
            if (record.partition, record.fingerprint) == (partition, fingerprint):
                return record
        return None

    def evict_from(self, name):
        records = self.records[name]
        while records[0].used:
            records[0].used = False
            records.append(records.pop(0))
        records.pop(0)

    def room(self, name, size):
        """Make it, or change nothing and say no."""

        def entries_over(other):
            return len(self.records[other]) + (other == name) - self.guaranteed[other]

        def bytes_of(other):
            return sum(record.size for record in self.records[other])

        def bytes_over(other):
            guaranteed = MAX_BYTES * self.guaranteed[other] // CAPACITY
            return bytes_of(other) + (size if other == name else 0) - guaranteed

        full = len(self.everything()) >= CAPACITY
        if full and not any(entries_over(o) > 0 for o in self.records if self.records[o]):
            return False
        free = MAX_BYTES - sum(map(bytes_of, self.records))
        others = sum(max(0, bytes_over(other)) for other in self.records if other != name)
        if size > free and size > free + others + bytes_of(name):
            return False
        while len(self.everything()) >= CAPACITY:
            held = [other for other in self.records if self.records[other]]
            self.evict_from(max(held, key=lambda o: (entries_over(o), o == name)))
        while sum(map(bytes_of, self.records)) + size > MAX_BYTES:
            held = [other for other in self.records if self.records[other]]
            self.evict_from(max(held, key=lambda o: (bytes_over(o), o == name)))
        return True

    def put(self, record):
        """The record now held under its key, and whether it is this one."""
        name = record.partition.category
        if name not in self.terms:
            return None
        held = self.find(record.partition, record.fingerprint)
        if held is not None:
            if not self.expired(held, record.written_at):
                return held
            self.records[name].remove(held)
        if len(record.response) > MAX_RESPONSE or not self.room(name, record.size):
            return None
        self.records[name].append(record)
        return record

    def near(self, partition, vector, now):
        """Pairs of cosine and record that could be served, nearest first, and the expired."""
        pairs = [
            (cosine(record.vector, vector), record)
            for record in self.records[partition.category]
            if record.partition == partition and record.vector is not None
        ]
        pairs.sort(key=lambda pair: -pair[0])
        return (
            [pair for pair in pairs if not self.expired(pair[1], now)],
            [pair for pair in pairs if self.expired(pair[1], now)],
        )


class Comparison(RuleBasedStateMachine):
    graph_from = 10_000

    @initialize(terms=terms())
    def start(self, terms):
        self.clock = 1000.0
        self.written = 0
        self.cache = SemanticCache(
            terms,
            capacity=CAPACITY,
            dimension=DIMENSION,
            clock=lambda: self.clock,
            max_bytes=MAX_BYTES,
            max_response_bytes=MAX_RESPONSE,
            graph_from=self.graph_from,
            background=False,
        )
        self.oracle = Oracle()
        self.oracle.reconfigure(terms)

    @rule(step=st.sampled_from([0.5, 3.0, 6.0, 50.0]), back=st.booleans())
    def advance(self, step, back):
        self.clock += -step if back else step

    @rule(terms=terms())
    def reconfigure(self, terms):
        self.cache.reconfigure(terms)
        self.oracle.reconfigure(terms)

    @rule(
        partition=partitions,
        fingerprint=fingerprints,
        vector=st.none() | vectors,
        length=st.sampled_from([0, 1, 5, 60, 120, 121]),
        shift=shifts,
    )
    def put(self, partition, fingerprint, vector, length, shift):
        now = self.clock + shift
        self.written += 1
        response = str(self.written).encode().ljust(length, b".")
        entry = self.cache.put(partition, fingerprint, vector, response, now)
        self.oracle.sweep(self.clock)
        written_at = min(now, self.clock)
        record = Record(partition, fingerprint, vector, response, written_at, entry or "")
        held = self.oracle.put(record)
        if held is None:
            assert entry is None
        else:
            assert entry == held.id

    @rule(partition=partitions, other=partitions)
    def fill_drop_and_fill(self, partition, other):
        """So that what is dropped has to give way, in entries as well as in bytes."""
        for number, key in enumerate([partition] * 6 + [other] * 4):
            self.put(key, b"x%d" % number, (1, 0, 0), 30, 0.0)
        self.invalidate(None, partition.category)
        for number in range(6):
            self.put(other, b"y%d" % number, (0, 1, 0), 60, 0.0)
            self.sizes_agree()

    @rule(partition=partitions, fingerprint=fingerprints, shift=shifts)
    def exact(self, partition, fingerprint, shift):
        now = self.clock + shift
        record = self.oracle.find(partition, fingerprint)
        if record is None or self.oracle.expired(record, now):
            assert self.cache.exact(partition, fingerprint, now) is None
        else:
            record.used = True
            expected = Hit(record.id, 1.0, record.response, "exact")
            assert self.cache.exact(partition, fingerprint, now) == expected

    @rule(
        asked=st.lists(st.tuples(partitions, st.none() | vectors), max_size=5),
        shift=shifts,
        load=st.sampled_from([0.0, 0.5, 0.9, math.nan]),
    )
    def nearest(self, asked, shift, load):
        now = self.clock + shift
        outcomes = self.cache.nearest(
            [key for key, _ in asked], [row for _, row in asked], now, load
        )
        self.oracle.sweep(self.clock)
        assert len(outcomes) == len(asked)
        for (partition, vector), outcome in zip(asked, outcomes, strict=True):
            self.judge(partition, vector, now, load, outcome)

    def judge(self, partition, vector, now, load, outcome):
        terms = self.oracle.terms.get(partition.category)
        if terms is None:
            assert outcome == Miss("unknown-category")
            return
        if vector is None:
            assert outcome == Miss("no-vector")
            return
        threshold = terms.similarity
        if threshold is not None and terms.relax_to is not None and load > terms.relax_to[1]:
            threshold = terms.relax_to[0]
        fresh, stale = self.oracle.near(partition, vector, now)
        best = fresh[0][0] if fresh else None
        if best is not None and threshold is not None and best >= threshold:
            assert isinstance(outcome, Hit)
            assert (outcome.tier, outcome.similarity) == ("semantic", best)
            self.used(outcome, fresh)
            return
        assert isinstance(outcome, Miss)
        if threshold is None:
            assert (outcome.reason, outcome.similarity) == ("closed", best)
        elif stale and (best is None or stale[0][0] >= threshold):
            assert (outcome.reason, outcome.similarity) == ("expired", stale[0][0])
        elif best is None:
            assert (outcome.reason, outcome.similarity) == ("empty", None)
        else:
            assert (outcome.reason, outcome.similarity) == ("below", best)
        expected = []
        if terms.examples is not None:
            expected = [similarity for similarity, _ in fresh[:4] if similarity >= terms.examples]
        assert [example.similarity for example in outcome.examples] == expected
        assert len({example.entry for example in outcome.examples}) == len(expected)
        for example in outcome.examples:
            self.used(example, fresh)

    def used(self, hit, fresh):
        [record] = [
            record
            for similarity, record in fresh
            if (record.id, similarity) == (hit.entry, hit.similarity)
        ]
        assert hit.response == record.response
        record.used = True

    @rule(scope=st.none() | st.sampled_from(["", "tenant=a"]), category=st.sampled_from(NAMES))
    def invalidate(self, scope, category):
        gone = [
            record
            for record in self.oracle.records.get(category, [])
            if scope is None or record.partition.scope == scope
        ]
        for record in gone:
            self.oracle.records[category].remove(record)
        assert self.cache.invalidate(scope=scope, category=category) == len(gone)

    @rule(number=st.integers(0, 20))
    def invalidate_one(self, number):
        held = self.oracle.everything()
        if held:
            record = held[number % len(held)]
            self.oracle.records[record.partition.category].remove(record)
            assert self.cache.invalidate(entry=record.id) == 1
            assert self.cache.invalidate(entry=record.id) == 0

    @rule()
    def clear(self):
        held = self.oracle.everything()
        for records in self.oracle.records.values():
            records.clear()
        assert self.cache.clear() == len(held)

    @rule(limit=st.integers(0, CAPACITY + 1))
    def release(self, limit):
        """Freeing what was dropped, however little of it: the oracle need not be told."""
        before = self.cache.stats()
        left = max(0, before.unfreed - limit)
        assert self.cache.release(limit) == left
        after = self.cache.stats()
        assert after.unfreed == left
        assert (after.unfreed_bytes == 0) if left == 0 else after.unfreed_bytes > 0
        assert replace(before, unfreed=0, unfreed_bytes=0) == replace(
            after, unfreed=0, unfreed_bytes=0
        )

    @invariant()
    def sizes_agree(self):
        stats = self.cache.stats()
        held = self.oracle.everything()
        assert stats.entries == len(held)
        assert stats.bytes == sum(record.size for record in held)
        # What is dropped and not freed yet takes up room, which writes must not exceed either.
        assert stats.entries + stats.unfreed <= CAPACITY
        assert stats.bytes + stats.unfreed_bytes <= MAX_BYTES
        assert stats.partitions == len({record.partition for record in held})
        for name, category in stats.categories.items():
            assert category.entries == len(self.oracle.records[name])
            assert category.guaranteed == self.oracle.guaranteed[name]


class ComparisonWithGraphs(Comparison):
    """The same with a graph for every partition of more than two vectors."""

    graph_from = 2


@pytest.mark.parametrize("machine", [Comparison, ComparisonWithGraphs])
def test_cache_equals_oracle(machine, monkeypatch):
    from hypothesis.stateful import run_state_machine_as_test

    # Lookups and writes free so few on the way that some are left, as in a large cache.
    monkeypatch.setattr(cache_module, "RELEASE", 1)

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_oracle_machine_reaches_the_graph_tier():
    cache = SemanticCache(
        [Terms("chat", 0.9, 60.0)],
        capacity=CAPACITY,
        dimension=DIMENSION,
        clock=lambda: 0.0,
        graph_from=ComparisonWithGraphs.graph_from,
        background=False,
    )
    key = Partition("", "chat", b"1")
    for number, row in enumerate(np.eye(DIMENSION)):
        cache.put(key, bytes([number]), row, b"", 0.0)
    assert cache.stats().graphs_built == 1
