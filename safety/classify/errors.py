"""What can go wrong with a classifier, as data."""

from __future__ import annotations


class ClassifierError(Exception):
    """A classifier cannot be loaded, or did not answer.

    Attributes:
        code: what went wrong, a stable word such as ``unknown-label`` or ``timeout``.
        message: one sentence for a person, without a trailing full stop.
        help: what to do about it.
    """

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(code, message, help)
        self.code = code
        self.message = message
        self.help = help

    def __str__(self) -> str:
        return f"{self.message} ({self.help})"
