"""Which of several records of a key is the newest, where they stand in several partitions.

All records of a key are in one partition unless the topic has gained some since: then who writes
puts the key elsewhere, and what it held before stays where it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from routec.runtime.policies.signature import claimed_sequence
from routec.runtime.records import Record


class Order:
    """Knows the newest record of each key by the records' own times.

    Within a partition a later record is the newer, whatever its time. Between partitions the
    latest time counts that was seen in each.
    """

    def __init__(self) -> None:
        self._latest: dict[tuple[bytes, int], int] = {}
        self._newest: dict[bytes, tuple[int, int]] = {}

    def goes_on(self, key: bytes, partition: int, time_ms: int) -> bool:
        """Whether a record is newer than all before; to be asked once of each, in their order.

        Args:
            key: its key.
            partition: where it stands.
            time_ms: its time, milliseconds since the epoch.
        """
        time = max(time_ms, self._latest.get((key, partition), time_ms))
        self._latest[key, partition] = time
        found, newest = (time, partition), self._newest.get(key)
        if newest is not None and newest[1] != partition and found < newest:
            return False
        self._newest[key] = found
        return True


def by_sequence(records: Sequence[Record]) -> list[Record]:
    """Signed records in the order of their numbers, those of a partition in their own order.

    The numbers are what the records say; whether that is true is seen when each is let through.
    """
    highest: dict[tuple[int, bytes | None], int] = {}

    def turn(record: Record) -> int:
        place = record.partition, record.key
        highest[place] = max(claimed_sequence(record), highest.get(place, -1))
        return highest[place]

    return sorted(records, key=turn)
