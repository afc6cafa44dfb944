"""Whether a broker answers."""

from __future__ import annotations

import secrets
import socket
import ssl
import struct
import threading
import time

from aiokafka.conn import collect_hosts

_API_VERSIONS = 18
"""The request that every listener answers to everybody, before any authentication (KIP-35)."""
_REST = 2.0
_TIME = 0.8
_LEAST = 0.1


class Reach:
    """Asks the brokers a client starts from which requests they know, until one answers.

    The answer holds for two seconds. Safe to call from several threads.

    Args:
        bootstrap: brokers, ``HOST:PORT`` separated by commas.
        tls: for listeners with TLS.
        seconds: how long asking may take, all brokers together.
        rest: how long an answer holds.
    """

    def __init__(
        self,
        bootstrap: str,
        tls: ssl.SSLContext | None = None,
        *,
        seconds: float = _TIME,
        rest: float = _REST,
    ) -> None:
        self._bootstrap = bootstrap
        self._tls = tls
        self._seconds = seconds
        self._rest = rest
        self._lock = threading.Lock()
        self._known: tuple[float, bool] | None = None

    def __call__(self) -> bool:
        """Whether one of them answers."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] >= self._rest:
                answers = self._any()
                self._known = (time.monotonic(), answers)
            return self._known[1]

    def _any(self) -> bool:
        deadline = time.monotonic() + self._seconds
        try:
            hosts = collect_hosts(self._bootstrap, randomize=False)
        except ValueError:
            return False
        for at, (host, port, _) in enumerate(hosts):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            # One that says nothing leaves the others their share.
            share = max(_LEAST, left / (len(hosts) - at))
            try:
                if self._asks(host, port, share):
                    return True
            except (OSError, ValueError):
                continue
        return False

    def _asks(self, host: str, port: int, seconds: float) -> bool:
        with socket.create_connection((host, port), timeout=seconds) as plain:
            if self._tls is None:
                return _answers(plain)
            with self._tls.wrap_socket(plain, server_hostname=host) as wrapped:
                return _answers(wrapped)


def _answers(connection: socket.socket) -> bool:
    """Whether the other side speaks Kafka's protocol."""
    number = secrets.randbelow(2**31)
    request = struct.pack(">hhih", _API_VERSIONS, 0, number, -1)
    connection.sendall(struct.pack(">i", len(request)) + request)
    head = b""
    while len(head) < 10:
        part = connection.recv(10 - len(head))
        if not part:
            return False
        head += part
    _, answered, error = struct.unpack(">iih", head)
    return bool(answered == number and error == 0)
