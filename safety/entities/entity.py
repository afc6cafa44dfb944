"""What the recognisers answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entity:
    """A recognised piece of personal or secret data.

    Attributes:
        kind: one of `routec.safety.entities.KINDS`.
        start: its first code point in the text it was found in.
        end: one past its last code point.
    """

    kind: str
    start: int
    end: int
