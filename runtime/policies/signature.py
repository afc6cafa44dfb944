"""Signatures over records of the control topic and over program files (Ed25519, RFC 8032).

A record's signature covers the topic, the key, the value (or that there is none) and every other
header that begins with ``routec.``, among them a sequence number that rises with every record of a
policy. A file's covers its bytes. What is signed begins with what it is, so that neither passes for
the other.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routec.runtime.config import Secret
from routec.runtime.keys import key_id, read_private, read_public, strict_base64, write_public
from routec.runtime.records import Headers, Record

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SIGNATURE = "routec.signature"
"""Header: ``ed25519:``, the id of the key, ``:``, and the signature in base64."""
SEQUENCE = "routec.sequence"
"""Header: a number that rises with every record of a policy, decimal digits."""
MOST_SEQUENCE = 2**63 - 1
"""The greatest sequence number."""
MOST_HEADERS = 16
"""Most headers of a signed record that begin with ``routec.``."""
MOST_HEADER_BYTES = 4096
"""Most bytes that their names and values have together."""
MOST_SIGNATURE_BYTES = 128
"""Most bytes of a signature as text."""
_OURS = "routec."
_RECORD = b"routec control record, version 1\n"
_FILE = b"routec program file, version 1\n"
_SCHEME = "ed25519"
_SIZE = 64


class SignatureError(Exception):
    """Something is not signed as it must be.

    Attributes:
        code: stable reason: ``unsigned-policy``, ``malformed-signature``, ``unknown-key``,
            ``wrong-signature`` or ``replayed-policy``.
        message: one sentence for a person.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Signed:
    """What a valid signature says.

    Attributes:
        key: id of the key that signed.
        sequence: the record's sequence number, from 0 to `MOST_SEQUENCE`.
    """

    key: str
    sequence: int


class Signer:
    """Signs with one private key, which it never shows.

    Args:
        private: the private key, as text.

    Attributes:
        public: its public half, as text.
        key: its id.

    Raises:
        KeyTextError: the text is no private key.
    """

    __slots__ = ("_private", "key", "public")

    def __init__(self, private: Secret) -> None:
        seed = read_private(private.value)
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._private: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._private.public_key().public_bytes_raw()
        self.public = write_public(raw)
        self.key = key_id(raw)

    def sign_record(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers, sequence: int
    ) -> Headers:
        """The headers with which a record is to be written: those given, and two more.

        Args:
            topic: the control topic.
            key: the record's key.
            value: its value; ``None`` for a tombstone.
            headers: its other headers.
            sequence: from 0 to `MOST_SEQUENCE`, above that of any record of the policy before.
        """
        headers = (*headers, (SEQUENCE, str(sequence).encode()))
        signed = self._sign(_record_message(topic, key, value, headers))
        return (*headers, (SIGNATURE, signed))

    def sign_file(self, data: bytes) -> bytes:
        """The signature of a program file, as text."""
        return self._sign(_FILE + data)

    def _sign(self, message: bytes) -> bytes:
        text = base64.b64encode(self._private.sign(message)).decode("ascii")
        return f"{_SCHEME}:{self.key}:{text}".encode("ascii")


class Verifier:
    """Knows whose signatures count.

    Args:
        keys: public keys, as text.

    Raises:
        KeyTextError: one is no public key.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[str]) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        raws = [read_public(one) for one in keys]
        self._keys: Mapping[str, Ed25519PublicKey] = {
            key_id(raw): Ed25519PublicKey.from_public_bytes(raw) for raw in raws
        }

    def verify_record(self, record: Record) -> Signed:
        """Who signed a record of the control topic, and its sequence number.

        Raises:
            SignatureError: nobody whose signature counts.
        """
        ours = [(name, value) for name, value in record.headers if name.startswith(_OURS)]
        found = dict(ours)
        if SIGNATURE not in found:
            raise SignatureError(
                "unsigned-policy", "the record is not signed, and `policies.keys` demands it"
            )
        size = sum(len(name) + len(value) for name, value in ours)
        if len(ours) > MOST_HEADERS or size > MOST_HEADER_BYTES:
            raise _malformed("its headers are too many or too large")
        if len(found) != len(ours):
            raise _malformed("a header is there twice")
        signature = found.pop(SIGNATURE)
        number = _number(found.get(SEQUENCE, b""))
        if number is None:
            raise _malformed(f"the header `{SEQUENCE}` must be a number")
        if number > MOST_SEQUENCE:
            raise _malformed(f"the header `{SEQUENCE}` must be below 2^63")
        message = _record_message(record.topic, record.key or b"", record.value, found.items())
        by = self._verify(
            signature,
            message,
            "the record was changed, or signed for another policy, role or topic",
        )
        return Signed(by, number)

    def verify_file(self, data: bytes, signature: bytes) -> str:
        """The id of the key that signed a program file.

        Args:
            data: the bytes of the file.
            signature: its signature, as text; white space around it is no part of it.

        Raises:
            SignatureError: it is of nobody whose signature counts, or of another file.
        """
        return self._verify(signature.strip(), _FILE + data, "the file was changed after signing")

    def _verify(self, signature: bytes, message: bytes, otherwise: str) -> str:
        by, raw = _read_signature(signature)
        key = self._keys.get(by)
        if key is None:
            known = ", ".join(f"`{one}`" for one in self._keys)
            raise SignatureError(
                "unknown-key",
                f"it is signed with the key `{by}`; those of `policies.keys` are {known}",
            )
        from cryptography.exceptions import InvalidSignature

        try:
            key.verify(raw, message)
        except InvalidSignature:
            raise SignatureError(
                "wrong-signature", f"the signature with the key `{by}` does not fit: {otherwise}"
            ) from None
        return by


class Admission:
    """Lets signed records through once each, in the order in which they were signed.

    Under a key of the control topic, what was signed before the newest one let through is refused:
    whoever may write to the topic cannot bring back a policy of the past.

    Args:
        verifier: knows whose signatures count.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._newest: dict[bytes, tuple[int, bytes]] = {}

    def admit(self, record: Record) -> Signed | None:
        """Who signed a record; ``None`` if it is the newest one once more.

        Raises:
            SignatureError: nobody whose signature counts, or it is older than the newest.
        """
        signed = self._verifier.verify_record(record)
        key, signature = record.key or b"", dict(record.headers)[SIGNATURE]
        newest, of_newest = self._newest.get(key, (-1, b""))
        if signed.sequence == newest and signature == of_newest:
            return None
        if signed.sequence <= newest:
            raise SignatureError(
                "replayed-policy",
                f"the record is older than the one that was followed: "
                f"its sequence is {signed.sequence}, that of the newest {newest}",
            )
        self._newest[key] = (signed.sequence, signature)
        return signed


def open_admission(keys: Sequence[str]) -> Admission | None:
    """What lets records through; ``None`` without keys, when all of them go through.

    Args:
        keys: public keys, as text.

    Raises:
        KeyTextError: one is no public key.
    """
    return Admission(Verifier(keys)) if keys else None


def claimed_sequence(record: Record) -> int:
    """The sequence number that a record says it has, true or not; -1 for none."""
    number = _number(dict(record.headers).get(SEQUENCE, b""))
    return -1 if number is None else number


def _number(text: bytes) -> int | None:
    """The digits as they are written by `sign_record`: ASCII, and no other way to write it."""
    if not text.isdigit() or len(text) > 19 or str(int(text)).encode() != text:
        return None
    return int(text)


def _read_signature(text: bytes) -> tuple[str, bytes]:
    """The key's id and the 64 bytes."""
    if len(text) > MOST_SIGNATURE_BYTES:
        raise _malformed(f"it has more than {MOST_SIGNATURE_BYTES} bytes")
    scheme, _, rest = text.decode("ascii", "replace").partition(":")
    by, _, encoded = rest.partition(":")
    if scheme != _SCHEME or len(by) != 16 or not set(by) <= set("0123456789abcdef"):
        raise _malformed(f"it must be `{_SCHEME}:`, the id of a key, `:` and base64")
    raw = strict_base64(encoded, _SIZE)
    if raw is None:
        raise _malformed(f"it must end with {_SIZE} bytes in base64")
    return by, raw


def _malformed(reason: str) -> SignatureError:
    return SignatureError("malformed-signature", f"the signature cannot be read: {reason}")


def _record_message(
    topic: str, key: bytes, value: bytes | None, headers: Iterable[tuple[str, bytes]]
) -> bytes:
    """What is signed of a record: each part says whether it is there and how long it is."""
    parts: list[bytes | None] = [topic.encode(), key, value]
    for name, content in sorted(headers):
        if name.startswith(_OURS):
            parts += [name.encode("utf-8", "surrogatepass"), content]
    return _RECORD + b"".join(
        b"\0" if part is None else b"\1" + len(part).to_bytes(8, "big") + part for part in parts
    )
