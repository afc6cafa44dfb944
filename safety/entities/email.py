"""E-mail addresses.

A local part of at most 64 characters, ``@``, and a domain name of at most 253 whose
last label is a plausible top-level domain. International addresses (letters of any
script, RFC 6531) are recognised; quoted local parts and address literals are not.
Not an address: the password of a URL (``https://user:pass@host``), an scp-style
remote (``git@host:group/project``), a file such as ``icon@2x.png``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MAX_LOCAL = 64
_MAX_DOMAIN = 253

_LOCAL_END = re.compile(r"[\w.%+'&~-]+\Z")
_DOMAIN = re.compile(
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+(?:xn--[a-zA-Z0-9-]{2,59}|[^\W\d_]{2,63})(?![\w@])"
)
_SCP_PATH = re.compile(r":[\w.~-]*/")
# Not delegated as top-level domains, and common as file extensions.
_FILE_EXTENSIONS = frozenset(
    ("avif", "bmp", "css", "csv", "gif", "html", "ico", "jpeg", "jpg", "js", "json", "jsx", "log",
     "mjs", "pdf", "png", "svg", "toml", "ts", "tsx", "txt", "webp", "xml", "yaml", "yml")
)  # fmt: skip


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the e-mail addresses in a text.

    Args:
        text: a text as `ascii_shape` returns it.
    """
    at = text.find("@")
    while at >= 0:
        span = _address(text, at)
        if span is not None:
            yield span
        at = text.find("@", at + 1)


def _address(text: str, at: int) -> tuple[int, int] | None:
    window = max(0, at - _MAX_LOCAL - 1)
    local = _LOCAL_END.search(text[window:at])
    if local is None:
        return None
    start = window + local.start()
    while start < at and text[start] in "'.%+&~-":
        start += 1
    name = text[start:at]
    if not name or len(name) > _MAX_LOCAL or name.endswith(".") or ".." in name:
        return None
    domain = _DOMAIN.match(text, at + 1, at + 1 + _MAX_DOMAIN + 1)
    if domain is None or domain.end() - at - 1 > _MAX_DOMAIN:
        return None
    if domain.group().rpartition(".")[2].lower() in _FILE_EXTENSIONS:
        return None
    if _SCP_PATH.match(text, domain.end(), domain.end() + 128) or _in_authority(text, start):
        return None
    return start, domain.end()


def _in_authority(text: str, start: int) -> bool:
    """Whether the text before `start` is a URL whose authority has begun, but not ended."""
    before = text[max(0, start - 128) : start]
    scheme = before.rfind("://")
    return scheme >= 0 and not any(c in "/?#" or c.isspace() for c in before[scheme + 3 :])
