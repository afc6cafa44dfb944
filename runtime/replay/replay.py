"""Deciding recorded requests again.

Values that were recorded are taken as they are, so that no model is needed; what costs little is
computed. The same policy on the same events gives the same decision events, byte for byte: their
ids and times are those of the record, and a replay states no timings. The cache is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from routec.compiler.program import Program, Signal
from routec.runtime.events.decision import Decision
from routec.runtime.events.decode import Decoder, Limits
from routec.runtime.events.encode import Encoder, decision_id
from routec.runtime.events.request import Request
from routec.runtime.records import Dead
from routec.runtime.replay.event import Event
from routec.runtime.replay.recalling import RecallingEngine
from routec.runtime.signals.services import Services
from routec.runtime.signals.values import Pin

Read = Callable[[Mapping[str, Any]], Mapping[str, Pin]]
"""Reads the values of a policy's signals among those recorded; a `ValueError` for a bad one."""


@dataclass(frozen=True, slots=True)
class Redecided:
    """A request, decided again.

    Attributes:
        event: where it stood.
        request: the request.
        decision: what is decided now.
    """

    event: Event
    request: Request
    decision: Decision


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that cannot be decided again.

    Attributes:
        event: where it stood.
        request: the request; ``None`` where there is none in it.
        code: why: that of a dead letter, `INVALID` or `UNRECORDED`.
        message: one sentence for a person.
        signals: what it lacks, as decisions name it.
    """

    event: Event
    request: Request | None
    code: str
    message: str
    signals: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The entry that stands in the decision's place."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.signals:
            error["signals"] = self.signals
        name = None if self.request is None else self.request.id
        return {"line": self.event.number, "request_id": name, "error": error}


INVALID = "invalid-signals"
"""Code of an event whose recorded values are none of its signals'."""

UNRECORDED = "unrecorded-signal"
"""Code of an event that needs a value which is neither recorded nor computed."""


class Replay:
    """Decides recorded requests by one policy.

    Args:
        program: the policy's program.
        services: what computing its signals takes; the cache is not asked.
        read: reads recorded values.
        uncomputed: names of the signals that the services cannot compute.
        hash: the program's content hash.
        limits: how much of an event is read.

    Raises:
        ProgramError: the program cannot run here.
    """

    def __init__(
        self,
        program: Program,
        services: Services,
        read: Read,
        uncomputed: Collection[str],
        hash: str,
        limits: Limits | None = None,
    ) -> None:
        self._engine = RecallingEngine(program, replace(services, cache=None), hash)
        self._read = read
        self._uncomputed = frozenset(uncomputed)
        self._decoder = Decoder(program.fields, limits)
        self._encoder = Encoder(program.name, hash, {m.name: m for m in program.models})
        self._signals = program.signals
        self._classifiers = {s.name: s for s in program.signals if s.kind == "classifier"}

    async def decide(self, events: Sequence[Event]) -> list[Redecided | Refused]:
        """Decide a batch: one answer an event, in order."""
        read = [self._request(event) for event in events]
        asked = [one for one in read if not isinstance(one, Refused)]
        decisions = await self._engine.decide_recorded(
            [request for _, request, _ in asked],
            [values for _, _, values in asked],
            [event.failures for event, _, _ in asked],
        )
        decided = iter(zip(asked, decisions, strict=True))
        return [one if isinstance(one, Refused) else self._judge(*next(decided)) for one in read]

    def document(self, redecided: Redecided) -> dict[str, Any]:
        """The decision event: without timings; skipped is what the decision did not read.

        Which values became known beside those that were read is not recorded.
        """
        event = redecided.event
        id = event.decision_id or decision_id(event.record)
        found = self._encoder.event(id, redecided.request, redecided.decision)
        read = {key.partition(".")[0] for key in redecided.decision.signals}
        found["skipped"] = [s.name for s in self._signals if s.name not in read]
        found["timing_us"] = {}
        return found

    def _request(self, event: Event) -> tuple[Event, Request, Mapping[str, Pin]] | Refused:
        request = self._decoder.decode(event.record)
        if isinstance(request, Dead):
            return Refused(event, None, request.code, request.message)
        if event.signals is None:
            return Refused(event, request, INVALID, "`signals` must be an object")
        try:
            values = self._read(event.signals)
        except (ValueError, TypeError, OverflowError) as error:
            return Refused(event, request, INVALID, f"`signals`: {error}")
        return event, request, values

    def _judge(
        self, asked: tuple[Event, Request, Mapping[str, Pin]], decision: Decision
    ) -> Redecided | Refused:
        event, request, values = asked
        failed = dict.fromkeys(failure.signal for failure in decision.failures)
        missing = tuple(n for n in failed if n in self._uncomputed and n not in values)
        missing = missing or self._supposed(event, values, decision)
        if not missing:
            return Redecided(event, request, decision)
        listed = ", ".join(f"`{name}`" for name in missing)
        return Refused(
            event,
            request,
            UNRECORDED,
            f"the decision needs {listed}, which the record does not have",
            missing,
        )

    def _supposed(
        self, event: Event, values: Mapping[str, Pin], decision: Decision
    ) -> tuple[str, ...]:
        """Scores or labels that were read, though the record has only others of the classifier.

        A record names what its decision read: perhaps the label alone, or one score. What fills
        up the rest is supposed, and no ground to decide on.
        """
        recorded = event.signals or {}
        found: list[str] = []
        for name, signal in self._classifiers.items():
            if name not in values or _whole(signal, recorded):
                continue
            own = (name, *(f"{name}.{label}" for label in signal.labels))
            found += [key for key in own if key in decision.signals and not _told(key, recorded)]
        return tuple(found)


def _whole(signal: Signal, recorded: Mapping[str, Any]) -> bool:
    return all(_told(f"{signal.name}.{label}", recorded) for label in signal.labels)


def _told(key: str, recorded: Mapping[str, Any]) -> bool:
    name, dot, label = key.partition(".")
    return key in recorded or (bool(dot) and f'{name}["{label}"]' in recorded)
