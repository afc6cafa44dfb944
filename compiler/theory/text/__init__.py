"""Keyword and regex signals over one conversation: what can be true together, and a proof."""

from __future__ import annotations

from routec.compiler.theory.text.matcher import matches
from routec.compiler.theory.text.signals import (
    Answer,
    Budget,
    Impossible,
    Possible,
    TextSignal,
    Undecided,
)
from routec.compiler.theory.text.theory import TextTheory

__all__ = [
    "Answer",
    "Budget",
    "Impossible",
    "Possible",
    "TextSignal",
    "TextTheory",
    "Undecided",
    "matches",
]
