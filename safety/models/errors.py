"""What can go wrong with model files, as data."""

from __future__ import annotations


class ModelError(Exception):
    """A model cannot be obtained, verified or loaded.

    Attributes:
        code: what went wrong, a stable word such as ``not-installed`` or ``wrong-digest``.
        message: one sentence for a person, without a trailing full stop.
        help: what to do about it, usually a command.
    """

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(code, message, help)
        self.code = code
        self.message = message
        self.help = help

    def __str__(self) -> str:
        return f"{self.message} ({self.help})"
