"""IP addresses, version 4 and 6, validated by `ipaddress`.

Not counted, because they point at nobody: the unspecified, loopback, broadcast and
reserved addresses (so netmasks, ``127.0.0.1``, ``::1``). Four numbers that follow a
word or sign of versions (``v``, ``version``, ``Chrome/``, ``==``) are a version.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_V4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w)(?!\.[0-9])")
_V6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{2,44}+(?![\w:])")
_HAS_DOTS = re.compile(r"(?:\.[0-9]{1,3}){3}")
_HAS_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_VERSION = re.compile(
    r"(?:\b(?:v|ver|vers|version|release|rev|build|firmware|driver|section|chapter|clause)\b"
    r"[.: #]{0,3}"
    r"|[A-Za-z]/|[=<>~!^]=\s?|\^|~)\Z",
    re.IGNORECASE,
)
_REACH = 16


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the IP addresses in a text.

    Args:
        text: a text as `ascii_shape` returns it.
    """
    if _HAS_DOTS.search(text):
        for found in _V4.finditer(text):
            start, end = found.span()
            if _is_v4(found.group()) and not _VERSION.search(text[max(0, start - _REACH) : start]):
                yield start, end
    if _HAS_COLONS.search(text):
        for found in _V6.finditer(text):
            candidate = found.group().rstrip(".")
            if candidate.endswith(":") and not candidate.endswith("::"):
                candidate = candidate[:-1]
            if _is_v6(candidate):
                yield found.start(), found.start() + len(candidate)


def _is_v4(text: str) -> bool:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_loopback or address.is_reserved)


def _is_v6(text: str) -> bool:
    # Eight groups of two digits are a hardware address or a dump; without any digit
    # it is a name with a scope operator (``face::add``).
    if not any(c.isdigit() for c in text) or all(len(g) == 2 for g in text.split(":")):
        return False
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    if address.ipv4_mapped is not None:
        return _is_v4(str(address.ipv4_mapped))
    return not (address.is_unspecified or address.is_loopback or address.is_reserved)
