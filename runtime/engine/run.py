"""One request on its way to a decision."""

from __future__ import annotations

from typing import Any

from routec.runtime.engine.caching import Question
from routec.runtime.engine.templates import Guarded
from routec.runtime.events.decision import NOT_ASKED, CacheAnswer, Span
from routec.runtime.events.request import Request
from routec.runtime.signals.work import Work

UNSETTLED = -2


class Run(Work):
    """How far one request has come.

    Attributes:
        known: how many of its computed signals were fixed by the caller.
        guarded: what the guards come to; ``None`` while that is open.
        bits: the guards that act, as bits.
        route: index of the route that holds; `UNSETTLED` before.
        category: index of the category whose terms apply, -1 for none; `UNSETTLED` before.
        masks: the spans to mask, once they were looked for.
        question: what was asked of the cache.
        cache: what it said.
        asked: whether the cache has been asked, or need not be.
    """

    __slots__ = (
        "asked",
        "bits",
        "cache",
        "category",
        "guarded",
        "known",
        "masks",
        "question",
        "route",
    )

    def __init__(self, request: Request, values: list[Any], known: int) -> None:
        super().__init__(request, values)
        self.known = known
        self.guarded: Guarded | None = None
        self.bits = 0
        self.route = UNSETTLED
        self.category = UNSETTLED
        self.masks: tuple[Span, ...] = ()
        self.question: Question | None = None
        self.cache: CacheAnswer = NOT_ASKED
        self.asked = False
