"""What the semantic cache costs and finds, against the plain ways to do the same.

Vectors are synthetic (384 components, groups of paraphrases, seeded), so that neither a model nor
data is needed; ratios carry over to real embeddings better than absolute times do. Lookups are
taken in processor time, writes in wall time, on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import hnswlib
import numpy as np
from numpy.typing import NDArray

from routec.cli.bench.result import Disagreement, Outcome, Result, Target
from routec.cli.bench.timing import alternate
from routec.semcache import Hit, Partition, SemanticCache, Terms

DIMENSION = 384
THRESHOLD = 0.8
Rows = NDArray[np.float32]


def paraphrases(count: int, groups: int, seed: int) -> Rows:
    """Unit rows in groups, on a space of 48 dimensions (embeddings fill few of theirs)."""
    random = np.random.default_rng(seed)
    basis = np.linalg.qr(random.normal(size=(DIMENSION, 48)))[0].T
    centres = random.normal(size=(groups, 48))
    rows = centres[random.integers(0, groups, count)]
    rows = rows + random.uniform(0.1, 0.9, size=(count, 1)) * random.normal(size=(count, 48))
    return unit(rows @ basis + 0.02 * random.normal(size=(count, DIMENSION)))


def reworded(rows: Rows, seed: int) -> Rows:
    """Queries that are a little away from rows: cosines of about 0.75 to 0.99."""
    random = np.random.default_rng(seed)
    away = random.uniform(0.1, 0.9, size=(len(rows), 1)) / np.sqrt(DIMENSION)
    return unit(rows + away * random.normal(size=rows.shape))


def unit(rows: NDArray[np.floating]) -> Rows:
    """Rows scaled to length 1."""
    scaled: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def cache_of(rows: Rows, capacity: int, graph_from: int) -> tuple[SemanticCache, Partition]:
    """A cache with every row in one partition."""
    cache = SemanticCache(
        [Terms("chat", THRESHOLD, 1e9)],
        capacity=capacity,
        dimension=DIMENSION,
        clock=lambda: 0.0,
        max_bytes=1 << 33,
        graph_from=graph_from,
    )
    key = Partition("", "chat", b"")
    for number, row in enumerate(rows):
        cache.put(key, number.to_bytes(8, "big"), row, b"answer", 0.0)
    return cache, key


def graph_cache(rows: Rows) -> tuple[SemanticCache, Partition]:
    """A cache whose vectors are all in one graph, as after a finished build."""
    cache, key = cache_of(rows[:-1], len(rows), len(rows) - 1)
    cache.put(key, b"last", rows[-1], b"answer", 0.0)
    while cache.stats().graphs_built == 0:
        time.sleep(0.1)
        cache.nearest([key], rows[:1], 0.0)  # takes over a build that is done
    return cache, key


def lookups(sizes: Sequence[int]) -> Iterator[Outcome]:
    """Both tiers at several sizes, alone and in batches, and what the graph misses."""
    for size in sizes:
        rows = paraphrases(size, max(1, size // 20), seed=1)
        queries = reworded(rows[np.random.default_rng(2).integers(0, size, 600)], seed=3)
        flat, key = cache_of(rows, size, size)
        graph, _ = graph_cache(rows)
        fingerprint = (size // 2).to_bytes(8, "big")

        def exact(
            flat: SemanticCache = flat, key: Partition = key, fingerprint: bytes = fingerprint
        ) -> None:
            for _ in range(10_000):
                flat.exact(key, fingerprint, 0.0)

        [seconds] = alternate((exact,), 5)
        yield Result(f"cache/exact lookup, {size:,} entries", seconds * 100, "µs")
        for batch in (1, 50):
            sides = [_asking(cache, key, queries, batch) for cache in (graph, flat)]
            ours, theirs = (each / len(queries) * 1e6 for each in alternate(sides, 5))
            yield Result(
                f"cache/graph lookup, {size:,} entries, batches of {batch}",
                ours,
                "µs",
                theirs,
                "the flat index of the same cache",
            )
        yield Result(
            f"cache/graph hit-recall, {size:,} entries",
            hit_recall(graph, key, rows, queries),
            "share",
            1.0,
            "every hit there is, by exhaustive search",
            (Target(">=", 0.999),),
        )
        graph.close()


def _asking(
    cache: SemanticCache, key: Partition, queries: Rows, batch: int
) -> Callable[[], object]:
    keys = [key] * batch

    def ask() -> None:
        for start in range(0, len(queries), batch):
            cache.nearest(keys, queries[start : start + batch], 0.0)

    return ask


def hit_recall(cache: SemanticCache, key: Partition, rows: Rows, queries: Rows) -> float:
    """Of the queries whose nearest row reaches the threshold, the share the cache answers."""
    hits = found = 0
    for start in range(0, len(queries), 100):
        part = queries[start : start + 100]
        best = np.max(part @ rows.T, axis=1)
        outcomes = cache.nearest([key] * len(part), part, 0.0)
        for cosine, outcome in zip(best, outcomes, strict=True):
            if cosine >= THRESHOLD:
                hits += 1
                found += isinstance(outcome, Hit) and abs(outcome.similarity - cosine) < 2e-6
    return found / hits


def scopes(count: int, tenants: int = 100) -> Iterator[Outcome]:
    """Partitions, against one index of all tenants whose ten nearest are filtered by tenant."""
    random = np.random.default_rng(4)
    # Every tenant asks about the same things, and queries are rows that were held out.
    everything = paraphrases(count + 1000, count // 100, seed=5)
    rows, queries = everything[:count], everything[count:]
    shares = 1 / np.arange(1, tenants + 1)
    owners = random.choice(tenants, size=count, p=shares / shares.sum())
    askers = random.choice(tenants, size=len(queries), p=shares / shares.sum())

    cache = SemanticCache(
        [Terms("chat", THRESHOLD, 1e9)], capacity=count, dimension=DIMENSION, clock=lambda: 0.0
    )
    keys = [Partition(f"tenant={number}", "chat", b"") for number in range(tenants)]
    for number, (row, owner) in enumerate(zip(rows, owners, strict=True)):
        cache.put(keys[owner], number.to_bytes(8, "big"), row, b"%d" % owner, 0.0)
    shared = hnsw(count)
    shared.add_items(rows, np.arange(count), num_threads=1)

    nearest, _ = shared.knn_query(queries, k=10, num_threads=1)
    outcomes = cache.nearest([keys[asker] for asker in askers], queries, 0.0)
    hits = ours = theirs = leaks = 0
    nearest_ours = nearest_theirs = 0
    for query, asker, ids, outcome in zip(queries, askers, nearest, outcomes, strict=True):
        best = float(np.max(np.where(owners == asker, rows @ query, -1.0)))
        filtered = max(rows[ids][owners[ids] == asker] @ query, default=-1.0)
        nearest_theirs += abs(filtered - best) < 2e-6
        nearest_ours += outcome.similarity is not None and abs(outcome.similarity - best) < 2e-6
        hits += best >= THRESHOLD
        theirs += filtered >= THRESHOLD
        ours += isinstance(outcome, Hit)
        leaks += isinstance(outcome, Hit) and outcome.response != b"%d" % asker
    against = "one HNSW index, its ten nearest filtered by tenant"
    yield Result(
        f"cache/scoped hit-recall, {tenants} tenants",
        ours / hits,
        "share",
        theirs / hits,
        against,
        (Target(">=", 0.99), *([Target(">=", 2.5, "ratio")] if count >= 50_000 else [])),
        f"{count:,} entries, their owners by Zipf's law",
    )
    yield Result(
        f"cache/scoped recall@1, {tenants} tenants",
        nearest_ours / len(queries),
        "share",
        nearest_theirs / len(queries),
        against,
    )
    yield Result("cache/answers from another tenant", leaks, "count", targets=(Target("=", 0),))


def hnsw(size: int, **options: bool) -> hnswlib.Index:
    """An empty graph with the parameters of the cache."""
    index = hnswlib.Index(space="ip", dim=DIMENSION)
    index.init_index(max_elements=size, M=16, ef_construction=200, random_seed=1, **options)
    index.set_ef(64)
    return index


def writes(size: int, graph_from: int, turnover: float) -> Iterator[Outcome]:
    """Insert and evict at capacity, against a graph whose deleted places are used again."""
    count = int(size * turnover)
    rows = paraphrases(size + count, size // 20, seed=7)
    cache, key = cache_of(rows[:size], size, graph_from)

    def settle() -> None:
        cache.nearest([key], rows[:1], 0.0)
        while not cache._builder.free:
            time.sleep(0.01)
        cache.nearest([key], rows[:1], 0.0)

    settle()
    start, processor = time.perf_counter(), time.process_time()
    for number in range(size, size + count):
        cache.put(key, number.to_bytes(8, "big"), rows[number], b"answer", 0.0)
    ours = count / (time.perf_counter() - start)
    settle()
    ours_processor = count / (time.process_time() - processor)
    if cache.stats().entries != size:
        raise Disagreement("the cache does not keep to its capacity")
    cache.close()

    index = hnsw(size, allow_replace_deleted=True)
    index.add_items(rows[:size], np.arange(size), num_threads=1)
    sample = min(count, 1000)
    start = time.perf_counter()
    for number in range(sample):
        index.mark_deleted(number)
        index.add_items(rows[size + number][None], [size + number], 1, True)
    theirs = sample / (time.perf_counter() - start)
    tier = "flat" if size <= graph_from else "graph"
    against = "one HNSW index that uses deleted places again"
    yield Result(
        f"cache/insert and evict at {size:,}, {tier}",
        ours,
        "1/s",
        theirs,
        against,
        (Target(">=", 5.0, "ratio"),),
        "wall time",
    )
    yield Result(
        f"cache/insert and evict at {size:,}, {tier}, builds included",
        ours_processor,
        "1/s",
        theirs,
        against,
    )


def measure(quick: bool) -> Iterator[Outcome]:
    """The figures of the cache; being quick leaves out 100,000 entries."""
    yield from lookups([1_000, 10_000] if quick else [1_000, 10_000, 100_000])
    yield from scopes(10_000 if quick else 50_000)
    yield from writes(10_000, graph_from=10_000, turnover=1.0)
    if not quick:
        yield from writes(20_000, graph_from=10_000, turnover=0.5)
