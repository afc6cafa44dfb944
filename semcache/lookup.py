"""From nearest neighbours to a hit or a reasoned miss."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from .index import VectorIndex
from .ledger import Ledger
from .outcome import Hit, Miss, MissReason
from .shelf import Entry
from .vectors import Candidate, Matrix

__all__ = ["answers"]

Found: TypeAlias = tuple[Entry, float]  # entry, cosine

EXAMPLES = 4
# Where expired entries crowd the front, a search goes on to this many neighbours and then misses.
DEEPEST = 256


def answers(
    ledger: Ledger, index: VectorIndex | None, queries: Matrix, now: float, load: float
) -> list[Hit | Miss]:
    """Search one partition for a batch of unit rows and judge what is found.

    Args:
        ledger: The category of the partition.
        index: The partition's vectors, None where it has none.
        queries: Unit rows, shape `(n, dimension)`.
        now: Event time, seconds.
        load: 0 to 1, for `Terms.relax_to`.
    """
    threshold = ledger.terms.threshold(load)
    wanted = 1 if ledger.terms.examples is None else EXAMPLES
    if index is None:
        found: list[list[Candidate]] = [[] for _ in queries]
    else:
        found = index.search(queries, wanted)
    outcomes: list[Hit | Miss] = []
    for query, candidates in zip(queries, found, strict=True):
        depth = wanted
        while True:
            fresh, stale = _by_age(ledger, candidates, now)
            short = len(fresh) < wanted and len(candidates) == depth
            if index is None or not short or depth >= DEEPEST:
                break
            depth *= 4
            candidates = index.search(query[np.newaxis], depth)[0]
        outcomes.append(_judge(ledger, threshold, fresh[:wanted], stale[0] if stale else None))
    return outcomes


def _by_age(
    ledger: Ledger, candidates: list[Candidate], now: float
) -> tuple[list[Found], list[Found]]:
    """The entries of the candidates, those that may be served and the expired ones."""
    fresh: list[Found] = []
    stale: list[Found] = []
    for label, similarity in candidates:
        entry = ledger.shelf[label]
        expired = ledger.terms.expired(entry.written_at, now)
        (stale if expired else fresh).append((entry, similarity))
    return fresh, stale


def _judge(
    ledger: Ledger,
    threshold: float | None,
    fresh: list[Found],
    stale: Found | None,
) -> Hit | Miss:
    """Hit or miss, given the nearest entries that may be served and the nearest expired one."""
    if threshold is not None and fresh and fresh[0][1] >= threshold:
        entry, similarity = fresh[0]
        entry.used = True
        ledger.semantic_hits += 1
        return Hit(entry.id, similarity, entry.response, "semantic")
    nearest = fresh[0] if fresh else None
    reason: MissReason
    if threshold is None:
        reason = "closed"
    elif stale is not None and (stale[1] >= threshold or nearest is None):
        reason, nearest = "expired", stale
    else:
        reason = "empty" if nearest is None else "below"
    ledger.semantic_misses[reason] += 1
    examples = []
    floor = ledger.terms.examples
    if floor is not None:
        for entry, similarity in fresh:
            if similarity >= floor:
                entry.used = True
                examples.append(Hit(entry.id, similarity, entry.response, "semantic"))
    if nearest is None:
        return Miss(reason)
    return Miss(reason, nearest[1], nearest[0].id, tuple(examples))
