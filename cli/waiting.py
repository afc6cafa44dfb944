"""That a command waits for a cluster, on a terminal, and for how long."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Timer
from typing import Final, TextIO

from routec.cli.progress import PATIENCE
from routec.cli.text import visible

LONGEST: Final = 10.0
"""Seconds that a command which a person waits for tries to reach its cluster."""


class Waiting:
    """Says once that brokers are waited for, where that takes longer than a moment.

    Args:
        stream: where to say it; standard error by default. Where it is no terminal nothing is said.
        patience: seconds before it is said.
        quiet: whether to say nothing anyway.
    """

    def __init__(
        self, stream: TextIO | None = None, patience: float = PATIENCE, *, quiet: bool = False
    ) -> None:
        self._stream = stream or sys.stderr
        self._patience = patience
        self._lock = Lock()
        self._silent = quiet or not self._stream.isatty()

    @contextmanager
    def __call__(self, brokers: str) -> Iterator[None]:
        """While brokers, ``HOST:PORT`` separated by commas, are waited for."""
        timer = Timer(self._patience, self._say, (brokers,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _say(self, brokers: str) -> None:
        with self._lock:
            if self._silent:
                return
            self._silent = True
            with suppress(OSError, ValueError):  # nobody looks any more
                print(visible(f"waiting for `{brokers}`"), file=self._stream, flush=True)
