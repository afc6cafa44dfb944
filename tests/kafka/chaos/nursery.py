"""Processes forked from one that has imported everything: a worker starts in milliseconds.

The nursery reads ``{"folder", "name", "environment"}`` lines, answers ``{"name", "pid"}``, and
tells ``{"pid", "status"}`` of every worker that ends: minus the signal, or the exit status. It and
all its workers end when whoever started it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
_PR_SET_PDEATHSIG = 1
_LIFETIME = 240
"""Seconds after which a worker ends whatever happens."""


@dataclass(frozen=True, slots=True)
class Child:
    """A worker's process.

    Attributes:
        pid: its id.
        ended: minus the signal, or the exit status, when it has ended.
    """

    pid: int
    ended: asyncio.Future[int]

    def signal(self, which: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, which)


class Nursery:
    """The nursery as its client sees it; an async context manager."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._born: dict[str, asyncio.Future[Child]] = {}
        self._children: dict[int, Child] = {}
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Nursery:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.kafka.chaos.nursery",
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def spawn(self, folder: Path, name: str, environment: dict[str, str]) -> Child:
        """Start a worker.

        Args:
            folder: where its files are.
            name: what its files are called; no two in the same folder may have the same.
            environment: variables for its configuration.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        key = f"{folder}/{name}"
        born = self._born[key] = asyncio.get_running_loop().create_future()
        order = {"folder": str(folder), "name": name, "environment": environment}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await born

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "name" in told:
                loop = asyncio.get_running_loop()
                child = self._children[told["pid"]] = Child(told["pid"], loop.create_future())
                self._born.pop(told["name"]).set_result(child)
            else:
                self._children.pop(told["pid"]).ended.set_result(told["status"])


def _main() -> None:
    from tests.kafka.chaos import clocks

    clocks.put_in()  # before all that asks for the time
    from routec.runtime.policies.ahead import prepare_to_follow
    from tests.kafka.chaos.policy import KINDS, compile_policy
    from tests.kafka.chaos.victim import work

    # Each worker would do it again.
    programs = [compile_policy(kind) for kind in KINDS]
    prepare_to_follow(programs[0])
    gc.collect()
    gc.freeze()
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    text, alive = b"", True
    while alive:
        ready, _, _ = select.select([0, awake], [], [])
        if awake in ready:
            os.read(awake, 4096)
            _reap()
        if 0 in ready:
            some = os.read(0, 65536)
            alive = bool(some)
            *lines, text = (text + some).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _be_born(work, order)
                _tell({"name": f"{order['folder']}/{order['name']}", "pid": pid})


def _be_born(work: Any, order: dict[str, Any]) -> None:
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.alarm(_LIFETIME)
        folder = Path(order["folder"])
        log = os.open(folder / f"{order['name']}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        status = work(folder, order["name"], order["environment"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell({"pid": pid, "status": os.waitstatus_to_exitcode(status)})


def _tell(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    _main()
