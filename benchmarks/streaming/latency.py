"""Latency at half of the own maximum, against the pass-through."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

from streaming import traffic
from streaming.candidate import spec
from streaming.paced import Pace
from streaming.processes import candidate, tally
from streaming.setting import drop_topics, fresh, make_topics, new_config
from streaming.throughput import Who

_SETTLING = 0.2
"""Share of a run, from its beginning, that does not count."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over the rounds.

    Attributes:
        rate: requests per second.
        p50: milliseconds.
        p99: milliseconds.
        grouped: events per transaction.
        cpu_us: microseconds of the candidate's CPU time per event.
        busy: CPU of the measuring process, in cores.
        rounds: p99 of each round.
    """

    rate: float
    p50: float
    p99: float
    grouped: float
    cpu_us: float
    busy: float
    rounds: tuple[float, ...]


async def measure(
    bootstrap: str,
    cells: dict[str, tuple[Who, float]],
    seconds: float,
    rounds: int,
    batch: int,
) -> dict[str, Timing]:
    """Alternate candidates, each at its rate; a round before warms up the broker."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in cells}
    for number in range(rounds + 1):
        for name, (who, rate) in cells.items():
            once = await _once(bootstrap, who, rate, seconds if number else 2.0, batch)
            if number:
                found[name].append(once)
    return {
        name: Timing(
            cells[name][1],
            statistics.median(one[0] for one in some),
            statistics.median(one[1] for one in some),
            statistics.median(one[2] for one in some),
            statistics.median(one[3] for one in some),
            statistics.median(one[4] for one in some),
            tuple(one[1] for one in some),
        )
        for name, some in found.items()
    }


async def _once(
    bootstrap: str, who: Who, rate: float, seconds: float, batch: int
) -> tuple[float, ...]:
    config = fresh(new_config(bootstrap, batch), who.delivery)
    await make_topics(config)
    given = spec(config, who.kind, traffic.PARTITIONS, policy=who.policy)
    async with candidate(given) as process, Pace(config, rate) as pace:
        await pace.wait_for_candidate(process)
        run = await pace.run(process, seconds)
        process.end()
        done = await tally(process)
    await drop_topics(config)
    counted = replace(run, seconds=run.seconds[int(len(run.seconds) * _SETTLING) :])
    return (
        counted.percentile(50),
        counted.percentile(99),
        done["grouped"],
        counted.cpu_us,
        counted.busy,
    )
