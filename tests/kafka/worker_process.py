"""A worker in a process of its own, for the tests that hurt it: CONFIG PAUSE [ACTION POINT N].

ACTION is a signal's name; the process sends it to itself when it is at the point for the Nth time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from aiokafka import TopicPartition

from routec.runtime.config import load_config
from routec.runtime.stream import Faults, Point, StreamError, Worker, run_until_signalled

sys.path.insert(0, str(Path(__file__).parent))

from traffic import EchoDecider


class SignalAt:
    """Sends a signal to this process at a point, once."""

    def __init__(self, action: str, point: str, number: int) -> None:
        self.signal = signal.Signals[action]
        self.point = point
        self.left = number

    async def reach(self, point: Point, partition: TopicPartition | None) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                print(f"{self.signal.name} at {point}", flush=True)
                os.kill(os.getpid(), self.signal)


async def _main(path: Path, pause: float, faults: Faults | None) -> int:
    worker = Worker(load_config(path, os.environ), EchoDecider(pause), faults=faults)
    try:
        await run_until_signalled(worker)
    except StreamError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 2
    counts = worker.counts
    print(f"taken {counts.taken} decided {counts.decided} dead {counts.dead}")
    return 0


if __name__ == "__main__":
    _, file, seconds, *hurt = sys.argv
    signals = SignalAt(hurt[0], hurt[1], int(hurt[2])) if hurt else None
    raise SystemExit(asyncio.run(_main(Path(file), float(seconds), signals)))
