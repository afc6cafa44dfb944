"""What several tests of the cache start from."""

from __future__ import annotations

import numpy as np

from routec.semcache import Partition, SemanticCache, Terms

KEY = Partition("", "chat", b"compat")


class Clock:
    """Event time that stands until it is set."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


def make(*terms, clock=None, **bounds):
    """A cache of the terms given, small and deterministic unless said otherwise."""
    settings = {"capacity": 100, "dimension": 4, "background": False} | bounds
    return SemanticCache(terms or (Terms("chat", 0.9, 60.0),), clock=clock or Clock(), **settings)


def axis(number, dimension=4):
    """A unit vector at right angles to every other axis."""
    return np.eye(dimension, dtype=np.float32)[number]


def at_cosine(similarity):
    """A vector whose cosine to `axis(0)` is `similarity`."""
    return np.array([similarity, np.sqrt(1 - similarity**2), 0, 0])


def clustered(count, dimension, seed, groups=None, spread=0.7):
    """Rows like embeddings of paraphrases: groups of near vectors, cosine 0.7 to 1."""
    random = np.random.default_rng(seed)
    groups = groups or max(1, count // 20)
    centres = random.normal(size=(groups, dimension))
    rows = centres[random.integers(0, groups, count)]
    spreads = random.uniform(0.05, spread, size=(count, 1))
    return (rows + spreads * random.normal(size=(count, dimension))).astype(np.float32)
