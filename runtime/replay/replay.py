"""Deciding recorded requests again.

Values that were recorded are taken as they are, so that no model is needed; what costs little is
computed. The same policy on the same events gives the same decision events, byte for byte: their
ids and times are those of the record. The cache says what it said then, and nothing where that was
not recorded.

A decision that comes out as it was recorded is given as it was recorded, byte for byte: how long it
took, and what else was known by then, are facts of the first time. Any other states no timings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import orjson

from routec.compiler.program import Program, Signal
from routec.runtime.events.decision import Decision
from routec.runtime.events.decode import Decoder, Limits
from routec.runtime.events.encode import Encoder, decision_id
from routec.runtime.events.request import Request
from routec.runtime.records import Dead
from routec.runtime.replay.event import Event
from routec.runtime.replay.recalling import RecallingEngine
from routec.runtime.replay.recorded import Recorded
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

    @property
    def id(self) -> str:
        """Id of the decision."""
        return self.event.decision_id or decision_id(self.event.record)


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
        record = self.event.record
        if self.event.stored:
            place = {"partition": record.partition, "offset": record.offset}
            return {**place, "request_id": name, "error": error}
        return {"line": self.event.number, "request_id": name, "error": error}


_Asked = tuple[Event, Request, Mapping[str, Pin]]

_STATEFUL = frozenset({"latency", "balanced", "round_robin"})
"""Ways to select a model that depend on what happened before."""
_CIRCUMSTANCES = ("signals", "margins", "skipped", "timing_us")
"""Members that tell what was known, or how long it took, rather than what was decided."""

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
        own: reads values that this policy itself has recorded; `read` unless given.

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
        own: Read | None = None,
    ) -> None:
        self._engine = RecallingEngine(program, replace(services, cache=None), hash)
        self._read = read
        self._own = own or read
        self._uncomputed = frozenset(uncomputed)
        self._decoder = Decoder(program.fields, limits)
        self._encoder = Encoder(program.name, hash, {m.name: m for m in program.models})
        self._hash = hash
        self._recallable = {s.name for s in program.signals if s.stage not in ("scan", "light")}
        self._fallbacks = {route.name: route.fallbacks for route in program.routes}
        self._signals = program.signals
        self._classifiers = {s.name: s for s in program.signals if s.kind == "classifier"}

    async def decide(self, events: Sequence[Event]) -> list[Redecided | Refused]:
        """Decide a batch: one answer an event, in order."""
        read = [self._request(event) for event in events]
        asked = [one for one in read if not isinstance(one, Refused)]
        known = [one for one in asked if one[0].recorded is not None]
        answers = {id(one): answer for one, answer in await self._as_then(known)}
        # What another policy has decided may lack what this one would ask of the cache's sake.
        left = [one for one in asked if not isinstance(answers.get(id(one)), Redecided)]
        answers |= {id(one): answer for one, answer in await self._anew(left)}
        return [one if isinstance(one, Refused) else answers[id(one)] for one in read]

    async def _as_then(self, asked: Sequence[_Asked]) -> list[tuple[_Asked, Redecided | Refused]]:
        if not asked:
            return []
        decisions = await self._engine.decide_as_then(
            [request for _, request, _ in asked],
            [values for _, _, values in asked],
            [event.recorded for event, _, _ in asked if event.recorded is not None],
        )
        return [(one, self._judge(one, found)) for one, found in zip(asked, decisions, strict=True)]

    async def _anew(self, asked: Sequence[_Asked]) -> list[tuple[_Asked, Redecided | Refused]]:
        if not asked:
            return []
        decisions = await self._engine.decide_recorded(
            [request for _, request, _ in asked],
            [values for _, _, values in asked],
            [event.failures for event, _, _ in asked],
        )
        return [(one, self._judge(one, found)) for one, found in zip(asked, decisions, strict=True)]

    def encoded(self, redecided: Redecided) -> bytes:
        """The decision event; the recorded bytes where nothing changed."""
        found = self.document(redecided)
        recorded = redecided.event.recorded
        if recorded is not None and recorded.hash == self._hash and _same(found, recorded.value):
            return recorded.value
        return orjson.dumps(found)

    def document(self, redecided: Redecided) -> dict[str, Any]:
        """The decision event: without timings; skipped is what the decision did not read.

        Which values became known beside those that were read is not recorded.
        """
        found = self._encoder.event(redecided.id, redecided.request, redecided.decision)
        read = {key.partition(".")[0] for key in redecided.decision.signals}
        found["skipped"] = [s.name for s in self._signals if s.name not in read]
        found["timing_us"] = {}
        return found

    def _request(self, event: Event) -> _Asked | Refused:
        if event.unreadable is not None:
            return Refused(event, None, event.unreadable.code, event.unreadable.message)
        request = self._decoder.decode(event.record)
        if isinstance(request, Dead):
            return Refused(event, None, request.code, request.message)
        if event.signals is None:
            return Refused(event, request, INVALID, "`signals` must be an object")
        try:
            mine = event.recorded is not None and event.recorded.hash == self._hash
            values = (self._own if mine else self._read)(event.signals)
        except (ValueError, TypeError, OverflowError) as error:
            return Refused(event, request, INVALID, f"`signals`: {error}")
        return event, request, values

    def _judge(self, asked: _Asked, decision: Decision) -> Redecided | Refused:
        event, request, values = asked
        failed = dict.fromkeys(failure.signal for failure in decision.failures)
        missing = tuple(n for n in failed if n in self._uncomputed and n not in values)
        missing = missing or self._supposed(event, values, decision)
        if not missing:
            told = self._with_failures(event, decision)
            return Redecided(event, request, self._as_selected(told, event.recorded))
        listed = ", ".join(f"`{name}`" for name in missing)
        return Refused(
            event,
            request,
            UNRECORDED,
            f"the decision needs {listed}, which the record does not have",
            missing,
        )

    def _with_failures(self, event: Event, decision: Decision) -> Decision:
        """With what failed then of the signals that are not computed now."""
        if not event.failures or event.recorded is None:
            return decision
        again = {failure.signal: failure for failure in decision.failures}
        costly = self._recallable
        then = [f for f in event.recorded.decision.failures if f.signal in costly]
        rest = [f for name, f in again.items() if name not in {one.signal for one in then}]
        return msgspec.structs.replace(decision, failures=(*then, *rest))

    def _as_selected(self, decision: Decision, recorded: Recorded | None) -> Decision:
        """With the model that was selected then, where that took what nobody recorded.

        Turns and observed latencies are of the worker and its moment.
        """
        now, before = decision.selection, None if recorded is None else recorded.decision
        if now is None or before is None or before.selection is None or before.model is None:
            return decision
        assert recorded is not None
        stateful = _STATEFUL if recorded.hash == self._hash else _STATEFUL - {"balanced"}
        then = before.selection
        alike = (now.by, now.candidates) == (then.by, then.candidates)
        if now.by not in stateful or not alike or before.route != decision.route:
            return decision
        if before.model == decision.model or before.model not in now.candidates:
            return decision
        allowed = self._fallbacks.get(decision.route or "", ())
        fallbacks = tuple(name for name in before.fallbacks if name in allowed)
        return msgspec.structs.replace(
            decision, model=before.model, fallbacks=fallbacks, selection=then
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


def _same(found: Mapping[str, Any], recorded: bytes) -> bool:
    """Whether the same was decided, for the same reasons."""
    try:
        before = orjson.loads(recorded)
    except orjson.JSONDecodeError:
        return False
    now = orjson.loads(orjson.dumps(found))
    for one in _CIRCUMSTANCES[:2]:
        old, new = before.get(one), now[one]
        if not isinstance(old, dict) or any(old[name] != new[name] for name in old.keys() & new):
            return False
    for one in _CIRCUMSTANCES:
        before.pop(one, None)
        now.pop(one)
    return bool(before == now)


def _whole(signal: Signal, recorded: Mapping[str, Any]) -> bool:
    return all(_told(f"{signal.name}.{label}", recorded) for label in signal.labels)


def _told(key: str, recorded: Mapping[str, Any]) -> bool:
    name, dot, label = key.partition(".")
    return key in recorded or (bool(dot) and f'{name}["{label}"]' in recorded)
