"""What a worker process and the fleet that keeps it alive say to each other, through a pipe."""

from __future__ import annotations

import os
from typing import Final, Literal

import msgspec

LASTING: Final = os.EX_CONFIG
"""Exit status of a worker that would end in the same way again."""

Order = Literal["stop", "abort"]
"""What a worker is told: finish what is in flight and end, or leave at once; ASCII."""


class News(msgspec.Struct, frozen=True):
    """What a worker tells, as MessagePack.

    Attributes:
        url: address of its metrics, if it serves any.
        ready: whether it decides.
    """

    url: str | None
    ready: bool
