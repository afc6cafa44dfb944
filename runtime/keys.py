"""The keys that sign policies, as text: the public half for the configuration, the private one not.

Ed25519 (RFC 8032). A public key is ``ed25519:`` and 32 bytes in base64, a private one
``ed25519-private:`` and its 32-byte seed. Nothing here loads a library of cryptography.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

PUBLIC = "ed25519:"
"""Begins a public key."""
PRIVATE = "ed25519-private:"
"""Begins a private key."""
MOST_KEYS = 16
"""Most keys that a configuration may name."""
_SIZE = 32
_P = 2**255 - 19
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
# Whoever knows the encodings of points of small order can sign for them without any secret.
_SMALL = frozenset({0, 1, _P - 1, _P, _P + 1, _Y8, _P - _Y8})


class KeyTextError(ValueError):
    """A text is no key of the kind wanted; the message never holds the text.

    Attributes:
        message: one sentence for a person.
        help: how to put it right.
    """

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def read_public(text: str) -> bytes:
    """The 32 bytes of a public key.

    Raises:
        KeyTextError: it is none, or one that anybody could sign for.
    """
    if text.startswith(PRIVATE):
        raise KeyTextError(
            "this is a private key",
            "put the public one here, and change the private one: it leaked",
        )
    raw = _decoded(text, PUBLIC)
    if raw is None:
        raise KeyTextError(
            f"a public key is `{PUBLIC}` and 44 characters of base64",
            "`routec keys public` writes that of `ROUTEC_SIGNING_KEY`",
        )
    if int.from_bytes(raw, "little") & ~(1 << 255) in _SMALL:
        raise KeyTextError("anybody could sign for this key", "make one with `routec keys new`")
    return raw


def read_private(text: str) -> bytes:
    """The 32-byte seed of a private key; white space around it is no part of it.

    Raises:
        KeyTextError: it is none.
    """
    raw = _decoded(text.strip(), PRIVATE)
    if raw is None:
        what = "it holds a public key" if text.strip().startswith(PUBLIC) else "it holds none"
        raise KeyTextError(
            f"a private key is `{PRIVATE}` and 44 characters of base64; {what}",
            "set it to the private key that `routec keys new` wrote",
        )
    return raw


def write_public(raw: bytes) -> str:
    """A public key as text."""
    return PUBLIC + base64.b64encode(raw).decode("ascii")


def write_private(seed: bytes) -> str:
    """A private key as text."""
    return PRIVATE + base64.b64encode(seed).decode("ascii")


def key_id(raw: bytes) -> str:
    """What a public key is called in signatures: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(raw).hexdigest()[:16]


def strict_base64(text: str, size: int) -> bytes | None:
    """So many bytes from base64, if this is how they are written; ``None`` for all else.

    A text with set bits past its end, or with other characters in it, is refused: a value has one
    text only.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size and base64.b64encode(raw).decode("ascii") == text else None


def _decoded(text: str, prefix: str) -> bytes | None:
    return strict_base64(text.removeprefix(prefix), _SIZE) if text.startswith(prefix) else None
