"""An engine that is told, when it asks for a signal, what was recorded of it.

Recorded values could be fixed beforehand, as pins are. But what is known from the start leads to
other questions than what is found out on the way, and so to another trace of the same decision. So
they are given where they would be computed, and a replay asks what the first decision asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routec.compiler.program import Program
from routec.runtime.engine import Engine
from routec.runtime.events.decision import Decision, Failure
from routec.runtime.events.request import Request
from routec.runtime.signals.compute import Need, Signals
from routec.runtime.signals.services import Services
from routec.runtime.signals.values import Pin, pinned
from routec.runtime.signals.vectors import MEASURED, Vectors
from routec.runtime.signals.work import UNKNOWN, Work


class RecallingEngine(Engine):
    """Decides by recorded values of signals; what was not recorded is computed.

    Args:
        program: the program.
        services: what computing takes.
        hash: the program's hash.

    Raises:
        ProgramError: the program cannot run here.
    """

    def __init__(self, program: Program, services: Services, hash: str) -> None:
        super().__init__(program, services, hash=hash)
        self._recalling = _Recalling(program, services)
        self._signals = self._recalling

    async def decide_recorded(
        self,
        requests: Sequence[Request],
        recorded: Sequence[Mapping[str, Pin]],
        failures: Sequence[Mapping[str, str]],
    ) -> list[Decision]:
        """Decide a batch.

        Args:
            requests: the requests, each another object.
            recorded: values of its signals by name, for each.
            failures: why a recorded value was that of a failure, by signal, for each.

        Raises:
            ValueError: a value is none of its signal's.
        """
        self._recalling.remember(requests, recorded, failures)
        try:
            return await self.decide(requests)
        finally:
            self._recalling.remember((), (), ())


class _Recalling(Signals):
    """Signals whose values are recalled where they were recorded."""

    def __init__(self, program: Program, services: Services) -> None:
        super().__init__(program, services)
        self._program = program
        self._recorded: dict[int, tuple[Mapping[int, Pin], Mapping[str, str]]] = {}

    def remember(
        self,
        requests: Sequence[Request],
        recorded: Sequence[Mapping[str, Pin]],
        failures: Sequence[Mapping[str, str]],
    ) -> None:
        """What was recorded of the requests of the next batch."""
        signals = self._program.signals
        self._recorded = {}
        for request, values, reasons in zip(requests, recorded, failures, strict=True):
            own = {
                at: pinned(signal, values[signal.name])
                for at, signal in enumerate(signals)
                if signal.name in values
            }
            self._recorded[id(request)] = (own, reasons)

    async def compute(
        self, needs: Sequence[Need], known: Vectors, also: Sequence[str] = ()
    ) -> None:
        """Give each request the value of the signal it needs: that recorded, or compute it."""
        left = [need for need in needs if not self._recall(*need)]
        await super().compute(left, known, also)

    def _recall(self, work: Work, at: int) -> bool:
        values, reasons = self._recorded.get(id(work.request), ({}, {}))
        if at not in values:
            return False
        signals = self._program.signals
        # One embedding gives all of these, so what was recorded of them was known together.
        together = signals[at].kind in MEASURED
        for other, value in values.items():
            alike = other == at or (together and signals[other].kind in MEASURED)
            if alike and work.values[other] is UNKNOWN:
                work.learn(other, value)
                name = signals[other].name
                if name in reasons:
                    work.failures = (*work.failures, Failure(name, reasons[name]))
        return True
