"""What the compiled path counts."""

from __future__ import annotations

from typing import TypedDict


class Tally(TypedDict):
    """What was counted of the records of one batch that were decided.

    Attributes:
        finished: how many they are.
        routed: how many by route.
        cached: how many the cache answered.
        rejected: how many were rejected.
        misses: lookups that missed, by category.
        hits: lookups that hit, by category.
        spared: misses that were known without a lookup, by category.
        counted: values of numbers of tokens that were counted, by signal.
        scanned: requests of which a text was scanned, by its scope.
        scanning_s: seconds that took, by scope.
        reading_s: seconds that reading the requests took.
        counting_s: seconds that counting their tokens took.
        latest_ms: the latest time of a request, milliseconds since the epoch; -1 for none.
    """

    finished: int
    routed: tuple[int, ...]
    cached: int
    rejected: int
    misses: tuple[int, ...]
    hits: tuple[int, ...]
    spared: tuple[int, ...]
    counted: tuple[int, ...]
    scanned: tuple[int, ...]
    scanning_s: tuple[float, ...]
    reading_s: float
    counting_s: float
    latest_ms: int
