"""The compiled path of a policy, with what it asks of the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from routec.compiler.program import ProgramError, structural
from routec.runtime.engine.caching import Question
from routec.runtime.engine.engine import Engine
from routec.runtime.events.decision import Slip, ticket_of
from routec.runtime.events.decode import Limits
from routec.runtime.events.encode import Encoder
from routec.runtime.native._native import Path
from routec.runtime.native.spec import fits, spec_of
from routec.runtime.native.tally import Tally
from routec.runtime.native.templates import Templates
from routec.runtime.records import Decided, Record
from routec.runtime.signals.observer import SILENT, Observer
from routec.safety.text import normalise

Answer = Decided | dict[str, Any] | None
"""An outcome, or what was decoded of a record that the engine has to decide."""


class NativePath:
    """Decides those requests of a policy that need no model, but themselves and the exact cache.

    What it decides, it decides as `Decoder`, `Engine` and `Encoder` do, byte for byte but for
    timings; everything else, and whatever is wrong with a request, it leaves to them.

    Args:
        engine: decides by the policy, which `fits`.
        encoder: encodes its decisions.
        limits: how much of an event is read.
        missed: takes the ids of decisions that missed the cache, and where answers belong.
        observer: hears of what happens.
    """

    def __init__(
        self,
        engine: Engine,
        encoder: Encoder,
        limits: Limits,
        missed: Callable[[str, Slip], None],
        observer: Observer = SILENT,
    ) -> None:
        program, self._desk, self._observer = engine.program, engine.desk, observer
        self._texts = engine.texts
        self._categories = tuple(category.name for category in program.categories)
        self._routes = tuple(route.name for route in program.routes)
        self._structure = tuple(program.signals[at].name for at in structural(program))
        self._signals = tuple(signal.name for signal in program.signals)
        self._normals: dict[str, str] = {}
        spec = spec_of(engine, limits, self._normal)
        spec["template"] = Templates(engine, encoder).make
        spec["ask"] = None if engine.desk is None else self._ask
        spec["scan"] = self._scan
        spec["fingerprints"] = {} if engine.desk is None else engine.desk.fingerprints
        spec["missed"] = missed
        self._path = Path(spec)

    @staticmethod
    def of(
        engine: Engine,
        encoder: Encoder,
        limits: Limits,
        missed: Callable[[str, Slip], None],
        observer: Observer = SILENT,
    ) -> NativePath | None:
        """The path of a policy; ``None`` if it does not fit (see `spec.fits`).

        Raises:
            ProgramError: the program compares what cannot be compared.
        """
        if not fits(engine):
            return None
        try:
            return NativePath(engine, encoder, limits, missed, observer)
        except (KeyError, TypeError, ValueError) as error:
            raise ProgramError("invalid-program", f"the program cannot run: {error}") from error

    def decide(self, records: Sequence[Record], latest_s: float) -> tuple[list[Answer], float]:
        """Decide what can be decided here.

        Args:
            records: the records.
            latest_s: requests of later times do not count for the time that is returned.

        Returns:
            An answer for each record, and the latest time of a request that was decided, seconds;
            below 0 for none.
        """
        answers, tally = self._path.decide(list(records), Decided, int(latest_s * 1000))
        for category, lookups in zip(self._categories, tally["spared"], strict=True):
            if lookups and self._desk is not None:
                self._desk.spare(category, lookups)
        if self._observer is not SILENT and tally["finished"]:
            self._tell(tally)
        return answers, tally["latest_ms"] / 1000

    def forget(self) -> None:
        """Keep nothing of a batch any longer."""
        self._texts.forget()
        self._normals.clear()

    def _normal(self, text: str) -> str:
        """The normal form of a text, worked out once a batch where that takes long."""
        if text.isascii():
            return normalise(text)
        found = self._normals.get(text)
        if found is None:
            found = self._normals[text] = normalise(text)
        return found

    def _scan(self, scope: str, text: str) -> tuple[tuple[int, bool], ...]:
        # Should the request be left to the engine, that need not scan the text again.
        return tuple(self._texts.keep(scope, self._normal(text)))

    def _ask(self, slip: Slip, now: float, again: bool) -> tuple[str, bytes] | None:
        """Ask the exact tier: entry and response of a hit, or ``None``.

        Where the engine asks again after a miss, that is not counted.
        """
        desk = self._desk
        assert desk is not None
        question = Question(ticket_of(slip), None, now)
        if again and not desk.holds(question):
            return None
        hit = desk.exact(question)
        if hit is None:
            return None
        assert hit.entry is not None
        assert hit.response is not None
        return hit.entry, hit.response

    def _tell(self, tally: Tally) -> None:
        observer = self._observer
        for name in self._structure:
            observer.signal(name, "computed", tally["finished"], tally["reading_s"])
        for name, count in zip(self._signals, tally["counted"], strict=True):
            if count:
                observer.signal(name, "computed", count, tally["counting_s"])
        for scope, count, seconds in zip(
            self._texts.scopes, tally["scanned"], tally["scanning_s"], strict=False
        ):
            for at in self._texts.signals(scope) if count else ():
                observer.signal(self._signals[at], "computed", count, seconds)
        for status, counts in (("miss", tally["misses"]), ("hit", tally["hits"])):
            for category, count in zip(self._categories, counts, strict=True):
                if count:
                    observer.looked_up(category, status, count)
        for route, count in zip(self._routes, tally["routed"], strict=True):
            if count:
                observer.decided("route", route, count)
        for outcome, count in (("cached", tally["cached"]), ("reject", tally["rejected"])):
            if count:
                observer.decided(outcome, None, count)
