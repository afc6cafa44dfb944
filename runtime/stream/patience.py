"""How long a cluster is waited for by whoever looks on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long whoever looks on waits for a cluster that does not answer.

    Attributes:
        seconds: the longest wait; a shorter `kafka.connect_timeout` counts.
        waiting: given the brokers, shows that they are waited for, while it is entered.
    """

    seconds: float
    waiting: Callable[[str], AbstractContextManager[object]]


PATIENCE: ContextVar[Patience | None] = ContextVar("patience", default=None)
"""Set by commands that a person waits for; workers wait for `kafka.connect_timeout`."""
