"""What the cache refuses, as data."""

from __future__ import annotations

__all__ = ["CacheError"]


class CacheError(ValueError):
    """An argument the cache cannot work with; nothing was stored or changed.

    Attributes:
        code: Stable kebab-case name of the reason.
        message: What is wrong, lower case, user text in backticks.
        help: What to do about it.
    """

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(f"{message}; {help}")
        self.code = code
        self.message = message
        self.help = help
