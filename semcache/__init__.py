"""Exact and semantic lookup of answers, on the terms of each category."""

from .cache import SemanticCache
from .errors import CacheError
from .outcome import CategoryStats, Hit, Miss, MissReason, Stats
from .terms import Partition, Terms

__all__ = [
    "CacheError",
    "CategoryStats",
    "Hit",
    "Miss",
    "MissReason",
    "Partition",
    "SemanticCache",
    "Stats",
    "Terms",
]
