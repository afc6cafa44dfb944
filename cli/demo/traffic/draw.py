"""Draws that are the same on every machine and Python version.

Only `random.Random.random` is promised to keep its sequence for a seed, and only the
arithmetic of IEEE 754 and of `decimal` is the same everywhere, so nothing else is used here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from random import Random
from typing import TypeVar

T = TypeVar("T")

_CONTEXT = Context(prec=16)


def below(rng: Random, n: int) -> int:
    """A uniform integer of 0 … n - 1; `n` is at least 1."""
    return int(rng.random() * n)


def between(rng: Random, low: int, high: int) -> int:
    """A uniform integer of `low` … `high`, both included."""
    return low + below(rng, high - low + 1)


def chance(rng: Random, probability: float) -> bool:
    """True with `probability` (0 to 1)."""
    return rng.random() < probability


def pick(rng: Random, items: Sequence[T]) -> T:
    """One of the items, uniformly; raises `IndexError` when there are none."""
    return items[below(rng, len(items))]


def pick_popular(rng: Random, items: Sequence[T]) -> T:
    """One of the items, the k-th (from 0) with a weight of 1 / (k + 2): a Zipf-like tail."""
    return items[_weighted(rng, [1.0 / (k + 2) for k in range(len(items))])]


def pick_weighted(rng: Random, weights: Mapping[T, float]) -> T:
    """One of the keys, in proportion to its weight."""
    return list(weights)[_weighted(rng, list(weights.values()))]


def sample(rng: Random, items: Sequence[T], count: int) -> list[T]:
    """`count` different items in the order of `items`; all of them when there are fewer."""
    left = list(range(len(items)))
    chosen = sorted(left.pop(below(rng, len(left))) for _ in range(min(count, len(items))))
    return [items[i] for i in chosen]


def digits(rng: Random, count: int) -> str:
    """`count` decimal digits."""
    return "".join(str(below(rng, 10)) for _ in range(count))


def letters(rng: Random, alphabet: str, count: int) -> str:
    """`count` characters of the alphabet."""
    return "".join(pick(rng, alphabet) for _ in range(count))


def gap_ms(rng: Random, mean_ms: float) -> int:
    """An exponentially distributed gap in whole milliseconds.

    `Decimal.ln` is correctly rounded by its specification; `math.log` may differ by one
    unit in the last place between C libraries.
    """
    logarithm = _CONTEXT.ln(Decimal(1.0 - rng.random()))
    return int(_CONTEXT.multiply(-logarithm, Decimal(mean_ms)))


def _weighted(rng: Random, weights: Sequence[float]) -> int:
    point = rng.random() * sum(weights)
    for index, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return index
    return len(weights) - 1
