"""Requests at a steady rate, and how long each waits for its decision.

The load is open: every request has a time at which it is due, whatever became of those before,
and its latency counts from then, so a candidate that stalls cannot slow its clock down. It ends
when a `read_committed` consumer has the decision in hand. Producer and consumer are one process
here, and both times are of its monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from aiokafka import AIOKafkaConsumer
from numpy.typing import NDArray

from routec.runtime.config import Config
from routec.runtime.stream.clients import close, connect, make_producer
from streaming import traffic
from streaming.processes import Process, reader
from streaming.setting import Sender

_TICK = 0.002
"""Seconds between two sendings; what falls due in between waits for the next, and counts that."""
_DIFFERENT = 20_000
"""Requests that are made beforehand, and sent again and again."""
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """What came of a stretch of paced load.

    Attributes:
        seconds: latency of each request, in order.
        busy: CPU of the measuring process, in cores.
        cpu_us: CPU of the candidate per event, in microseconds.
    """

    seconds: NDArray[np.float64]
    busy: float
    cpu_us: float

    def percentile(self, share: float) -> float:
        """Milliseconds that this share of the requests, in percent, did not exceed."""
        return float(np.percentile(self.seconds, share)) * 1000


class Pace:
    """Sends requests at a rate and notes when their decisions can be read.

    Decisions are told by their place: the n-th in a partition is about the n-th request there.

    Args:
        config: the topics, which nobody has written to.
        rate: requests per second.
        partitions: of the topics.
    """

    def __init__(self, config: Config, rate: float, partitions: int = traffic.PARTITIONS) -> None:
        self._config = config
        self._rate = rate
        self._partitions = partitions
        self._values = list(islice(traffic.requests(_DIFFERENT), _DIFFERENT))
        self._seen = [0] * partitions
        self._total = 0
        self._news = asyncio.Event()
        self.sent = 0

    async def __aenter__(self) -> Pace:
        config = self._config
        self._producer = await connect(lambda: make_producer(config), config)
        self._sender = Sender(self._producer, config.topics.requests, self._partitions)
        self._reader: AIOKafkaConsumer = await reader(config, self._partitions)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.stop()
        await close(self._producer)

    async def wait_for_candidate(self, process: Process) -> None:
        """Send one request to each partition, until all are decided."""
        for number in range(self._partitions):
            await self._sender.add(number, self._values[number])
        await self._sender.finish()
        self.sent = self._partitions
        deadline = time.monotonic() + _PATIENCE
        while self._total < self.sent:
            if not process.alive or time.monotonic() > deadline:
                raise RuntimeError(f"the candidate decides nothing:\n{process.errors()}")
            await self._read(lambda number, now: None)

    async def run(self, process: Process, seconds: float) -> Latencies:
        """Send for so long, and wait for all decisions."""
        first, count = self.sent, round(self._rate * seconds)
        found = np.zeros(count)
        begin = time.monotonic() + 0.1
        rate = self._rate

        def note(number: int, now: float) -> None:
            at = number - first
            found[at] = now - (begin + at / rate)

        own, used = time.process_time(), process.cpu_seconds()
        sending = asyncio.create_task(self._send(begin, count))
        try:
            while self._total < first + count:
                if sending.done():
                    sending.result()
                    limit = begin + seconds + _PATIENCE
                    if not process.alive or time.monotonic() > limit:
                        raise RuntimeError(f"decisions are missing:\n{process.errors()}")
                await self._read(note)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
        took = time.monotonic() - begin
        spent = process.cpu_seconds() - used
        return Latencies(found, (time.process_time() - own) / took, spent / count * 1e6)

    async def _send(self, begin: float, count: int) -> None:
        first, done = self.sent, 0
        while done < count:
            due = min(count, int((time.monotonic() - begin) * self._rate) + 1)
            for number in range(first + done, first + due):
                await self._sender.add(number, self._values[number % _DIFFERENT])
            if due > done:
                await self._sender.ship_all()
                self.sent, done = first + due, due
            await asyncio.sleep(_TICK)
        await self._sender.finish()

    async def _read(self, note: Callable[[int, float], None]) -> None:
        taken = await self._reader.getmany(timeout_ms=200, max_records=5000)
        now = time.monotonic()
        for partition, records in taken.items():
            at, step = partition.partition, self._partitions
            for position in range(self._seen[at], self._seen[at] + len(records)):
                note(position * step + at, now)
            self._seen[at] += len(records)
            self._total += len(records)
