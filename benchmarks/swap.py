"""How long decisions pause while a policy is swapped, against what one batch takes.

The gap: batches are decided back to back while a record of the control topic replaces the policy.
The longest time between the ends of two of them counts, from the record until `QUIET` batches after
the new policy is in force, while what the swap left behind is being freed.

The stall: the same swap is made with no decisions under way. The longest time for which a timer of
one millisecond stands still counts.

Of both that is taken which as many batches or ticks show at most without a swap (the median over
stretches of so many), for the collector of cycles and whatever else the machine does lengthen some
of them, too.

    answers   a category with 100,000 answers is dropped, as its time to live changes
    cache     a policy without categories replaces one with 100,000 answers
    terms     nothing is dropped
    model     as `answers`, with vectors; both policies use the embedder, which is loaded once
    load      a policy that uses the embedder replaces one that does not: the model is loaded, its
              libraries and tokenizer are there already, as in a worker; what counts ends when it
              is in force, as the next batch embeds texts for the first time

No broker is needed. `model` and `load` need the model that `routec models install minilm` installs;
texts are known to the embedder when the swap comes, so that batches are as short as they can be.

    python benchmarks/swap.py
    python benchmarks/swap.py --only answers --rounds 1
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import uvloop

from routec.compiler import check_bytes
from routec.compiler.lower import lower
from routec.compiler.program import Program, digest, dump
from routec.runtime.config import Config
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.ahead import prepare_to_follow
from routec.runtime.policies.live import LivePolicy
from routec.runtime.records import Record
from routec.runtime.service import Memory, PolicyService, open_service
from routec.runtime.stream.process import spare_the_stream
from routec.safety.text import NORMALISER_VERSION
from routec.semcache import Partition, SemanticCache

TARGET = 1.0
"""Longest gap, and longest stall, in batches."""
TENANTS = 50
QUIET, TICKS = 40, 1000
"""Batches, and ticks of the timer, that are looked at after a swap."""
BEFORE = 6
"""Times as many are looked at before it: loading the embedder takes three times `QUIET`."""
TEXTS = 500
"""Texts of requests, all of which the embedder remembers."""

_SIGNALS = """
signal size   = tokens()
signal depth  = turns()
signal coding = keyword("code", "function", "compile")
"""
_ROUTES = """
route agents    priority 40 { when coding and tier == pro to opus fallback mini }
route deep      priority 30 { when depth > 2 and size > 200 to opus fallback mini }
route tiny      priority 20 { when size < 60 and tier == free to mini }
default route rest { to [mini 90%, opus 10%] }
"""
_HEAD = """policy swapped
request { tenant: string, tier: enum(free, pro) = free }
model mini { input: $0.25, output: $2.00, context: 128k }
model opus { input: $5.00, output: $25.00, context: 200k }
"""
_MODEL = """
signal refund = similarity { examples: ["I want my money back", "please refund my order"] }
"""


def program(ttl: int | None, *, model: bool = False) -> Program:
    """A policy; with a category of so many hours unless `None`, with the embedder or without."""
    terms = "similarity: 0.9, " if model else ""
    category = f"category answers {{ when depth <= 2, {terms}ttl: {ttl}h, scope: tenant }}\n"
    route = "route refunds priority 50 { when refund > 0.8 to opus }\n"
    text = _HEAD + _SIGNALS + (_MODEL if model else "") + ("" if ttl is None else category)
    checked = check_bytes("swap.route", (text + (route if model else "") + _ROUTES).encode())
    assert checked.policy is not None, [finding.message for finding in checked.findings]
    return lower(checked.policy, normaliser=NORMALISER_VERSION)


CASES: dict[str, tuple[Program, Program, bool]] = {
    "answers": (program(1), program(2), True),
    "cache": (program(1), program(None), True),
    "terms": (program(1), program(1), True),
    "model": (program(1, model=True), program(2, model=True), True),
    "load": (program(None), program(None, model=True), False),
}
"""By name: the policy before, the one after, whether the cache is full."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round found, in milliseconds.

    Attributes:
        batch: median of what a batch takes.
        usual: longest time between the ends of two batches while nothing was swapped.
        longest: the same during the swap.
        still: longest time between two ticks of the timer while nothing was swapped.
        stood: the same during the same swap without decisions.
        swap: from the record to the new policy in force, under load.
    """

    batch: float
    usual: float
    longest: float
    still: float
    stood: float
    swap: float

    @property
    def gap(self) -> float:
        """What the swap added to the longest time between two batches."""
        return max(0.0, self.longest - self.usual)

    @property
    def stall(self) -> float:
        """What the swap added to the longest time between two ticks."""
        return max(0.0, self.stood - self.still)


def batches(size: int, seed: int = 7) -> Iterator[list[Record]]:
    """Batches of requests without end; their texts come again."""
    rng = random.Random(seed)
    words = [f"{rng.choice('bcdfgklmnprst')}{rng.choice('aeiou')}{n % 97}" for n in range(400)]
    values = [
        orjson.dumps(
            {
                "request_id": f"r-{n}",
                "attributes": {"tenant": f"t{n % TENANTS}", "tier": rng.choice(["free", "pro"])},
                "body": {
                    "messages": [{"role": "user", "content": " ".join(rng.choices(words, k=8))}],
                    "max_tokens": rng.randrange(50, 400),
                },
            }
        )
        for n in range(TEXTS)
    ]
    offset = 0
    while True:
        yield [
            Record("requests", 0, at, 1_000_000, None, values[at % TEXTS])
            for at in range(offset, offset + size)
        ]
        offset += size


def fill(cache: SemanticCache, count: int, dimension: int) -> None:
    """Answers of 300 bytes, as many for each tenant."""
    rng = np.random.default_rng(1)
    for number in range(count):
        partition = Partition(f"tenant=t{number % TENANTS}", "answers", b"swap")
        row = rng.standard_normal(dimension, dtype=np.float32) if dimension > 1 else None
        cache.put(partition, number.to_bytes(8, "big"), row, b"%300d" % number, 1000.0)


def open_here(made: Program, hash: str, memory: Memory | None, *, silent: bool) -> PolicyService:
    """Open a program as a worker does."""
    return open_service(made, Config(), hash=hash, memory=memory)


async def decide(
    live: LivePolicy, source: Iterator[list[Record]], ends: list[float], stop: asyncio.Event
) -> None:
    """Decide one batch after another, and note when each ended; until told to stop."""
    while not stop.is_set():
        records = next(source)
        live.begin_batch()
        await live.decide(records)
        live.end_batch()
        ends.append(time.perf_counter())
        await asyncio.sleep(0)


async def tick(ends: list[float], stop: asyncio.Event) -> None:
    """Note the time every millisecond; until told to stop."""
    while not stop.is_set():
        await asyncio.sleep(0.001)
        ends.append(time.perf_counter())


def longest(steps: Sequence[float], count: int) -> float:
    """The longest of so many steps in a row: the median over such stretches."""
    starts = range(0, max(1, len(steps) - count + 1), count)
    return statistics.median(max(steps[start : start + count]) for start in starts)


async def swap(
    case: str, entries: int, source: Iterator[list[Record]] | None
) -> tuple[float, float, float, float]:
    """One swap, under load from a source or idle.

    Returns:
        Milliseconds: the median time between two ends, the longest of as many as during the swap,
        the longest during the swap, and how long the swap took.
    """
    old, new, full = CASES[case]
    prepare_to_follow(old)
    live = LivePolicy(open_here(old, digest(old), None, silent=False))
    activation = Activation(old, digest(old), live, open_here)
    memory = live.in_force.active.memory
    cache, embedder = memory.cache, memory.embedder
    if full:
        assert cache is not None
        dimension = 1 if embedder is None else embedder.dimension
        await asyncio.to_thread(fill, cache, entries, dimension)
    if embedder is not None:
        texts = batches(TEXTS)
        await live.decide(next(texts))
    # As in a worker; but what one round leaves must not be kept for good.
    spare_the_stream()
    gc.unfreeze()
    ends: list[float] = []
    stop = asyncio.Event()
    work = asyncio.create_task(
        tick(ends, stop) if source is None else decide(live, source, ends, stop)
    )
    quiet = TICKS if source is None else QUIET

    async def more(count: int) -> None:
        wanted = len(ends) + count
        while len(ends) < wanted:
            await asyncio.sleep(0.001)
            assert not work.done(), work

    # Made before, as the loop would wait for it.
    record = Record("routec.policies", 0, 0, 0, b"swapped", dump(new), ())
    new_hash = digest(new)
    await more(5)
    first = len(ends) - 1
    await more(BEFORE * quiet)
    begun = len(ends) - 1
    arrived = time.perf_counter()
    await activation.apply([record])
    took = time.perf_counter() - arrived
    assert live.policy_hash == new_hash
    if case != "load":
        await more(quiet)
    seen = len(ends)
    stop.set()
    await work
    live.close()
    steps = [(later - earlier) * 1e3 for earlier, later in pairwise(ends[:seen])]
    before, after = steps[first:begun], steps[begun:]
    return statistics.median(before), longest(before, len(after)), max(after), took * 1e3


async def settle() -> None:
    """Let go of the policies before, so that the next swap loads its model anew."""
    await asyncio.sleep(0.05)
    gc.collect()


async def measure(case: str, arguments: argparse.Namespace) -> Round:
    """One round: under load, then idle."""
    source = batches(arguments.batch)
    batch, usual, worst, took = await swap(case, arguments.entries, source)
    await settle()
    _, still, stood, _ = await swap(case, arguments.entries, None)
    await settle()
    return Round(batch, usual, worst, still, stood, took)


def results(
    case: str, rounds: Sequence[Round], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """The medians of gap and stall as ratios to the median batch."""

    def middle(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in rounds))

    batch = middle("batch")

    def found(name: str, **more: float) -> dict[str, Any]:
        ratio = middle(name) / batch
        return {
            "name": f"swap/{case}-{name}",
            "value": round(middle(name), 2),
            "unit": "ms",
            "baseline": round(batch, 2),
            "baseline_name": "batch",
            "ratio": round(ratio, 3),
            "target": TARGET,
            "met": ratio <= TARGET,
            "rounds": [round(getattr(one, name), 2) for one in rounds],
            "baseline_rounds": [round(one.batch, 2) for one in rounds],
            "entries": arguments.entries if CASES[case][2] else 0,
            "batch": arguments.batch,
        } | {key: round(value, 2) for key, value in more.items()}

    took = middle("swap")
    return [
        found("gap", longest_ms=middle("longest"), usual_ms=middle("usual"), swap_ms=took),
        found("stall", longest_ms=middle("stood"), usual_ms=middle("still")),
    ]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(CASES), help="some of the cases, with commas")
    parser.add_argument("--entries", type=int, default=100_000, help="answers in the cache")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    cases = arguments.only.split(",")
    if unknown := set(cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    measured = []
    for case in cases:
        rounds = [uvloop.run(measure(case, arguments)) for _ in range(arguments.rounds)]
        measured += results(case, rounds, arguments)
    if arguments.format == "json":
        print(json.dumps({"results": measured}))
        return 0
    for one in measured:
        print(
            f"{one['name']}: {one['value']} ms, batch {one['baseline']} ms: ratio {one['ratio']} "
            f"(target {TARGET}, {'met' if one['met'] else 'missed'})"
        )
        print(f"  rounds: {', '.join(str(value) for value in one['rounds'])}")
        print(
            f"  longest between two ends {one['longest_ms']} ms, without a swap "
            f"{one['usual_ms']} ms"
            + (f"; in force after {one['swap_ms']} ms" if "swap_ms" in one else "")
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
