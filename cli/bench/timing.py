"""Taking times so that two sides of a comparison can be held against each other."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Clock = Callable[[], float]


def alternate(
    sides: Sequence[Callable[[], object]],
    rounds: int,
    clock: Clock = time.process_time,
    prepare: Callable[[], object] | None = None,
) -> list[float]:
    """The least time that each side takes, in seconds.

    The sides take turns, so that whatever slows the machine for a while slows all of them; each
    runs once beforehand to warm up, and the collector of cycles rests meanwhile.

    Args:
        sides: what to run.
        rounds: how often.
        clock: seconds; processor time unless given.
        prepare: run before every round, and not timed.
    """
    before = prepare or (lambda: None)
    before()
    for side in sides:
        side()
    least = [float("inf")] * len(sides)
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            before()
            for at, side in enumerate(sides):
                begin = clock()
                side()
                least[at] = min(least[at], clock() - begin)
    finally:
        if enabled:
            gc.enable()
    return least


def in_child(
    what: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> Any:
    """Run a measurement of `routec.cli.bench.child` in a process of its own.

    Args:
        what: its name there.
        arguments: its arguments.
        environment: variables to set.
        seconds: that it may take; then it is killed.

    Raises:
        RuntimeError: it fails, or takes longer.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, and a module of ours
            [sys.executable, "-m", "routec.cli.bench.child", what, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"measuring `{what}` took more than {seconds:g} s") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        raise RuntimeError(f"measuring `{what}` in a process of its own failed: {last[0]}")
    return json.loads(done.stdout)


def peak_mib() -> float:
    """Peak resident memory of this process so far, MiB.

    It is the kernel's high-water mark of the program that runs now: that of `getrusage` is at
    least what the parent had when it started this process.
    """
    for entry in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if entry.startswith("VmHWM:"):
            return int(entry.split()[1]) / 1024
    raise OSError("this system does not tell a process's peak memory")
