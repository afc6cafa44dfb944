"""Several worker processes of one consumer group, started and stopped together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType

import msgspec

from routec.cli import exits
from routec.cli.errors import CommandError
from routec.compiler import program as g
from routec.runtime.config import Config

_GRACE = 5.0
"""Seconds that processes get beyond the drain before they are ended."""


def run_fleet(program: g.Program, config: Config, count: int) -> int:
    """Run workers until a signal stops them; the worst of their exit statuses.

    Where one ends by itself the others are stopped too: whoever supervises this
    process then starts all of them again.

    Args:
        program: what they decide by.
        config: where they run; each gets a metrics port and an instance id of its own.
        count: how many, from 2.
    """
    context = multiprocessing.get_context("spawn")
    data = g.dump(program)
    workers: list[BaseProcess] = [
        context.Process(
            target=_work, args=(data, _own(config, number)), name=f"routec-worker-{number}"
        )
        for number in range(count)
    ]

    told = False

    def forward(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True
        for worker in workers:
            if worker.is_alive() and worker.pid is not None:
                os.kill(worker.pid, number)

    before = {one: signal.signal(one, forward) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        for worker in workers:
            worker.start()
        print(f"{count} workers: {', '.join(str(w.pid) for w in workers)}", file=sys.stderr)
        wait([worker.sentinel for worker in workers])
        if not told:
            for worker in workers:
                worker.terminate()
        deadline = time.monotonic() + config.runtime.drain_timeout + _GRACE
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
    finally:
        for worker in workers:
            if worker.pid is not None and worker.is_alive():
                worker.kill()
        for one, handler in before.items():
            signal.signal(one, handler)
    codes = [worker.exitcode or 0 for worker in workers]
    return max(exits.UNABLE if code < 0 else code for code in codes)


def _own(config: Config, number: int) -> Config:
    """The configuration of one of the workers."""
    logs, kafka = config.observability, config.kafka
    if logs.port:
        logs = msgspec.structs.replace(logs, port=logs.port + number)
    if kafka.instance_id is not None:
        kafka = msgspec.structs.replace(kafka, instance_id=f"{kafka.instance_id}-{number}")
    return msgspec.structs.replace(config, observability=logs, kafka=kafka)


def _work(data: bytes, config: Config) -> None:
    """Body of a worker process."""
    # A group of its own: Ctrl-C at the terminal then reaches it once, through the parent.
    os.setpgid(0, 0)
    from routec.cli.worker import run_worker

    try:
        status = run_worker(g.load(data), config)
    except CommandError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.help is not None:
            print(f"  = help: {error.help}", file=sys.stderr)
        status = exits.UNABLE
    except KeyboardInterrupt:
        status = exits.INTERRUPTED
    sys.exit(status)
