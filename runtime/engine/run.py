"""One request on its way through the rules."""

from __future__ import annotations

from routec.runtime.engine.caching import Question
from routec.runtime.events.decision import NOT_ASKED, CacheAnswer, Reject, Span
from routec.runtime.signals.work import Work


class Run:
    """How far one request has come.

    Attributes:
        work: what is known of it.
        at: index of the guard, route or category that is looked at.
        guarded: whether all guards are settled.
        route: index of the route that holds; ``None`` before.
        categorised: whether the category is settled.
        category: name of the category whose terms apply.
        reject: the rejection by a guard.
        redact: entity signals whose spans are masked, in order of acting.
        spans: those spans, once they were looked for.
        tags: annotations, in order of acting.
        headers: annotations by name.
        path: node indices of the conditions consulted.
        question: what was asked of the cache.
        cache: what it said.
    """

    __slots__ = (
        "at",
        "cache",
        "categorised",
        "category",
        "guarded",
        "headers",
        "path",
        "question",
        "redact",
        "reject",
        "route",
        "spans",
        "tags",
        "work",
    )

    def __init__(self, work: Work) -> None:
        self.work = work
        self.at = 0
        self.guarded = False
        self.route: int | None = None
        self.categorised = False
        self.category: str | None = None
        self.reject: Reject | None = None
        self.redact: dict[str, None] = {}
        self.spans: tuple[Span, ...] = ()
        self.tags: dict[str, None] = {}
        self.headers: dict[str, str] = {}
        self.path: list[int] = []
        self.question: Question | None = None
        self.cache: CacheAnswer = NOT_ASKED
