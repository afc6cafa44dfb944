"""A page of memory that a worker under fire shares with whoever hurts it.

It outlives a killed worker, so that what was open when it died can be counted.
"""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path
from typing import get_args

from routec.runtime.stream import Point

POINTS: tuple[Point, ...] = get_args(Point)
MOST_PARTITIONS = 32

AWAY, OPENING, IDLE, BEGUN, SENT, ACKNOWLEDGED, OFFSETS_SENT = range(7)
"""What a lane is at. From `BEGUN` on its transaction is open in the client; from `ACKNOWLEDGED`
on the broker has answered for records of it."""

LANE_AT: dict[Point, int] = {
    "opening": OPENING,
    "opened": IDLE,
    "before-begin": IDLE,
    "begun": BEGUN,
    "sent": SENT,
    "acknowledged": ACKNOWLEDGED,
    "offsets-sent": OFFSETS_SENT,
    "committed": IDLE,
}

NO_ACTION, KILL, STOP, JUMP = range(4)
DECIDER_MOODS = ("fine", "slow", "hanging", "wrong-sized", "raising")
CLASSIFIER_MOODS = ("fine", "slow", "hanging", "wrong-sized", "not-a-number", "failing", "raising")


class Board(ctypes.Structure):
    """What is shared; see `open_board`.

    Attributes:
        lanes: what the lane of each partition is at.
        action: what the worker does to itself when `countdown` meetings of `point` are over.
        fired: whether it did, and `fired_at` when, on the monotonic clock.
        decider, classifier: the mood of each, an index, for so many more calls (`..._left`).
        slow: seconds that a slow one takes.
        clock: seconds that the worker's wall clock is off, and `jump` those that it is to be
            off when it jumps at a point.
        compiled: outcomes that the compiled path gave.
    """

    _fields_ = [
        ("lanes", ctypes.c_uint8 * MOST_PARTITIONS),
        ("action", ctypes.c_uint8),
        ("point", ctypes.c_uint8),
        ("fired", ctypes.c_uint8),
        ("decider", ctypes.c_uint8),
        ("classifier", ctypes.c_uint8),
        ("countdown", ctypes.c_uint32),
        ("decider_left", ctypes.c_uint32),
        ("classifier_left", ctypes.c_uint32),
        ("fired_at", ctypes.c_double),
        ("slow", ctypes.c_double),
        ("clock", ctypes.c_double),
        ("jump", ctypes.c_double),
        ("compiled", ctypes.c_uint64),
    ]

    def arm(self, action: int, point: str, countdown: int) -> None:
        """Have the worker hurt itself at a point."""
        self.fired = 0
        self.point = POINTS.index(point)  # type: ignore[arg-type]
        self.countdown = countdown
        self.action = action

    def held(self) -> list[int]:
        """Partitions that the worker has, as far as it knows."""
        return [at for at, state in enumerate(self.lanes) if state != AWAY]

    def open(self) -> int:
        """Transactions open in the client."""
        return sum(state >= BEGUN for state in self.lanes)

    def with_records(self) -> int:
        """Transactions of which the broker has answered for records."""
        return sum(state >= ACKNOWLEDGED for state in self.lanes)


def open_board(file: Path) -> Board:
    """The page behind a file, which is made if it is not there."""
    with file.open("a+b") as handle:
        handle.truncate(ctypes.sizeof(Board))
        return Board.from_buffer(mmap.mmap(handle.fileno(), ctypes.sizeof(Board)))
