"""What is told to whoever keeps the metrics."""

from __future__ import annotations


class Observer:
    """Hears of what the engine does; this one ignores it. Names come from the policy only."""

    __slots__ = ()

    def signal(self, name: str, source: str, requests: int, seconds: float) -> None:
        """A signal got its values.

        Args:
            name: the signal.
            source: ``computed``; further sources may come.
            requests: how many requests got one.
            seconds: what the call took that served them; a scan serves several signals.
        """

    def failure(self, name: str, reason: str, requests: int) -> None:
        """A signal took its failure value."""

    def classified(self, backend: str, texts: int) -> None:
        """A classifier answered for so many texts in one call."""

    def looked_up(self, category: str, status: str, requests: int) -> None:
        """The cache was asked for so many requests: ``hit`` or ``miss``."""

    def decided(self, outcome: str, route: str | None, requests: int) -> None:
        """So many requests of a batch were decided alike."""

    def held(self, category: str, entries: int) -> None:
        """The cache holds so many entries of a category."""

    def learnt(self, status: str) -> None:
        """A response was taken in: ``stored``, ``refused``, ``unknown`` or ``invalid``."""


SILENT = Observer()
"""The observer that ignores everything."""
