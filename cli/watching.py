"""Checking again whenever a file changes."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from routec.cli import exits
from routec.cli.checking import One
from routec.cli.errors import CommandError, complain
from routec.cli.reading import policy_files
from routec.cli.render.styled import line, write
from routec.dsl import ast

INTERVAL = 0.3
"""Seconds between two looks."""

State = dict[str, tuple[int, int, int] | None]
"""Of each file when it was last written, its size and which file it is; ``None`` where none."""


def state_of(files: Iterable[str]) -> State:
    """How files are now."""
    state: State = {}
    for file in files:
        try:
            found = os.stat(file)
        except (OSError, ValueError):
            state[file] = None
        else:
            state[file] = (found.st_mtime_ns, found.st_size, found.st_ino)
    return state


def wait_for_change(
    files: Callable[[], Iterable[str]],
    before: State,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once a file is written, appears or goes.

    Args:
        files: names the files; asked at every look, so that new ones are noticed.
        before: how they were when they were read.
        sleep: waits so many seconds.
    """
    while state_of(files()) == before:
        sleep(INTERVAL)


def lists_of(modules: Iterable[ast.Module]) -> Iterator[str]:
    """The files that parsed policies name by ``import`` and ``file("…")``, found or not."""
    waiting: list[Any] = list(modules)
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting += node
        elif isinstance(node, ast.Import | ast.File):
            yield str(Path(node.span.file).parent / node.path.value)
        elif hasattr(node, "__dataclass_fields__"):
            waiting += (getattr(node, name) for name in node.__dataclass_fields__)


def watch(options: argparse.Namespace, once: Callable[[argparse.Namespace, list[One]], int]) -> int:
    """Check now and again after every change, until interrupted.

    Args:
        options: of the command line.
        once: checks and prints; leaves what it checked in its second argument.
    """
    known: set[str] = set()
    while True:
        before = state_of(_named(options.paths) | known)
        checks: list[One] = []
        try:
            once(options, checks)
        except CommandError as error:  # as between the two halves of an editor's saving
            complain(f"error: {error.message}", error.help)
        sys.stdout.flush()
        for one in checks:
            known.update(one.checked.sources, lists_of(one.checked.modules))
        for file, state in state_of(known).items():
            before.setdefault(file, state)
        write([line("watching for changes; stop with Ctrl-C", "frame")], sys.stderr)
        try:
            wait_for_change(lambda: _named(options.paths) | known, before)
        except KeyboardInterrupt:
            return exits.FINE
        write([line()], sys.stderr)


def _named(paths: Sequence[str]) -> set[str]:
    """The policies that a command line names now; those of a folder may change."""
    found: set[str] = set(paths)
    for path in paths:
        with suppress(CommandError):
            found |= set(policy_files([path]))
    return found
