"""Whether the worker is ready, as named conditions that must all hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import msgspec

POLICY = "policy"
"""A policy is loaded."""
MODELS = "models"
"""The models that its signals need are loaded and have run once."""
GROUP = "group"
"""The worker is a member of its consumer group, its lanes are open, and Kafka takes its records."""
BROKERS = "brokers"
"""A broker answers."""


class Health:
    """Conditions of readiness; set by the worker, read by the HTTP thread.

    Args:
        conditions: their names; all begin as not holding.
    """

    def __init__(self, conditions: Iterable[str] = (POLICY, GROUP)) -> None:
        self._lock = threading.Lock()
        self._conditions = dict.fromkeys(conditions, False)
        self._asked: dict[str, Callable[[], bool]] = {}
        self._told: dict[str, Callable[[bool], None]] = {}

    def set(self, condition: str, holds: bool) -> None:
        """Say whether a condition holds.

        Raises:
            KeyError: there is no such condition.
        """
        with self._lock:
            if condition not in self._conditions:
                raise KeyError(condition)
            changed = self._conditions[condition] is not holds
            self._conditions[condition] = holds
            told = self._told.get(condition)
        if changed and told is not None:
            told(holds)

    def tell(self, condition: str, told: Callable[[bool], None]) -> None:
        """Have somebody told of each change of a condition.

        Args:
            condition: its name.
            told: called in the thread that sets it, with whether it holds; must return at once.

        Raises:
            KeyError: there is no such condition.
        """
        with self._lock:
            if condition not in self._conditions:
                raise KeyError(condition)
            self._told[condition] = told

    def ask(self, condition: str, holds: Callable[[], bool]) -> None:
        """Find out whether a condition holds each time that somebody wants to know.

        Args:
            condition: its name.
            holds: called in the HTTP thread; must return soon.

        Raises:
            KeyError: there is no such condition.
        """
        self.set(condition, False)
        with self._lock:
            self._asked[condition] = holds

    def conditions(self) -> dict[str, bool]:
        """Each condition, and whether it holds now."""
        with self._lock:
            found, asked = dict(self._conditions), dict(self._asked)
        return found | {condition: holds() for condition, holds in asked.items()}

    @property
    def ready(self) -> bool:
        """All conditions hold."""
        return all(self.conditions().values())

    def report(self) -> tuple[bool, bytes]:
        """Whether all hold, and the conditions as JSON.

        The JSON is such as ``{"status":"waiting","conditions":{"policy":true,"group":false}}``.
        """
        conditions = self.conditions()
        ready = all(conditions.values())
        status = "ready" if ready else "waiting"
        return ready, msgspec.json.encode({"status": status, "conditions": conditions})
