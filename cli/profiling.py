"""Making a profile of recorded traffic: what a planner is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random
from statistics import fmean
from time import perf_counter
from typing import Any

from routec.cli.offline import COSTLY, light_services
from routec.compiler.plan import Profile
from routec.compiler.plan.profile import MAX_ROWS, Lookups, Row, Seconds, row_of
from routec.compiler.program import Program
from routec.runtime.events.request import Request
from routec.runtime.replay import Event, Read
from routec.runtime.signals.compute import Signals
from routec.runtime.signals.services import Services
from routec.runtime.signals.vectors import KINDS, Vectors
from routec.runtime.signals.work import UNKNOWN, Work

_SCANNED = frozenset({"keyword", "regex"})


class Profiler:
    """Gathers a profile: a sample of the requests with the values of all signals that can be had.

    Signals that cost little are computed for every row, and costly ones where the services have
    what it takes; the values of others are those recorded, a classifier's only if all its scores
    are. What was computed was also timed, one request at a time.

    Args:
        program: the policy's program.
        read: reads recorded values.
        services: opened for the program; those of cheap signals unless given.
        rows: most rows of the profile, 1 to `MAX_ROWS`.
    """

    def __init__(
        self,
        program: Program,
        read: Read,
        services: Services | None = None,
        rows: int = MAX_ROWS,
    ) -> None:
        self._program = program
        self._read = read
        self._live = services is not None
        self._services = services or light_services()
        self._signals = Signals(program, self._services)
        self._whole = {
            s.name: [f"{s.name}.{label}" for label in s.labels]
            for s in program.signals
            if s.kind == "classifier"
        }
        self._rows = rows
        self._sample: list[tuple[Event, Request]] = []
        self._dice = Random("routec profile")
        self._requests = 0
        self._lookups: dict[str, Counter[str]] = {}
        self._times: dict[str, list[float]] = {}

    def add(self, event: Event, request: Request) -> None:
        """Take in a request; which of them become rows depends on nothing but their order."""
        self._requests += 1
        if event.lookup is not None:
            counts = self._lookups.setdefault(event.lookup.category, Counter())
            counts[event.lookup.answer] += 1
        if len(self._sample) < self._rows:
            self._sample.append((event, request))
            return
        # Every request has the same chance (Vitter, "Random sampling with a reservoir", 1985).
        at = self._dice.randrange(self._requests)
        if at < self._rows:
            self._sample[at] = (event, request)

    async def profile(self) -> Profile:
        """The profile of what was taken in; computes the rows."""
        rows = [await self._row(event, request) for event, request in self._sample]
        times = {name: self._mean(taken) for name, taken in self._times.items()}
        return Profile(
            policy=self._program.name,
            requests=self._requests,
            seconds=Seconds(
                scan=times.pop("", None),
                embedding=times.pop("\0", None),
                signals=times,
            ),
            cache={
                name: Lookups(counts.total(), counts["exact"], counts["similar"])
                for name, counts in sorted(self._lookups.items())
            },
            rows=tuple(rows),
        )

    @staticmethod
    def _mean(taken: list[float]) -> float:
        # The first call of a kind loads what it needs.
        return fmean(taken[1:] or taken)

    async def _row(self, event: Event, request: Request) -> Row:
        signals = self._program.signals
        work = Work(request, [UNKNOWN] * len(signals))
        recorded = self._recorded(event)
        vectors = Vectors(self._services.embedder)
        for at, signal in enumerate(signals):
            if signal.stage == "derived" or work.values[at] is not UNKNOWN:
                continue
            if signal.stage in COSTLY and not self._live:
                continue
            if self._services.embedder is not None and self._embeds(signal.kind, signal.backend):
                await self._embed(vectors, request.text("last_user"))
            begin = perf_counter()
            await self._signals.compute([(work, at)], vectors)
            name = "" if signal.kind in _SCANNED else signal.name
            self._times.setdefault(name, []).append(perf_counter() - begin)
        failed = {failure.signal for failure in work.failures}
        values: dict[str, Any] = {**request.attributes, **recorded}
        for signal, value in zip(signals, work.values, strict=True):
            if value is not UNKNOWN and signal.name not in failed:
                values[signal.name] = value
        return row_of(self._program, values)

    def _embeds(self, kind: str, backend: str) -> bool:
        """Whether a signal reads the embedding of the last user text."""
        if kind == "classifier":
            return not hasattr(self._services.classifiers.get(backend), "classify")
        return kind in KINDS

    async def _embed(self, vectors: Vectors, text: str) -> None:
        if vectors.get(text) is not None:
            return
        begin = perf_counter()
        try:
            await vectors.add([text])
        except Exception:  # the signals that need it fail, and are left out
            return
        self._times.setdefault("\0", []).append(perf_counter() - begin)

    def _recorded(self, event: Event) -> Mapping[str, Any]:
        """The recorded values that are whole."""
        given = event.signals or {}
        pins = self._read(given)
        return {
            name: pin
            for name, pin in pins.items()
            if all(
                key in given or f'{name}["{key[len(name) + 1 :]}"]' in given
                for key in self._whole.get(name, ())
            )
        }
