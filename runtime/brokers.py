"""Addresses of brokers, as people write them."""

from __future__ import annotations

import ipaddress
import re

_MOST_PORT = 65_535
_PORT = re.compile(r"[0-9]{1,5}\Z")
_NAME = re.compile(r"[^\s/:\[\],@\\]{1,253}\Z")


class BrokersError(ValueError):
    """What was written is no list of brokers.

    Attributes:
        message: one sentence for a person.
        help: what to write.
    """

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def read_brokers(text: str) -> tuple[str, ...]:
    """Read addresses of brokers to start from.

    Args:
        text: ``HOST:PORT``, several separated by commas; spaces around them are dropped. An
            IPv6 address stands in brackets: ``[::1]:9092``.

    Returns:
        The addresses, each with a port from 1 to 65535.

    Raises:
        BrokersError: one of them is none.
    """
    return tuple(_address(part.strip()) for part in text.split(","))


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        named = _is_ipv6(host[1:-1])
    else:
        named = _NAME.match(host) is not None and host.isprintable()
    if not colon or not named:
        help = "write `HOST:PORT`, several separated by commas"
        if _is_ipv6(text) or _is_ipv6(host):
            help = "write an IPv6 address in brackets, such as `[::1]:9092`"
        raise BrokersError(f"`{text}` is no address of a broker", help)
    if _PORT.match(port) is None or not 0 < int(port) <= _MOST_PORT:
        raise BrokersError(
            f"`{port}` is no port of a broker, in `{text}`",
            f"write `HOST:PORT` with a port from 1 to {_MOST_PORT}",
        )
    return text


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
