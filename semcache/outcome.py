"""What a lookup says, and what the cache counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["CategoryStats", "Hit", "Miss", "MissReason", "Stats"]

Tier = Literal["exact", "semantic"]
MissReason = Literal[
    "empty", "below", "expired", "closed", "no-vector", "invalid-vector", "unknown-category"
]


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer from the cache.

    Attributes:
        entry: Stable id of the entry, 32 hexadecimal digits.
        similarity: Cosine to the request, -1 to 1, rounded to 6 decimals; 1.0 from the exact tier.
        response: The bytes as they were written.
        tier: Which tier found it.
    """

    entry: str
    similarity: float
    response: bytes
    tier: Tier


@dataclass(frozen=True, slots=True)
class Miss:
    """No answer, and why.

    Attributes:
        reason: `empty`: nothing to compare with. `below`: the nearest entry is under the threshold.
            `expired`: only expired entries reach it. `closed`: the category's semantic tier is
            closed. `no-vector`: the request has none (an empty text). `invalid-vector`: it is zero
            or not finite. `unknown-category`: no terms are in force for it.
        similarity: Cosine of the nearest entry considered (for `expired` the nearest expired one),
            None where there was none.
        entry: Id of that entry.
        examples: Entries near enough to answer by example, nearest first, at most 4.
    """

    reason: MissReason
    similarity: float | None = None
    entry: str | None = None
    examples: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class CategoryStats:
    """Counts of one category since its terms first came into force.

    Attributes:
        entries: Entries held now, expired ones that were not yet swept included.
        bytes: Their responses, fingerprints and vectors, in bytes.
        guaranteed: Entries that other categories cannot displace.
        writes: Entries stored.
        exact_hits: Hits of the exact tier.
        exact_misses: Misses of the exact tier by reason: `absent`, `expired`.
        semantic_hits: Hits of the semantic tier.
        semantic_misses: Misses of the semantic tier by `MissReason`.
        evictions: Entries dropped by reason: `capacity`, `bytes`, `expired`, `replaced`,
            `invalidated`.
        refused: Entries not stored by reason: `too-large`, `no-room`.
    """

    entries: int
    bytes: int
    guaranteed: int
    writes: int
    exact_hits: int
    exact_misses: Mapping[str, int]
    semantic_hits: int
    semantic_misses: Mapping[str, int]
    evictions: Mapping[str, int]
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of the whole cache.

    Attributes:
        entries: Entries held now.
        bytes: Their responses, fingerprints and vectors, in bytes.
        partitions: Partitions that hold an entry.
        unfreed: Entries dropped with their category whose memory is not freed yet.
        unfreed_bytes: Their responses, fingerprints and vectors, in bytes.
        unknown_category: Calls that named a category without terms.
        graphs_built: Graphs built for large partitions.
        graphs_failed: Builds that failed; their partitions stay on the flat tier, exact but slower.
        categories: Counts by category.
    """

    entries: int
    bytes: int
    partitions: int
    unfreed: int
    unfreed_bytes: int
    unknown_category: int
    graphs_built: int
    graphs_failed: int
    categories: Mapping[str, CategoryStats]
