"""Memory of a worker under load that goes on: at half of its own maximum, exactly once.

The maximum is measured first, on the same broker. Then requests come at half that rate for ten
minutes, and the resident memory of the worker's process is read at the end of each minute. Last,
another worker's decider stands still for half a minute while requests go on coming.

    python benchmarks/soak.py
    python benchmarks/soak.py --minutes 2 --policy none
    python benchmarks/soak.py --write docs/streaming.md
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from streaming import page, throughput, traffic
from streaming.candidate import spec
from streaming.paced import Latencies, Pace
from streaming.processes import Process, candidate
from streaming.setting import drop_topics, fresh, kafka, make_small_topics, new_config
from streaming.throughput import POLICY, Who

TARGET = 1.05
"""Most memory at the end, as a ratio to that after a minute."""
SETTLING, STALL = 20.0, 30.0
"""Seconds of load before a stall, and of the stall."""
KEPT = 64 * 2**20
"""Bytes that each partition keeps; Kafka looks every five minutes."""


async def soak(arguments: argparse.Namespace, bootstrap: str) -> dict[str, Any]:
    """The maximum, then the series."""
    policy = None if arguments.policy == "none" else arguments.policy
    rate = arguments.rate
    if rate is None:
        who = {"worker": Who("worker", "exactly_once", policy)}
        runs, _ = await throughput.measure(bootstrap, who, arguments.events, 3, arguments.batch)
        rate = throughput.middle(runs["worker"]).rate / 2
    config = fresh(new_config(bootstrap, arguments.batch), "exactly_once")
    await make_small_topics(config, KEPT)
    given = spec(config, "worker", traffic.PARTITIONS, policy=policy)
    async with candidate(given) as process, Pace(config, rate) as pace:
        await pace.wait_for_candidate(process)
        watching = asyncio.create_task(_watch(process, arguments.minutes))
        latencies: Latencies = await pace.run(process, arguments.minutes * 60 + 2)
        series = await watching
        process.end()
        await process.report()
    await drop_topics(config)
    ratio = series[-1] / series[0]
    before, filled, most = await _stalled(bootstrap, arguments.batch, policy, rate)
    return {
        "name": "soak/rss-growth",
        "value": round(ratio, 4),
        "unit": "ratio",
        "target": TARGET,
        "met": ratio <= TARGET,
        "rate": round(rate),
        "events": len(latencies.seconds),
        "rss_mib": [round(one / 2**20, 1) for one in series],
        "stall": {
            "seconds": STALL,
            "before_mib": round(before / 2**20, 1),
            "filled_mib": round(filled / 2**20, 1),
            "most_mib": round(most / 2**20, 1),
            "ratio": round(most / filled, 4),
            "met": most / filled <= TARGET,
        },
        "p50_ms": round(latencies.percentile(50), 1),
        "p99_ms": round(latencies.percentile(99), 1),
    }


async def _stalled(
    bootstrap: str, batch: int, policy: str | None, rate: float
) -> tuple[int, int, int]:
    """Memory before a stall, the most while its budget fills, and the most after that, in bytes."""
    config = fresh(new_config(bootstrap, batch), "exactly_once")
    await make_small_topics(config, 4 * KEPT)
    given = spec(config, "worker", traffic.PARTITIONS, policy=policy, stall=(SETTLING, STALL))
    async with candidate(given) as process, Pace(config, rate) as pace:
        await pace.wait_for_candidate(process)
        begin = time.monotonic()
        running = asyncio.create_task(pace.run(process, SETTLING + STALL + 10))
        series: dict[float, int] = {}
        while (now := time.monotonic() - begin) < SETTLING + STALL - 1:
            series[now] = process.rss()
            await asyncio.sleep(0.5)
        await running
        process.end()
        await process.report()
    await drop_topics(config)
    before = [rss for at, rss in series.items() if at < SETTLING - 1][-1]
    filled = SETTLING + STALL / 3
    return (
        before,
        max(rss for at, rss in series.items() if SETTLING < at <= filled),
        max(rss for at, rss in series.items() if at > filled),
    )


async def _watch(process: Process, minutes: int) -> list[int]:
    """Resident memory at the end of each minute, in bytes; each is printed as it is read."""
    begin, series = time.monotonic(), []
    for minute in range(1, minutes + 1):
        await asyncio.sleep(max(0.0, begin + 60 * minute - time.monotonic()))
        series.append(process.rss())
        print(f"minute {minute}: {series[-1] / 2**20:.1f} MiB", file=sys.stderr, flush=True)
    return series


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bootstrap", help="a running broker; otherwise one is started")
    parser.add_argument("--minutes", type=int, default=10, help="two at least")
    parser.add_argument("--policy", default=str(POLICY), help="a policy file, or `none`")
    parser.add_argument("--rate", type=float, help="events per second instead of half the maximum")
    parser.add_argument("--events", type=int, default=120_000, help="of a run for the maximum")
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the series into a page")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    if arguments.minutes < 2:
        parser.error("--minutes must be two at least")
    with kafka(arguments.bootstrap) as bootstrap:
        found = uvloop.run(soak(arguments, bootstrap))
    if arguments.write is not None:
        page.write(arguments.write, {"soak": _part(found, arguments.policy)})
    if arguments.format == "json":
        print(json.dumps({"results": [found]}))
        return 0
    print(
        f"memory after {arguments.minutes} minutes to that after one: {found['value']:.3f}", end=""
    )
    print(f" (target {TARGET}, {'met' if found['met'] else 'missed'})")
    print(f"  at {found['rate']:,} events/s: {found['rss_mib']} MiB")
    print(f"  p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms")
    print(f"  {_stall(found)}")
    return 0


def _stall(found: dict[str, Any]) -> str:
    stall = found["stall"]
    return (
        f"a decider that stands still for {stall['seconds']:g} s at that rate: "
        f"{stall['before_mib']} MiB before, {stall['filled_mib']} MiB in the first third, when "
        f"what may be in flight fills up, {stall['most_mib']} MiB at most in the rest "
        f"({stall['ratio']:.3f}; target ≤ {TARGET}: {'met' if stall['met'] else '**missed**'})"
    )


def _part(found: dict[str, Any], policy: str) -> str:
    heads = ["minute", *(str(minute + 1) for minute in range(len(found["rss_mib"])))]
    rows = [["MiB", *(f"{one:.1f}" for one in found["rss_mib"])]]
    command = shlex.join(["python", "benchmarks/soak.py", *sys.argv[1:]])
    verdict = "met" if found["met"] else "**missed**"
    return "\n\n".join(
        (
            page.table(heads, rows),
            f"The last to the first: {found['value']:.3f} (target ≤ {TARGET}: {verdict}), with "
            f"{'no policy' if policy == 'none' else '`' + Path(policy).name + '`'} at "
            f"{found['rate']:,} events/s, {found['events']:,} events; p99 {found['p99_ms']} ms.",
            f"{_stall(found).capitalize()}.",
            page.circumstances(command),
        )
    )


if __name__ == "__main__":
    raise SystemExit(main())
