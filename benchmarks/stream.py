"""What the stream costs: the worker against bare pass-throughs, and against others.

Every candidate is a process of its own on one broker, with the same partitions, batch limits and
client settings; candidates alternate, a first round only warms up, and medians count. The
pass-throughs make the transactions that the worker makes (`cli/bench/stream_loop.py`), and evaluate
nothing. The worker decides by no policy at all (`null`), which measures the stream, by
`stream.route`, some twenty decision nodes and exact cache look-ups, and by `stream_keywords.route`,
which scans texts.

    python benchmarks/stream.py                         # throughput and latency
    python benchmarks/stream.py --only throughput,latency,rivals,lanes --write docs/streaming.md
    python benchmarks/stream.py --bootstrap HOST:PORT   # a broker that runs; else one is started
    python benchmarks/stream.py --policy examples/policies/helpdesk.route --policy-events 2000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import uvloop
from streaming import lanes, latency, page, report, side_by_side, throughput
from streaming.setting import kafka
from streaming.throughput import KEYWORDS, POLICY, Who

LEAST_EVENTS = 50_000
"""Several times what a candidate may have in flight."""
PARTS = ("throughput", "latency", "rivals", "lanes")


class Session:
    """One invocation: measures the parts that were asked for.

    Args:
        arguments: the command line.
        bootstrap: the broker.
    """

    def __init__(self, arguments: argparse.Namespace, bootstrap: str) -> None:
        self._arguments = arguments
        self._bootstrap = bootstrap
        self.results: list[report.Result] = []
        self.parts: dict[str, str] = {}

    async def run(self) -> None:
        """Measure."""
        asked = self._arguments.only
        runs: throughput.Runs = {}
        if "throughput" in asked or "latency" in asked:
            runs = await self._throughput()
        if "latency" in asked:
            await self._latency(runs)
        if self.results:
            self._part("targets", report.ratios_table(self.results))
        if "rivals" in asked:
            await self._rivals()
        if "lanes" in asked:
            await self._lanes()

    def _part(self, name: str, text: str, *notes: str) -> None:
        command = shlex.join(["python", "benchmarks/stream.py", *sys.argv[1:]])
        foot = " ".join((page.circumstances(command), *notes))
        self.parts[name] = f"{text}\n\n{foot}"
        # At once: what was measured outlives a later part that fails.
        if self._arguments.write is not None:
            page.write(self._arguments.write, {name: self.parts[name]})

    async def _throughput(self) -> throughput.Runs:
        given = self._arguments
        checked = await throughput.check_policy()
        who = throughput.candidates(given.policy or [str(POLICY), str(KEYWORDS)])
        runs, size = await throughput.measure(
            self._bootstrap, who, given.events, given.rounds, given.batch, given.policy_events
        )
        self.results += report.throughput_results(runs)
        self._part(
            "throughput",
            report.throughput_table(runs),
            f"{given.events:,} events of {size:.0f} bytes, {given.rounds} rounds, batches of at "
            f"most {given.batch}. `stream.route` has {checked['nodes']} decision nodes, and its "
            f"cache answers {checked['hit_share']:.0%} of the requests.",
        )
        return runs

    async def _latency(self, runs: throughput.Runs) -> None:
        given = self._arguments

        def half(name: str) -> float:
            return throughput.middle(runs[name]).rate / 2

        once = "exactly_once"
        bare, null = Who("pass-through", once), Who("worker", once)
        at_own, at_null = half("pass-through-eos"), half("worker-eos-null")
        cells = {
            "pass-through, half of its maximum": (bare, at_own),
            "worker without a policy, half of its maximum": (null, at_null),
            "pass-through, at the rate of the worker without a policy": (bare, at_null),
            "worker without a policy, at least once, at the same rate": (
                Who("worker", "at_least_once"),
                at_null,
            ),
        }
        pairs = [
            (
                "worker without a policy, half of its maximum",
                "pass-through, at the rate of the worker without a policy",
            ),
            (
                "worker without a policy, half of its maximum",
                "pass-through, half of its maximum",
            ),
        ]
        title = throughput.title_of(POLICY)
        if title in runs:
            rate = half(title)
            one, other = (
                "worker with `stream.route`, half of its maximum",
                "pass-through, at the rate of the worker with `stream.route`",
            )
            cells |= {one: (Who("worker", once, str(POLICY)), rate), other: (bare, rate)}
            pairs += [(one, other), (one, "pass-through, half of its maximum")]
        timings = await latency.measure(
            self._bootstrap, cells, given.seconds, given.rounds, given.batch
        )
        self.results += report.latency_results(timings, pairs)
        busiest = max(timing.busy for timing in timings.values())
        self._part(
            "latency",
            report.latency_table(timings),
            f"{given.rounds} rounds of {given.seconds:g} s, of which the first fifth does not "
            f"count; producer and consumer took {busiest:.2f} of a core at most.",
        )

    async def _rivals(self) -> None:
        given = self._arguments
        python = await asyncio.to_thread(side_by_side.install)
        versions = side_by_side.versions(python)
        who = side_by_side.candidates(python)
        found = await side_by_side.measure(
            self._bootstrap, who, given.events, given.rounds, given.batch
        )
        ratios = report.rivals_results(found)
        self.results += ratios
        self._part(
            "rivals",
            f"{report.rivals_table(found)}\n\n{report.ratios_table(ratios)}",
            "Compared: " + ", ".join(f"{name} {one}" for name, one in versions.items()) + ".",
            f"{given.events:,} events, {given.rounds} rounds.",
        )

    async def _lanes(self) -> None:
        given = self._arguments
        found = await lanes.measure(self._bootstrap, given.lanes, given.events, given.batch)
        self._part("lanes", report.lanes_table(found), f"{given.events:,} events, one run each.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bootstrap", help="a running broker; otherwise one is started")
    parser.add_argument("--events", type=int, default=120_000)
    parser.add_argument(
        "--policy-events", type=int, help="fewer for workers with a policy, for slow ones"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a latency run")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        metavar="PART,…",
        help=f"of {', '.join(PARTS)}; latency includes throughput, which it takes its rates "
        "from; both unless told otherwise, throughput alone with --policy",
    )
    parser.add_argument(
        "--lanes",
        type=lambda text: [int(one) for one in text.split(",")],
        default=[16, 50, 100, 200, 400],
        metavar="N,…",
        help="numbers of partitions",
    )
    parser.add_argument(
        "--policy", action="append", metavar="FILE", help="a policy to decide by; repeatable"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into a page")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    if arguments.only is None:
        arguments.only = ["throughput"] if arguments.policy else ["throughput", "latency"]
    if unknown := set(arguments.only) - set(PARTS):
        parser.error(f"--only knows {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    if arguments.events < LEAST_EVENTS:
        parser.error(f"--events must be {LEAST_EVENTS:,} at least; fewer are in flight at once")
    return arguments


def main() -> int:
    """Measure and print."""
    arguments = _arguments()

    async def measured(bootstrap: str) -> Session:
        session = Session(arguments, bootstrap)
        await session.run()
        return session

    with kafka(arguments.bootstrap) as bootstrap:
        session = uvloop.run(measured(bootstrap))
    if arguments.format == "json":
        output: dict[str, Any] = {"results": session.results}
        print(json.dumps(output))
        return 0
    for name, part in session.parts.items():
        print(f"== {name}\n\n{part}\n")
    print("\n".join(report.lines(session.results)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
