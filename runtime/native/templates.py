"""Decision events with holes, made by the engine and the encoder themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from routec.compiler.program import Signal
from routec.runtime.engine.engine import Engine
from routec.runtime.events.decision import NOT_ASKED, CacheAnswer, Value
from routec.runtime.events.encode import Encoder
from routec.runtime.events.request import FieldValue, Request

Piece = tuple[str, bytes, int, tuple[float, ...]]
"""What it is, the text of a literal, and for a value its signal and thresholds."""

STAGE = "scan"
SCANNED = frozenset({"tokens", "keyword", "regex"})
"""Kinds of signals that are computed here, and their stage."""

NOT_LOOKED_UP, MISS, HIT = range(3)
"""What the cache said."""

_KINDS = {
    "turns": "integer",
    "tokens": "integer",
    "hour": "integer",
    "has_tools": "truth",
    "has_image": "truth",
    "keyword": "truth",
    "regex": "truth",
    "weekday": "name",
    "score": "real",
    "bands": "name",
}
_ANSWERS = (
    NOT_ASKED,
    CacheAnswer("miss", reason="absent"),
    CacheAnswer("hit", 1.0, "", b"null", "exact"),
)
# JSON has no such byte: it escapes it.
_MARK = b"\0"


class Templates:
    """Makes the templates of a policy.

    Args:
        engine: decides by it.
        encoder: encodes its decisions.
    """

    def __init__(self, engine: Engine, encoder: Encoder) -> None:
        self._engine = engine
        self._encoder = encoder
        signals = engine.program.signals
        self._scanned = [at for at, signal in enumerate(signals) if signal.kind in SCANNED]
        self._fields = tuple(field.name for field in engine.program.fields)

    def make(
        self,
        bits: int,
        route: int,
        category: int,
        pick: int,
        cache: int,
        values: Sequence[Value | None],
        attributes: Sequence[FieldValue],
        most_tokens: float,
    ) -> tuple[Piece, ...]:
        """The pieces of the events of all decisions that end alike.

        Those know the same signals, so any of them serves as the specimen.

        Args:
            bits: the guards that act, as bits.
            route: index of the route; -1 of a rejection, or where the cache answered.
            category: index of the category whose terms apply; -1 for none.
            pick: place of the model among the route's candidates; -1 without a route.
            cache: what the cache said: `NOT_LOOKED_UP`, `MISS` or `HIT`.
            values: of the signals; ``None`` of those that are not known, or are worked out.
            attributes: values of the fields.
            most_tokens: a bound of the tokens.
        """
        signals, engine = self._engine.program.signals, self._engine
        choice = None
        if route >= 0:
            selector = engine.selectors[route]
            weights = selector.weights(selector.all)
            choice = selector.chosen(pick, 1.0 if weights is None else weights[pick] / sum(weights))
        decision = engine.specimen(
            bits,
            route,
            category,
            choice,
            _ANSWERS[cache],
            {at: value for at, value in enumerate(values) if value is not None},
            dict(zip(self._fields, attributes, strict=True)),
            most_tokens,
        )
        event = self._encoder.event("", Request("", {}), decision)
        holes = _Holes()
        event["decision_id"] = holes.leave("decision_id")
        event["request_id"] = holes.leave("request_id")
        event["time"] = holes.leave("time")
        if cache == HIT:
            event["cache"] |= {"entry": holes.leave("entry"), "response": holes.leave("response")}
        places = engine.conditions.signals
        event["margins"] = {
            name: holes.leave("margin", places[name], decision.thresholds[name])
            for name in decision.margins
        }
        event["signals"] = {
            name: holes.leave(_kind(signals[places[name]]), places[name])
            for name in decision.signals
        }
        event["timing_us"] = {"total": holes.leave("total_us")}
        if any(values[at] is not None for at in self._scanned):
            event["timing_us"][STAGE] = holes.leave("scan_us")
        return holes.cut(orjson.dumps(event))


class _Holes:
    """The holes of one template."""

    def __init__(self) -> None:
        self._left: list[Piece] = []

    def leave(self, kind: str, signal: int = -1, thresholds: tuple[float, ...] = ()) -> Any:
        """What stands for a hole in an event."""
        self._left.append((kind, b"", signal, thresholds))
        return orjson.Fragment(_MARK + str(len(self._left) - 1).encode() + _MARK)

    def cut(self, event: bytes) -> tuple[Piece, ...]:
        """The encoded event in pieces."""
        pieces: list[Piece] = []
        for at, part in enumerate(event.split(_MARK)):
            pieces.append(self._left[int(part)] if at % 2 else ("literal", part, -1, ()))
        return tuple(pieces)


def _kind(signal: Signal) -> str:
    return _KINDS[signal.kind]
