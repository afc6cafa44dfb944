"""Worker processes that do as they are told, for the tests of the fleet."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import msgspec

from routec.cli.link import News


def child(how: str, pipe: Connection) -> None:
    """Be a worker.

    Args:
        how: ``work`` until told to end, ``stubborn`` never ends, or first ``ready`` and then end:
            ``killed``, or with a status (``3``, ``ready 2``).
        pipe: to the fleet.
    """
    os.setpgid(0, 0)
    if how.startswith("ready") or how in ("work", "stubborn"):
        pipe.send_bytes(msgspec.msgpack.encode(News("http://127.0.0.1:1/metrics", False)))
        pipe.send_bytes(msgspec.msgpack.encode(News("http://127.0.0.1:1/metrics", True)))
    how = how.removeprefix("ready ")
    if how in ("work", "stubborn"):
        _wait(pipe, how == "stubborn")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(int(how))


def _wait(pipe: Connection, stubborn: bool) -> None:
    while True:
        try:
            order = pipe.recv_bytes()
        except EOFError:
            sys.exit(0)
        if order == b"abort":
            sys.exit(130)
        if not stubborn:
            sys.exit(0)


class Children:
    """Starts workers by a script.

    Args:
        scripts: for each worker what its processes do, one after the other; the last one for ever.

    Attributes:
        started: how often each was started.
        pids: of the processes of each.
    """

    def __init__(self, *scripts: list[str]) -> None:
        self._scripts = scripts
        self._context = multiprocessing.get_context("spawn")
        self.started = [0] * len(scripts)
        self.pids: list[list[int]] = [[] for _ in scripts]

    def __call__(self, number: int) -> tuple[BaseProcess, Connection]:
        script = self._scripts[number]
        how = script[min(self.started[number], len(script) - 1)]
        self.started[number] += 1
        if how == "unstartable":
            raise BlockingIOError(11, "Resource temporarily unavailable")
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=child, args=(how, theirs))
        process.start()
        theirs.close()
        assert process.pid is not None
        self.pids[number].append(process.pid)
        return process, ours
