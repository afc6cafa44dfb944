"""Keeping a number of worker processes alive until told to stop."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

import msgspec

from routec.cli import exits
from routec.cli.errors import CommandError
from routec.cli.link import LASTING, News, Order
from routec.cli.restarts import DEFAULT, Backoff, Restarts
from routec.runtime.observe import FleetHealth, WorkerState

log = logging.getLogger(__name__)

Start = Callable[[int], tuple[BaseProcess, Connection]]
"""Starts a worker by its number: its process, and this end of a pipe to it."""


@dataclass(slots=True, eq=False)
class _Place:
    """One of the workers, whichever process it is at the moment."""

    restarts: Restarts
    state: WorkerState
    process: BaseProcess | None = None
    pipe: Connection | None = None
    due: float | None = None


class Supervisor:
    """Starts workers, and starts each that ends again, until a signal stops all of them.

    Args:
        start: starts a worker; may raise `OSError`.
        count: how many, from 1.
        health: is told how each is.
        drain: seconds that all of them together have to finish what is in flight.
        backoff: how often one is started again.
    """

    def __init__(
        self,
        start: Start,
        count: int,
        health: FleetHealth,
        drain: float,
        backoff: Backoff = DEFAULT,
    ) -> None:
        self._start = start
        self._health = health
        self._drain = drain
        self._backoff = backoff
        self._places = [_Place(Restarts(backoff), WorkerState(n), due=0.0) for n in range(count)]
        self._signals: list[int] = []
        self._worked = False
        self._deadline: float | None = None
        self._error: CommandError | None = None
        self._statuses: set[int] = set()

    def run(self) -> int:
        """Work until a signal comes; the exit status.

        Raises:
            CommandError: a worker cannot be kept alive; the others were stopped in order.
        """
        with self._listening() as woken:
            try:
                while self._deadline is None or any(one.process for one in self._places):
                    self._step(woken)
            finally:
                for one in self._places:
                    self._kill(one)
        if self._error is not None:
            raise self._error
        return max(self._statuses, default=exits.FINE)

    def _step(self, woken: int) -> None:
        """Wait until something happens, and see to it."""
        now = time.monotonic()
        for one in self._places:
            if one.due is not None and one.due <= now:
                self._begin(one)
        happened = wait(self._watched(woken), self._patience())
        if woken in happened:
            os.read(woken, 512)
        for one in self._places:
            if one.pipe is not None and one.pipe in happened:
                self._hear(one)
            if one.process is not None and one.process.sentinel in happened:
                self._ended(one)
        while self._signals:
            number = self._signals.pop(0)
            self._stop("stop" if self._deadline is None else "abort", signal.Signals(number).name)
        if self._deadline is not None and time.monotonic() >= self._deadline:
            late = [one for one in self._places if one.process is not None]
            for one in late:
                log.error("a worker does not end and is killed", extra={"worker": _number(one)})
                self._kill(one)
                self._statuses.add(exits.UNABLE)

    def _watched(self, woken: int) -> list[Connection | int]:
        found: list[Connection | int] = [woken]
        for one in self._places:
            if one.process is not None:
                found.append(one.process.sentinel)
            if one.pipe is not None:
                found.append(one.pipe)
        return found

    def _patience(self) -> float | None:
        """Seconds until something is due; ``None`` for ever."""
        times = [one.due for one in self._places if one.due is not None]
        if self._deadline is not None:
            times.append(self._deadline)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _begin(self, one: _Place) -> None:
        one.due = None
        try:
            # Ctrl-C reaches a child before it has left our process group: it waits for its turn.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
            try:
                one.process, one.pipe = self._start(_number(one))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self._again(one, f"it cannot be started: {reason}", "unstarted")
            return
        self._set(one, state="starting", pid=one.process.pid, url=None)

    def _hear(self, one: _Place) -> None:
        """Take what a worker tells."""
        assert one.pipe is not None
        try:
            news = msgspec.msgpack.decode(one.pipe.recv_bytes(), type=News)
        except (EOFError, OSError):
            one.pipe.close()
            one.pipe = None
            return
        self._worked |= news.ready
        self._set(one, state="ready" if news.ready else "joining", url=news.url)

    def _ended(self, one: _Place) -> None:
        assert one.process is not None
        while one.pipe is not None and one.pipe.poll():
            self._hear(one)  # it may have been at work since it was last heard of
        one.process.join()
        status = one.process.exitcode or 0
        self._leave(one)
        if self._deadline is not None:
            self._set(one, state="ended", pid=None, url=None)
            # One that is told to end before it listens may end at once.
            fine = status in (exits.FINE, -signal.SIGTERM)
            self._statuses.add(exits.FINE if fine else _plain(status))
            return
        if status == LASTING or (status == exits.UNABLE and not self._worked):
            self._set(one, state="ended", pid=None, url=None, last=_how(status))
            self._fail(f"worker {_number(one)} cannot work", "see its error above")
            return
        self._again(one, _how(status), "signal" if status < 0 else "status")

    def _again(self, one: _Place, how: str, reason: str) -> None:
        """Have a worker that ended started again, unless that was done too often."""
        number, now = _number(one), time.monotonic()
        delay = one.restarts.next(now)
        if delay is None:
            self._set(one, state="ended", pid=None, url=None, last=how)
            times, minutes = self._backoff.budget + 1, self._backoff.window / 60
            self._fail(
                f"worker {number} ended {times} times within {minutes:g} minutes, last with {how}",
                "see the log for why; a restart of the whole does not mend what ends a worker",
            )
            return
        one.due = now + delay
        self._set(
            one,
            state="restarting",
            pid=None,
            url=None,
            last=how,
            restarts=one.state.restarts + 1,
        )
        self._health.restarted(number, reason)
        log.error(
            "a worker ended; it is started again",
            extra={"worker": number, "ended": how, "seconds": delay},
        )

    def _fail(self, message: str, help: str) -> None:
        if self._error is None:
            self._error = CommandError(message, help)
        if self._deadline is None:
            self._stop("stop", message)

    def _stop(self, order: Order, why: str) -> None:
        """Have all workers end, within one deadline."""
        log.info("stopping all workers", extra={"order": order, "why": why})
        if self._deadline is None:
            self._deadline = time.monotonic() + self._drain
        for one in self._places:
            one.due = None
            if one.process is not None:
                self._order(one, one.process, order)
            elif one.state.state != "ended":
                self._set(one, state="ended")

    def _order(self, one: _Place, process: BaseProcess, order: Order) -> None:
        # One that does not listen yet has nothing to finish. To the others a signal is not sent:
        # whoever signals all processes of a service would have told them twice, which is to abort.
        if one.state.state == "starting" or one.pipe is None:
            process.terminate()
            return
        try:
            one.pipe.send_bytes(order.encode())
        except OSError:
            process.terminate()

    def _kill(self, one: _Place) -> None:
        if one.process is not None:
            one.process.kill()
            one.process.join()
            self._leave(one)
            self._set(one, state="ended", pid=None, url=None)

    def _leave(self, one: _Place) -> None:
        if one.pipe is not None:
            one.pipe.close()
        if one.process is not None:
            one.process.close()
        one.process = one.pipe = None

    def _set(self, one: _Place, **changes: object) -> None:
        one.state = msgspec.structs.replace(one.state, **changes)
        self._health.set(one.state)

    @contextmanager
    def _listening(self) -> Iterator[int]:
        """Take signals; gives what is readable when one has come."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)

        def on_signal(number: int, frame: FrameType | None) -> None:
            self._signals.append(number)
            with suppress(BlockingIOError):  # enough of them wait
                os.write(wake, b"\0")

        before = {one: signal.signal(one, on_signal) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield woken
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
            os.close(woken)
            os.close(wake)


def _number(one: _Place) -> int:
    return one.state.worker


def _plain(status: int) -> int:
    """A worker's exit status as one of the command."""
    return status if status == exits.INTERRUPTED else exits.UNABLE


def _how(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"status {status}"
    try:
        return f"signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"signal {-status}"
