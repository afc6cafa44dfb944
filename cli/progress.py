"""How far a long check is, on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock, Timer
from typing import TYPE_CHECKING, TextIO

from routec.cli.text import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

PATIENCE = 0.5
"""Seconds before anything is shown."""


@contextmanager
def passing(topic: str, doing: str) -> Iterator[Callable[[int, int], None]]:
    """A bar, on a terminal, of the offsets of a topic that are passed, from the first on.

    Args:
        topic: the topic.
        doing: what is done with it.
    """
    with ExitStack() as stack:
        shown: list[Progress] = []

        def told(done: int, total: int) -> None:
            # Not before: what is said while brokers are waited for would be drawn into the bar.
            if not shown:
                shown.append(stack.enter_context(Progress()))
                shown[0].file(topic)
            shown[0](doing, done, max(1, total))

        yield told


class Progress:
    """A bar that appears once a check takes long, and leaves nothing behind.

    Use it as a context manager. Where the stream is no terminal it does nothing.

    Args:
        stream: where to show it; standard error by default.
        patience: seconds before it appears.
    """

    def __init__(self, stream: TextIO | None = None, patience: float = PATIENCE) -> None:
        self._stream = stream or sys.stderr
        self._patience = patience
        self._file = ""
        self._state = ("", 0, 1)
        self._lock = Lock()
        self._timer: Timer | None = None
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        """Begin to wait."""
        if self._stream.isatty() and os.environ.get("TERM") != "dumb":
            self._timer = Timer(self._patience, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._timer = None
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def file(self, name: str) -> None:
        """The policy that is being checked now."""
        self._file = visible(name)

    def __call__(self, rule: str, done: int, total: int) -> None:
        """The analysis of a rule begins, after `done` of `total`."""
        self._state = (rule, done, total)
        with self._lock:
            self._update()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._timer is None:
                return
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TimeElapsedColumn(),
                console=Console(file=self._stream),
                transient=True,
            )
            self._task = self._bar.add_task("", total=None)
            self._update()
            self._bar.start()

    def _update(self) -> None:
        if self._bar is None or self._task is None:
            return
        rule, done, total = self._state
        self._bar.update(
            self._task, description=f"{self._file} {rule}", completed=done, total=total
        )
