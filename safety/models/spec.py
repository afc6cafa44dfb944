"""What the builder of a graph needs to know; free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Quantisation = Literal["fp32", "int8"]


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a BERT encoder that its weights alone do not tell."""

    layers: int
    heads: int
    epsilon: float = 1e-12
