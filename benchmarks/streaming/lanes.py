"""One worker with more and more partitions: opening time, memory, throughput, exactly once."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.candidate import spec
from streaming.processes import candidate, tally
from streaming.setting import drop_topics, fresh, load, make_topics, new_config


@dataclass(frozen=True, slots=True)
class Held:
    """What a number of partitions costs one worker.

    Attributes:
        partitions: how many.
        opening: seconds from the start of the worker until all are open.
        rss: the most memory it had resident, in bytes.
        rate: events per second, all partitions open before the first is decided.
        grouped: events per transaction.
    """

    partitions: int
    opening: float
    rss: int
    rate: float
    grouped: float


async def measure(bootstrap: str, counts: list[int], events: int, batch: int) -> list[Held]:
    """One run for each number of partitions, after one of 8 that warms up the broker."""
    runs = [await _once(bootstrap, count, events, batch) for count in (8, *counts)]
    return runs[1:]


async def _once(bootstrap: str, partitions: int, events: int, batch: int) -> Held:
    config = fresh(new_config(bootstrap, batch), "exactly_once")
    await make_topics(config, partitions)
    await load(config, events, partitions)
    given = spec(config, "worker", partitions, count=events)
    async with candidate(given) as process:
        found = await tally(process)
    await drop_topics(config)
    return Held(
        partitions,
        found["opening_seconds"],
        found["most_rss"],
        found["rate"],
        found["grouped"],
    )
