"""An authority of our own and certificates that it has signed, made by `openssl`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of one party: its certificate, its key, and both with the authority's in one."""

    certificate: Path
    key: Path
    bundle: Path


class Authority:
    """Signs certificates.

    Args:
        folder: where its files lie.
        name: its name, and the beginning of the files'.

    Attributes:
        certificate: its own certificate, PEM.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = folder / f"{name}.key"
        self.certificate = folder / f"{name}.pem"
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate),
            *("-addext", "keyUsage=critical,keyCertSign"),
        )

    def sign(self, name: str, address: str, password: str | None = None) -> Certificate:
        """A certificate.

        Args:
            name: who it is for, and the beginning of its files' names.
            address: what connections to it may name, such as ``IP:127.0.0.1``.
            password: its key's; without one the key is not encrypted.
        """
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        key, signed = self._folder / f"{name}.key", self._folder / f"{name}.pem"
        extensions.write_text(f"subjectAltName={address}\n")
        _openssl(
            *("req", "-newkey", "rsa:2048", "-subj", f"/CN={name}", "-keyout", key),
            *("-out", request),
            *(("-nodes",) if password is None else ("-passout", f"pass:{password}")),
        )
        _openssl(
            *("x509", "-req", "-days", "2", "-in", request, "-CA", self.certificate),
            *("-CAkey", self._key, "-CAcreateserial", "-extfile", extensions, "-out", signed),
        )
        bundle = self._folder / f"{name}.bundle.pem"
        bundle.write_bytes(key.read_bytes() + signed.read_bytes() + self.certificate.read_bytes())
        return Certificate(signed, key, bundle)


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
