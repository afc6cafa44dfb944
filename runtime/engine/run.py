"""One request on its way to a decision."""

from __future__ import annotations

from routec.runtime.engine.caching import Question
from routec.runtime.engine.templates import Guarded
from routec.runtime.events.decision import NOT_ASKED, CacheAnswer, Span
from routec.runtime.signals.work import Work

UNSETTLED = -2


class Run(Work):
    """How far one request has come.

    Attributes:
        guarded: what the guards come to; ``None`` while that is open.
        bits: the guards that act, as bits.
        route: index of the route that holds; `UNSETTLED` before.
        category: index of the category whose terms apply, -1 for none; `UNSETTLED` before.
        masks: the spans to mask, once they were looked for.
        question: what was asked of the cache.
        cache: what it said.
        asked: whether the cache has been asked, or need not be.
    """

    guarded: Guarded | None = None
    bits = 0
    route = UNSETTLED
    category = UNSETTLED
    masks: tuple[Span, ...] = ()
    question: Question | None = None
    cache: CacheAnswer = NOT_ASKED
    asked = False
