"""Computing signals, a batch of requests at a time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

from routec.compiler.program import Program, Signal, structural
from routec.runtime.events.decision import Failure, Span
from routec.runtime.events.request import Request
from routec.runtime.signals import scan, vectors
from routec.runtime.signals.observer import SILENT, Observer
from routec.runtime.signals.services import Services
from routec.runtime.signals.structure import reader
from routec.runtime.signals.values import Scores, Value, on_error, scores_of
from routec.runtime.signals.vectors import Similarities, Vectors, is_repeated, texts_of
from routec.runtime.signals.work import UNKNOWN, AtMost, Work

log = logging.getLogger(__name__)

DEADLINE = 1.0
"""Seconds a classifier has where neither the policy nor the configuration says."""

REASONS = frozenset({"timeout", "overloaded", "closed", "failed", "invalid", "unbound", "error"})
"""Why a signal can take its failure value."""

Need = tuple[Work, int]
"""A request, and the index of the signal it needs."""


class Signals:
    """The signals of a program and how to compute them.

    Args:
        program: the program.
        services: what computing them takes.
        observer: hears of calls and failures.

    Raises:
        ValueError: a phrase, pattern or time zone that cannot be used.

    Attributes:
        texts: the keywords and regexes.
    """

    def __init__(self, program: Program, services: Services, observer: Observer = SILENT) -> None:
        self._signals = program.signals
        self._services = services
        self._observer = observer
        self.texts = scan.TextScan(program)
        self._similarities = Similarities(program, services.embedder)
        self._structure = structural(program)
        self._counts = tuple(at for at, s in enumerate(program.signals) if s.kind == "tokens")
        self._local: dict[int, Callable[[Work], object]] = {}
        for at, signal in enumerate(program.signals):
            compute = self._local_function(at, signal)
            if compute is not None:
                self._local[at] = compute

    def read_off(self, works: Sequence[Work]) -> None:
        """Give requests the signals that are read off them as they are, where not fixed.

        Of a number of tokens that is its bound, which mostly settles what is asked about it.
        """
        for work in works:
            self.bound_tokens(work)
        for at in self._structure:
            begin = perf_counter()
            count, read = 0, self._local[at]
            for work in works:
                if work.values[at] is UNKNOWN:
                    work.learn(at, read(work))
                    count += 1
            name = self._signals[at].name
            self._observer.signal(name, "computed", count, perf_counter() - begin)

    def bound_tokens(self, work: Work) -> None:
        """Let the bound of a number of tokens that is not known stand in its place."""
        if self._counts and self._services.most_tokens is not None:
            bound = AtMost(self.most_tokens(work))
            for at in self._counts:
                if work.values[at] is UNKNOWN:
                    work.values[at] = bound

    async def compute(
        self, needs: Sequence[Need], known: Vectors, also: Sequence[str] = ()
    ) -> None:
        """Give each request the value of the signal it needs, failure values included.

        One call serves all requests of a signal: one scan of each different text, one call of
        the embedder for everything, one call for each classifier. A request that needs one
        keyword or regex gets them all of that scope, one that needs a similarity or contrast all
        of them, since they cost nothing more; but only what was needed is listed as failed.

        Args:
            needs: requests and what they need, all of signals of one stage.
            known: vectors of this batch.
            also: further texts to embed in the same call; left without a vector if it fails.
        """
        embedding: list[Need] = []
        classifying: dict[int, list[Work]] = {}
        scanning: dict[str, list[Need]] = {}
        local: dict[int, list[Work]] = {}
        for need in needs:
            kind = self._signals[need[1]].kind
            if kind in vectors.KINDS:
                embedding.append(need)
            elif kind in scan.KINDS:
                scanning.setdefault(self._signals[need[1]].scope, []).append(need)
            elif kind == "classifier":
                classifying.setdefault(need[1], []).append(need[0])
            else:
                local.setdefault(need[1], []).append(need[0])
        for scope, group in scanning.items():
            self._scan_texts(scope, group)
        for at, works in local.items():
            self._compute_locally(at, works)
        if embedding or also:
            with self._services.load.working():
                await self._embed(embedding, known, also)
        if classifying:
            with self._services.load.working():
                await self._classify_all(classifying, known)

    def find_spans(self, work: Work, at: int) -> tuple[Span, ...]:
        """The spans that an entity signal finds, worked out once.

        Raises:
            Exception: whatever the recogniser raises.
        """
        if at not in work.spans:
            find = self._services.entities
            if find is None:
                raise RuntimeError("there is no entity recogniser")
            kinds = frozenset(self._signals[at].kinds)
            found = tuple(
                Span(index, each.start, each.end, each.kind)
                for index, message in enumerate(work.request.messages)
                if message.text
                for each in find(message.text, kinds)
            )
            work.spans = {**work.spans, at: found}
        return work.spans[at]

    def most_tokens(self, work: Work) -> float:
        """A bound of `count_tokens` that costs next to nothing; infinite where there is none."""
        if work.most_tokens is None:
            work.most_tokens = self._bound_tokens(work.request)
        return work.most_tokens

    def _bound_tokens(self, request: Request) -> float:
        bound = self._services.most_tokens
        if request.tokens is not None:
            return request.tokens
        if bound is None:
            return math.inf
        texts = [message.text for message in request.messages]
        if all(map(str.isascii, texts)):
            # Normalised ASCII is no longer than as it came; line ends join the messages.
            return bound(sum(map(len, texts)) + len(texts), True)
        return bound(len(request.text("all")), False)

    def count_tokens(self, work: Work) -> int:
        """Tokens of the whole conversation, counted once."""
        request = work.request
        if request.tokens is None:
            request.tokens = self._services.tokens(request.text("all"))
        return request.tokens

    def _local_function(self, at: int, signal: Signal) -> Callable[[Work], object] | None:
        read = reader(signal)
        if read is not None:
            return lambda work: read(work.request)
        if signal.kind == "tokens":
            return self.count_tokens
        if signal.kind == "entities":
            return lambda work: frozenset(span.kind for span in self.find_spans(work, at))
        if signal.kind == "language":
            return self._language
        return None

    def _language(self, work: Work) -> Scores:
        if self._services.language is None:
            raise RuntimeError("there is no language identifier")
        code, confidence = self._services.language(work.request.text("last_user"))
        return Scores(code, {"confidence": float(confidence)})

    def _compute_locally(self, at: int, works: Sequence[Work]) -> None:
        name = self._signals[at].name
        failed: list[Work] = []
        begin = perf_counter()
        for work in works:
            try:
                work.learn(at, self._local[at](work))
            except Exception as error:
                _complain(name, error)
                failed.append(work)
        if len(failed) < len(works):
            seconds = perf_counter() - begin
            self._observer.signal(name, "computed", len(works) - len(failed), seconds)
        if failed:
            self._fail(at, failed, "error")

    def _scan_texts(self, scope: str, needs: Sequence[Need]) -> None:
        begin = perf_counter()
        by_text: dict[str, list[Need]] = {}
        for need in needs:
            by_text.setdefault(need[0].request.text(scope), []).append(need)
        served: Counter[int] = Counter()
        for text, group in by_text.items():
            try:
                found = self.texts.scan(scope, text)
            except Exception as error:
                self._fail_all(f"scan of {scope}", error, group)
                continue
            for work, _ in group:
                _learn_new(work, found, served)
        self._tell(served, begin)

    async def _embed(self, needs: Sequence[Need], known: Vectors, also: Sequence[str]) -> None:
        begin = perf_counter()
        texts = [texts_of(self._signals[at], work.request) for work, at in needs]
        await self._add([text for group in (*texts, also) for text in group], known)
        served: Counter[int] = Counter()
        measuring: list[Need] = []
        for (work, at), group in zip(needs, texts, strict=True):
            signal = self._signals[at]
            # Some need no vector: they must not fail with the others of their batch.
            if any(known.get(text) is None for text in group):
                self._fail(at, [work], "error")
            elif signal.kind != "repeated":
                measuring.append((work, at))
            else:
                try:
                    found = [(at, is_repeated(signal, group, known))]
                except Exception as error:
                    self._fail_all(signal.name, error, [(work, at)])
                else:
                    _learn_new(work, found, served)
        if measuring:
            self._measure(measuring, known, served)
        self._tell(served, begin)

    def _measure(self, needs: Sequence[Need], known: Vectors, served: Counter[int]) -> None:
        """Similarities and contrasts of texts that have vectors."""
        by_text: dict[str, list[Work]] = {}
        for work, _ in needs:
            by_text.setdefault(_last(work), []).append(work)
        try:
            values = self._similarities.values(list(by_text), known)
        except Exception as error:
            self._fail_all("similarity", error, needs)
            return
        for works, found in zip(by_text.values(), values, strict=True):
            for work in works:
                _learn_new(work, found, served)

    async def _add(self, texts: Sequence[str], known: Vectors) -> None:
        """Embed texts; those that fail stay without a vector."""
        try:
            await known.add(texts)
        except Exception as error:
            _complain("embedder", error)

    async def _classify_all(self, groups: Mapping[int, Sequence[Work]], known: Vectors) -> None:
        nearby: dict[int, Sequence[Work]] = {}
        calls = []
        for at, works in groups.items():
            classifier = self._services.classifiers.get(self._signals[at].backend)
            if hasattr(classifier, "classify"):
                calls.append(self._classify(at, works))
            elif classifier is None:
                self._fail(at, works, "unbound")
            else:
                nearby[at] = works
        if nearby:
            calls.append(self._classify_by_vector(nearby, known))
        await asyncio.gather(*calls)

    async def _classify_by_vector(
        self, groups: Mapping[int, Sequence[Work]], known: Vectors
    ) -> None:
        """Classifiers that take vectors: plain arithmetic, so no time limit applies to them."""
        await self._add([_last(work) for works in groups.values() for work in works], known)
        for at, works in groups.items():
            lost = [work for work in works if known.get(_last(work)) is None]
            if lost:
                self._fail(at, lost, "error")
            ready = [work for work in works if known.get(_last(work)) is not None]
            if not ready:
                continue
            classifier: Any = self._services.classifiers[self._signals[at].backend]
            begin = perf_counter()
            try:
                scores = classifier.scores(known.stack([_last(work) for work in ready]))
            except Exception as error:
                _complain(self._signals[at].name, error)
                self._fail(at, ready, _reason(error))
                continue
            self._observer.classified(self._signals[at].backend, len(ready))
            self._take(at, ready, classifier.labels, scores, perf_counter() - begin)

    async def _classify(self, at: int, works: Sequence[Work]) -> None:
        signal = self._signals[at]
        texts = list(dict.fromkeys(map(_last, works)))
        timeout = signal.timeout or self._services.deadlines.get(signal.backend, DEADLINE)
        begin = perf_counter()
        try:
            backend: Any = self._services.classifiers[signal.backend]
            async with asyncio.timeout(timeout):
                scores = await backend.classify(texts, timeout)
            rows = dict(zip(texts, scores, strict=True))
        except Exception as error:
            _complain(signal.name, error)
            self._fail(at, works, _reason(error))
            return
        self._observer.classified(signal.backend, len(texts))
        each = [rows[_last(work)] for work in works]
        self._take(at, works, backend.labels, each, perf_counter() - begin)

    def _take(
        self, at: int, works: Sequence[Work], labels: Sequence[str], rows: Any, seconds: float
    ) -> None:
        """Give each request its row of a classifier's scores."""
        signal = self._signals[at]
        failed: list[Work] = []
        for work, row in zip(works, rows, strict=True):
            try:
                scores = dict(zip(labels, map(float, row), strict=True))
                work.learn(at, scores_of(signal, scores))
            except (ValueError, TypeError):
                failed.append(work)
        if failed:
            self._fail(at, failed, "invalid")
        self._observer.signal(signal.name, "computed", len(works) - len(failed), seconds)

    def _fail(self, at: int, works: Sequence[Work], reason: str) -> None:
        signal = self._signals[at]
        for work in works:
            work.learn(at, on_error(signal))
            work.failures += (Failure(signal.name, reason),)
        self._observer.failure(signal.name, reason, len(works))

    def _fail_all(self, what: str, error: Exception, needs: Sequence[Need]) -> None:
        _complain(what, error)
        for work, at in needs:
            self._fail(at, [work], "error")

    def _tell(self, served: Counter[int], begin: float) -> None:
        """Tell the observer of signals that were computed together."""
        seconds = perf_counter() - begin
        for at, count in served.items():
            self._observer.signal(self._signals[at].name, "computed", count, seconds)


def _last(work: Work) -> str:
    return work.request.text("last_user")


def _learn_new(work: Work, found: Iterable[tuple[int, Value]], served: Counter[int]) -> None:
    """Give a request what it does not know yet, and count that by signal."""
    for at, value in found:
        if work.values[at] is UNKNOWN:
            work.learn(at, value)
            served[at] += 1


def _reason(error: Exception) -> str:
    """A word of a closed set for the metrics and the trace."""
    if isinstance(error, TimeoutError):
        return "timeout"
    code = getattr(error, "code", None)
    return code if code in REASONS else "error"


def _complain(what: str, error: Exception) -> None:
    """Log a failure by its type alone: messages and tracebacks can hold what a user wrote."""
    log.warning("%s failed: %s", what, type(error).__name__)
