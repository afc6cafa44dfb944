"""How commands that read and write topics run, and end when they are told to."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from routec.cli import exits
from routec.cli.errors import CommandError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_client(work: Coroutine[Any, Any, int], *, quiet: bool = False) -> int:
    """Run a command's work; the status it ends with.

    Args:
        work: the work.
        quiet: whether a terminal is told nothing while brokers do not answer.

    Raises:
        CommandError: the stream failed.
    """
    from routec.runtime.stream.errors import StreamError

    silence_clients()
    try:
        with patient(quiet=quiet):
            return asyncio.run(work)
    except StreamError as error:
        raise CommandError(error.message, error.help) from error
    except asyncio.CancelledError:  # told to stop at once
        return exits.INTERRUPTED
    finally:
        work.close()  # interrupted before it began, it would be reported as never awaited


@contextmanager
def patient(*, quiet: bool) -> Iterator[None]:
    """Have what is run meanwhile wait for brokers no longer than a person would.

    Args:
        quiet: whether a terminal is told nothing while it waits.
    """
    from routec.cli.waiting import LONGEST, Waiting
    from routec.runtime.stream.patience import PATIENCE, Patience

    token = PATIENCE.set(Patience(LONGEST, Waiting(quiet=quiet)))
    try:
        yield
    finally:
        PATIENCE.reset(token)


def silence_clients() -> None:
    """Failures end a command in words; the clients' log of them is for workers."""
    for name in ("routec", "aiokafka"):
        logging.getLogger(name).addHandler(logging.NullHandler())


@contextmanager
def until_signalled(stop: asyncio.Event) -> Iterator[None]:
    """The first signal sets the event, the second one cancels this task."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not for it
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def signalled() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    for one in _SIGNALS:
        loop.add_signal_handler(one, signalled)
    try:
        yield
    finally:
        for one in _SIGNALS:
            loop.remove_signal_handler(one)
