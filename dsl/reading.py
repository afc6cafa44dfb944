"""From the bytes of a file to its text."""

from __future__ import annotations

from routec.dsl.diagnostic import Diagnostic
from routec.dsl.parser import MAX_SIZE, too_large
from routec.dsl.source import Source
from routec.dsl.syntax_error import syntax_error

_BOM = b"\xef\xbb\xbf"


def read_source(name: str, data: bytes) -> Source | Diagnostic:
    """Decode a policy file.

    Args:
        name: the path as the user gave it, or ``<stdin>``.
        data: the whole file; a leading byte order mark is dropped.

    Returns:
        The source, or the finding that says why there is none: more than `MAX_SIZE`
        bytes, or bytes that are not UTF-8. The place of such a byte is counted in the
        text before it.
    """
    if len(data) > MAX_SIZE:
        return too_large(name)
    skipped = len(_BOM) if data.startswith(_BOM) else 0
    try:
        return Source(name, data[skipped:].decode("utf-8"))
    except UnicodeDecodeError as error:
        before = Source(name, data[skipped : skipped + error.start].decode("utf-8"))
        offset, value = len(before.text), error.object[error.start]
        return syntax_error(
            f"the file is not UTF-8: byte {skipped + error.start} is {value:#04x}",
            before.span(offset, offset),
            "save it as UTF-8",
        )
