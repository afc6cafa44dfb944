"""Keys from the environment, and programs in files with a signature beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from routec.cli.errors import CommandError, unreadable

if TYPE_CHECKING:
    from routec.compiler.program import Program
    from routec.runtime.policies.signature import Signer

VARIABLE = "ROUTEC_SIGNING_KEY"
"""Holds the private key."""
SUFFIX = ".sig"
"""Appended to the name of a program's file, names its signature's."""
MOST_BYTES = 64 * 1024 * 1024
"""Most bytes of a program's file."""


def signer_of(environ: Mapping[str, str]) -> Signer | None:
    """What signs with the private key of the environment; ``None`` without one.

    Raises:
        CommandError: what is there is no private key.
    """
    text = environ.get(VARIABLE)
    if text is None:
        return None
    from routec.runtime.config import Secret
    from routec.runtime.keys import KeyTextError
    from routec.runtime.policies.signature import Signer

    try:
        return Signer(Secret(text))
    except KeyTextError as error:
        raise CommandError(f"`{VARIABLE}` cannot be used: {error.message}", error.help) from error


def is_program(path: str) -> bool:
    """Whether a file holds a program as `routec compile` writes it, and not a policy's source."""
    try:
        if not Path(path).is_file():
            return False
        with open(path, "rb") as file:
            return file.read(1) == b"{"
    except (OSError, ValueError):
        return False


def read_program(path: str, keys: Sequence[str]) -> Program:
    """Read a program's file; where there are keys, its signature must be of one of them.

    Args:
        path: the file.
        keys: public keys, as text.

    Raises:
        CommandError: it cannot be read, is no program, or its signature is missing or wrong.
    """
    from routec.compiler.program import ProgramError, load

    data = _read(path, MOST_BYTES)
    if keys:
        _verify(path, data, keys)
    try:
        return load(data)
    except ProgramError as error:
        raise CommandError(
            f"`{path}` cannot be used: {error.message}", "compile it again"
        ) from error
    except (ValueError, RecursionError, OverflowError, ArithmeticError) as error:
        raise CommandError(
            f"`{path}` is no routec program: {type(error).__name__}", "compile it again"
        ) from error


def _verify(path: str, data: bytes, keys: Sequence[str]) -> None:
    from routec.runtime.policies.signature import (
        MOST_SIGNATURE_BYTES,
        SignatureError,
        Verifier,
    )

    again = f"compile it again with `{VARIABLE}` set: that writes `{path}{SUFFIX}`, too"
    if not Path(path + SUFFIX).is_file():
        raise CommandError(f"`{path}` is not signed, and `policies.keys` demands it", again)
    signature = _read(path + SUFFIX, 2 * MOST_SIGNATURE_BYTES)
    try:
        Verifier(keys).verify_file(data, signature)
    except SignatureError as error:
        raise CommandError(f"`{path}` is refused: {error.message}", again) from error


def _read(path: str, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if len(data) > most:
        raise CommandError(f"`{path}` has more than {most:,} bytes", "name another file")
    return data
