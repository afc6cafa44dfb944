"""The terms on which a category's answers are kept, and the room each is guaranteed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from .errors import CacheError

__all__ = ["Partition", "Terms", "guaranteed_entries"]


class Partition(msgspec.Struct, frozen=True, gc=False):
    """The hard isolation key: an entry is only ever found under the partition it was written to.

    Every entry has one, and the collector of cycles does not visit it.

    Attributes:
        scope: Whose entries these are, `""` for everybody's, else e.g. `"tenant=acme"`. From the
            authenticated caller, never from the text of a request.
        category: Name of the category whose terms apply.
        compat: Digest of everything that makes an answer unfit for another request except the last
            user text: system prompt, history, tools, sampling, normaliser and embedder.
    """

    scope: str
    category: str
    compat: bytes


@dataclass(frozen=True, slots=True)
class Terms:
    """The cache terms of one category.

    Attributes:
        name: The category.
        similarity: Lowest cosine that answers, 0 to 1; None closes the semantic tier (the exact one
            stays open), as for a threshold that is to be learnt and has no bound yet.
        ttl: Seconds from writing to expiry, above 0; a hit never extends it.
        quota: Entries the category is guaranteed: a `float` is a share of the capacity, 0 to 1, an
            `int` a number. None takes an equal part of what the others leave.
        relax_to: `(similarity, load)`: the threshold in force while the load is above `load`;
            never above `similarity`.
        examples: Entries at least this near are handed back with a miss, as examples to answer by;
            None hands back none.

    Raises:
        CacheError: a value is outside its range (`bad-terms`).
    """

    name: str
    similarity: float | None
    ttl: float
    quota: float | int | None = None
    relax_to: tuple[float, float] | None = None
    examples: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise CacheError("bad-terms", "a category has no name", "give it one")
        if self.similarity is not None:
            self._share("similarity", self.similarity)
        if self.examples is not None:
            self._share("examples", self.examples)
        if not _number(self.ttl) or not self.ttl > 0:
            self._refuse("ttl", self.ttl, "a number of seconds above 0")
        if isinstance(self.quota, int):
            if isinstance(self.quota, bool) or self.quota < 0:
                self._refuse("quota", self.quota, "a whole number of entries from 0")
        elif self.quota is not None:
            self._share("quota", self.quota)
        if self.relax_to is not None:
            similarity, load = self.relax_to
            self._share("relax_to", similarity)
            self._share("relax_to", load)
            if self.similarity is not None and similarity > self.similarity:
                self._refuse("relax_to", similarity, f"at most `similarity`, {self.similarity}")

    def threshold(self, load: float) -> float | None:
        """The cosine that answers at `load`; a load that is no number relaxes nothing."""
        if self.similarity is not None and self.relax_to is not None and load > self.relax_to[1]:
            return self.relax_to[0]
        return self.similarity

    def expired(self, written_at: float, now: float) -> bool:
        """Whether an answer written at `written_at` may no longer be served at `now`."""
        return now - written_at > self.ttl

    def _share(self, field: str, value: float) -> None:
        if not _number(value) or not 0 <= value <= 1:
            self._refuse(field, value, "a number from 0 to 1")

    def _refuse(self, field: str, value: object, wanted: str) -> None:
        raise CacheError(
            "bad-terms", f"`{field}` of category `{self.name}` is {value!r}", f"use {wanted}"
        )


def guaranteed_entries(terms: Sequence[Terms], capacity: int) -> dict[str, int]:
    """The number of entries that pressure from other categories cannot take from each category.

    Shares are rounded down. Categories without a quota divide what is left equally.

    Raises:
        CacheError: a name twice (`duplicate-category`); guarantees above the capacity
            (`quota-over-capacity`).
    """
    guaranteed: dict[str, int] = {}
    unreserved = [term.name for term in terms if term.quota is None]
    for term in terms:
        if term.name in guaranteed:
            raise CacheError(
                "duplicate-category", f"category `{term.name}` has terms twice", "keep one of them"
            )
        if isinstance(term.quota, float):
            # 0.29 * 100 is 28.999… in floating point, and 29 to whoever wrote it.
            guaranteed[term.name] = math.floor(term.quota * capacity + 1e-9)
        else:
            guaranteed[term.name] = term.quota or 0
    left = capacity - sum(guaranteed.values())
    if left < 0:
        raise CacheError(
            "quota-over-capacity",
            f"the quotas add up to {capacity - left} entries, the cache holds {capacity}",
            "lower the quotas or raise the capacity",
        )
    for name in unreserved:
        guaranteed[name] = left // len(unreserved)
    return guaranteed


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
