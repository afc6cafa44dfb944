from collections.abc import Mapping
from typing import Any

from routec.runtime.native.tally import Tally
from routec.runtime.records import Decided, Record

class Path:
    """A policy, ready to decide.

    Args:
        spec: what `routec.runtime.native.spec` makes of it.

    Raises:
        KeyError: a part is missing.
        TypeError: a part is of the wrong type.
        ValueError: a part has a value that is not known.
    """

    def __init__(self, spec: Mapping[str, Any], /) -> None: ...
    def decide(
        self, records: list[Record], decided: type[Decided], latest_ms: int, /
    ) -> tuple[list[Decided | dict[str, Any] | None], Tally]:
        """Decide what can be decided here.

        Args:
            records: the records.
            decided: what makes an outcome of a value and headers.
            latest_ms: requests of later times do not count for `Tally.latest_ms`.

        Returns:
            For each record its outcome; for those left to the engine the event as decoded, within
            the limits, or ``None``.
        """

def blake2b(data: bytes, size: int, /) -> bytes:
    """The digest of `size` bytes that `hashlib.blake2b` gives as well.

    Raises:
        ValueError: the size is not from 1 to 64.
    """

def read_time(text: str, /) -> int:
    """Milliseconds since the epoch of a time such as ``2026-11-22T09:00:00Z``, from 1970 on, with
    3, 6 or no digits after the seconds; -1 for anything else, which may be a time all the same.

    Raises:
        TypeError: it is no string.
    """

def write_time(time_ms: int, /) -> str:
    """A time in UTC with milliseconds where there are some.

    Raises:
        ValueError: it is before 1970 or after 9998.
    """
