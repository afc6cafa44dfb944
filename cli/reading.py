"""From the paths of a command line to checked policies."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from routec.cli.errors import CommandError, RefusedPolicy, unreadable
from routec.compiler.check import Checked, check_bytes
from routec.compiler.policy import Policy
from routec.dsl.diagnostic import Severity
from routec.dsl.parser import MAX_SIZE
from routec.dsl.source import Source

if TYPE_CHECKING:
    from routec.compiler.plan import Profile

STDIN = "-"
STDIN_NAME = "<stdin>"
SUFFIX = ".route"


def read_once(given: Mapping[str, str | None]) -> None:
    """Refuse standard input under two names: whoever reads it second would find nothing.

    Args:
        given: the files of a command line, by the arguments that name them.

    Raises:
        CommandError: more than one of them is ``-``.
    """
    names = [f"`{name}`" for name, file in given.items() if file == STDIN]
    if len(names) > 1:
        raise CommandError(
            f"standard input can be read once only, and {' and '.join(names)} are both `{STDIN}`",
            "name a file for one of them",
        )


def add_stdin_filename(parser: argparse.ArgumentParser) -> None:
    """Add ``--stdin-filename``."""
    parser.add_argument(
        "--stdin-filename",
        default="<stdin>",
        metavar="PATH",
        help="what to call the standard input (`-`); its imports resolve beside this path",
    )


def policy_files(paths: Sequence[str]) -> Iterator[str]:
    """The files that a command line names, each once; of a folder all ``*.route`` files below.

    Raises:
        CommandError: a folder holds none, or cannot be read.
    """
    seen: set[str] = set()
    for path in paths:
        found = [path]
        if path != STDIN and Path(path).is_dir():
            found = _below(path)
        for file in found:
            if file not in seen:
                seen.add(file)
                yield file


def check_file(file: str, stdin_name: str = "<stdin>") -> Checked:
    """Check one policy file, or standard input for ``-``: its names and types.

    Raises:
        CommandError: it cannot be read.
    """
    name, data = read_policy(file, stdin_name)
    return check_text(name, data)


def read_policy(file: str, stdin_name: str = "<stdin>") -> tuple[str, bytes]:
    """What a policy file is called, and its bytes; of standard input for ``-``.

    Raises:
        CommandError: it cannot be read.
    """
    name = stdin_name if file == STDIN else file
    try:
        # One byte more than a policy may have: the parser then says that it is too large.
        if file == STDIN:
            return name, sys.stdin.buffer.read(MAX_SIZE + 1)
        with open(file, "rb") as handle:
            return name, handle.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error


def check_text(name: str, data: bytes) -> Checked:
    """Check a policy that is already read: its names and types.

    Raises:
        CommandError: its name is none that imports can be looked for beside.
    """
    try:
        return check_bytes(name, data)
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error


def _below(folder: str) -> list[str]:
    def fail(error: OSError) -> None:
        raise unreadable(folder, error) from error

    found: list[str] = []
    for path, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [str(Path(path) / name) for name in sorted(files) if name.endswith(SUFFIX)]
    if not found:
        raise CommandError(
            f"there is no `*{SUFFIX}` file in `{folder}`", "name a policy, or another folder"
        )
    return found


def runnable_policy(file: str, stdin_filename: str) -> tuple[Policy, dict[str, Source]]:
    """A policy that decides something, and the files it was read from by name.

    Raises:
        RefusedPolicy: it has errors.
        CommandError: it cannot be read, or declares no route.
    """
    checked = check_file(file, stdin_filename)
    if checked.policy is None:
        errors = tuple(f for f in checked.findings if f.severity is Severity.ERROR)
        raise RefusedPolicy(errors, checked.sources)
    if not checked.policy.routes:
        raise CommandError(
            f"`{file}` declares no route, so there is nothing to decide",
            "name the policy that imports it",
        )
    return checked.policy, checked.sources


def read_profile(file: str) -> Profile:
    """Read a profile of traffic.

    Raises:
        CommandError: it cannot be read, or is none.
    """
    from routec.compiler.plan import ProfileError, load_profile
    from routec.compiler.plan.profile import MAX_BYTES

    try:
        with open(file, "rb") as handle:
            return load_profile(handle.read(MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        raise unreadable(file, error) from error
    except ProfileError as error:
        raise CommandError(f"cannot use `{file}`: {error.message}", error.help) from error
