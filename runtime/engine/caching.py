"""Asking the cache, for the engine."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from routec.compiler.program import Category
from routec.runtime.engine.cachekey import cache_key
from routec.runtime.engine.redaction import masked
from routec.runtime.events.decision import CacheAnswer, Example, Span, Ticket
from routec.runtime.events.request import Request
from routec.runtime.selection import key_text
from routec.safety.text import NORMALISER_VERSION, normalise
from routec.semcache.cache import SemanticCache
from routec.semcache.outcome import Hit, Miss
from routec.semcache.terms import Partition, Terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

FOREVER = 3.2e9
"""Seconds, a century: the time to live of a category that states none."""


def terms_of(category: Category) -> Terms:
    """The cache's terms of a category; one whose threshold is to be learnt is closed.

    Raises:
        CacheError: a term that the cache does not take.
    """
    quota: float | int | None = category.quota
    if quota is not None:
        quota = float(quota) if quota <= 1 else int(quota)
    return Terms(
        category.name,
        None if category.max_error is not None else category.similarity,
        FOREVER if category.ttl is None else category.ttl,
        quota,
        category.relax_to,
        category.examples,
    )


class Question:
    """What one request asks of the cache.

    Attributes:
        ticket: where its answer is, or will be stored.
        text: normalised last user text, masked; ``None`` if the semantic tier is not to be asked.
        now: event time, whole seconds.
    """

    __slots__ = ("now", "text", "ticket")

    def __init__(self, ticket: Ticket, text: str | None, now: float) -> None:
        self.ticket = ticket
        self.text = text
        self.now = now


class CacheDesk:
    """Asks the cache on the terms of a program's categories.

    Args:
        cache: the cache; it holds these categories.
        categories: the program's categories.
        embedder: digest of the embedder in use; ``None`` leaves only exact matches.

    Attributes:
        semantic: names of the categories in which similar requests are looked for.
        reading: how texts are read: normaliser version and embedder digest.
    """

    def __init__(
        self, cache: SemanticCache, categories: Sequence[Category], embedder: str | None
    ) -> None:
        self._cache = cache
        self._categories = {category.name: category for category in categories}
        self.semantic = frozenset(
            category.name
            for category in categories
            if embedder is not None
            and (
                (category.similarity is not None and category.max_error is None)
                or category.examples
            )
        )
        self.reading = f"{NORMALISER_VERSION}\n{embedder or ''}"

    def question(self, category: str, request: Request, spans: Sequence[Span]) -> Question | None:
        """What to ask for a request; ``None`` if it has no place in the cache.

        Args:
            category: the category whose terms apply.
            request: the request.
            spans: what must be masked before anything of it leaves.
        """
        messages = masked(request.messages, spans)
        key = cache_key(request, messages, self.reading)
        if key is None:
            return None
        field = self._categories[category].scope
        scope = "" if field is None else f"{field}={key_text(request.attributes[field])}"
        ticket = Ticket(Partition(scope, category, key[0]), key[1])
        text: str | None = None
        last = request.last_user
        # Tools and images are not in the text, so texts alone cannot tell two requests apart.
        plain = not request.has_tools and not request.has_image
        if plain and category in self.semantic and last is not None:
            text = normalise(messages[last].text)
            text = text if text.strip() else None
        return Question(ticket, text, float(request.time_ms // 1000))

    def exact(self, question: Question) -> CacheAnswer | None:
        """The answer to the very same request, or ``None``."""
        ticket = question.ticket
        try:
            hit = self._cache.exact(ticket.partition, ticket.fingerprint, question.now)
        except Exception as error:
            log.warning("cache failed: %s", type(error).__name__)
            return None
        return None if hit is None else _hit(hit)

    def holds(self, question: Question) -> bool:
        """Whether `exact` would answer; it is not counted, and a cache that fails holds nothing."""
        ticket = question.ticket
        try:
            return self._cache.holds(ticket.partition, ticket.fingerprint, question.now)
        except Exception as error:
            log.warning("cache failed: %s", type(error).__name__)
            return False

    @property
    def fingerprints(self) -> Mapping[bytes, int]:
        """What is not in there need not be looked up; see `SemanticCache`."""
        return self._cache.fingerprints

    def spare(self, category: str, lookups: int) -> None:
        """Count lookups that were not made, since `fingerprints` tells that they miss."""
        self._cache.spare(category, lookups)

    def nearest(
        self,
        questions: Sequence[Question],
        vectors: Sequence[NDArray[np.float32] | None],
        load: float,
    ) -> list[CacheAnswer]:
        """The answers to similar requests, one search for each second of event time.

        Args:
            questions: what to ask.
            vectors: of their texts; ``None`` where embedding failed.
            load: load of what stands behind the cache, 0 to 1.
        """
        answers: list[CacheAnswer] = [CacheAnswer("miss", reason="failed")] * len(questions)
        times: dict[float, list[int]] = {}
        for at, question in enumerate(questions):
            times.setdefault(question.now, []).append(at)
        for now, group in times.items():
            try:
                found = self._cache.nearest(
                    [questions[at].ticket.partition for at in group],
                    [vectors[at] for at in group],
                    now,
                    load,
                )
            except Exception as error:
                log.warning("cache failed: %s", type(error).__name__)
                continue
            for at, outcome in zip(group, found, strict=True):
                answers[at] = _hit(outcome) if isinstance(outcome, Hit) else _miss(outcome)
        return answers

    def entries(self) -> dict[str, int]:
        """Entries held, by category."""
        stats = self._cache.stats()
        return {name: category.entries for name, category in stats.categories.items()}

    def store(self, ticket: Ticket, body: object, now: float) -> str | None:
        """Keep an answer; its entry's id, or ``None`` if it is not stored.

        Raises:
            CacheError: a time, vector or answer that the cache does not take.
        """
        response = orjson.dumps(body)
        return self._cache.put(ticket.partition, ticket.fingerprint, ticket.vector, response, now)


def _hit(hit: Hit) -> CacheAnswer:
    return CacheAnswer("hit", hit.similarity, hit.entry, hit.response, hit.tier)


def _miss(miss: Miss) -> CacheAnswer:
    examples = tuple(Example(e.entry, e.similarity, e.response) for e in miss.examples)
    return CacheAnswer("miss", miss.similarity, reason=miss.reason, examples=examples)
