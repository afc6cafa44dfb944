"""Whether the worker is ready, as named conditions that must all hold."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import msgspec

POLICY = "policy"
"""A policy is loaded."""
GROUP = "group"
"""The worker is a member of its consumer group."""


class Health:
    """Conditions of readiness; set by the worker, read by the HTTP thread.

    Args:
        conditions: their names; all begin as not holding.
    """

    def __init__(self, conditions: Iterable[str] = (POLICY, GROUP)) -> None:
        self._lock = threading.Lock()
        self._conditions = dict.fromkeys(conditions, False)

    def set(self, condition: str, holds: bool) -> None:
        """Say whether a condition holds.

        Raises:
            KeyError: there is no such condition.
        """
        with self._lock:
            if condition not in self._conditions:
                raise KeyError(condition)
            self._conditions[condition] = holds

    @property
    def ready(self) -> bool:
        """All conditions hold."""
        with self._lock:
            return all(self._conditions.values())

    def report(self) -> bytes:
        """JSON such as ``{"status":"waiting","conditions":{"policy":true,"group":false}}``."""
        with self._lock:
            conditions = dict(self._conditions)
        status = "ready" if all(conditions.values()) else "waiting"
        return msgspec.json.encode({"status": status, "conditions": conditions})
