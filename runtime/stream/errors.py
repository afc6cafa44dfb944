"""Why a worker cannot go on."""

from __future__ import annotations


class StreamError(Exception):
    """The worker stopped; nothing unacknowledged was committed.

    Attributes:
        code: stable machine-readable reason, such as ``missing-topic``.
        message: one sentence for a person.
        help: how to put it right.
    """

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help
