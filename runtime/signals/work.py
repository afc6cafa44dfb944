"""What is known of one request while it is being decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routec.runtime.events.decision import Failure, Span
from routec.runtime.events.request import Request


class Work:
    """The values of one request so far.

    Attributes:
        request: the request.
        attributes: its fields by name.
        values: a value for each signal of the program; ``None`` while unknown.
        version: grows by one whenever a value becomes known.
        memo: of shared conditions: their value, or the version at which they were unknown.
        pins: indices of the signals that were fixed by the caller.
        spans: what each entity signal found, by the signal's index.
        failures: signals that took their failure value.
        timing_us: microseconds spent in the calls that served this request, by stage.
    """

    __slots__ = (
        "attributes",
        "failures",
        "memo",
        "pins",
        "request",
        "spans",
        "timing_us",
        "values",
        "version",
    )

    def __init__(self, request: Request, signals: int) -> None:
        self.request = request
        self.attributes: Mapping[str, Any] = request.attributes
        self.values: list[Any] = [None] * signals
        self.version = 2
        self.memo: dict[int, bool | int] = {}
        self.pins: frozenset[int] = frozenset()
        self.spans: dict[int, tuple[Span, ...]] = {}
        self.failures: list[Failure] = []
        self.timing_us: dict[str, int] = {}

    def learn(self, signal: int, value: Any) -> None:
        """Set a signal's value."""
        self.values[signal] = value
        self.version += 1
