"""FastStream, Quix Streams and the worker doing the same work on the same broker."""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer

from routec.runtime.config import Config
from streaming import traffic
from streaming.candidate import spec
from streaming.processes import Process, candidate, reader
from streaming.setting import ROOT, Delivery, drop_topics, fresh, load, make_topics, new_config
from streaming.throughput import POLICY

RIVALS = Path(__file__).resolve().parents[1] / "rivals"
_PATIENCE = 180.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One run as seen from outside.

    Attributes:
        rate: events per second, from the first decision read to the last.
        cpu_us: CPU of its process per event meanwhile, in microseconds.
        reads: how often new decisions were there, which tells how they are grouped.
    """

    rate: float
    cpu_us: float
    reads: int


def install() -> str:
    """The interpreter of a virtual environment of their own, made unless it is there."""
    wanted = hashlib.sha256((RIVALS / "requirements.txt").read_bytes()).hexdigest()[:12]
    folder = ROOT / "build" / f"rivals-{wanted}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--require-hashes", "-r", str(RIVALS / "requirements.txt")]
        subprocess.run(command, check=True)
        (folder / "complete").touch()
    return str(python)


def versions(python: str) -> dict[str, str]:
    """Versions of what is compared, and of the clients below."""
    names = ("faststream", "quixstreams", "aiokafka", "confluent-kafka")
    code = f"""import importlib.metadata as m, json
print(json.dumps({{name: m.version(name) for name in {names!r}}}))"""
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found | {"routec": metadata.version("routec")}


Name = tuple[str, Delivery]
"""A title and how it delivers."""

Start = Callable[[Config], Process]
"""Makes a candidate that decides all requests of a configuration as a new group."""


def candidates(python: str) -> dict[Name, Start]:
    """By name."""
    alo: Delivery = "at_least_once"
    eos: Delivery = "exactly_once"

    def fast_stream(config: Config) -> Process:
        return Process(python, str(RIVALS / "fast_stream.py"), json.dumps(_rival(config)))

    def quix(**options: object) -> Start:
        def start(config: Config) -> Process:
            guarantee = config.runtime.delivery.replace("_", "-")
            given = _rival(config) | {"guarantee": guarantee} | options
            return Process(python, str(RIVALS / "quix_streams.py"), json.dumps(given))

        return start

    def ours(policy: Path | None) -> Start:
        name = None if policy is None else str(policy)
        return lambda config: candidate(spec(config, "worker", traffic.PARTITIONS, policy=name))

    batch, often = {"commit_every": 500}, {"commit_interval": 0.1}
    return {
        ("FastStream", alo): fast_stream,
        ("Quix Streams, commits every 500 events", alo): quix(**batch),
        ("Quix Streams, commits every 0.1 s", alo): quix(**often),
        ("routec, no policy", alo): ours(None),
        ("routec, `stream.route`", alo): ours(POLICY),
        ("Quix Streams, commits every 500 events", eos): quix(**batch),
        ("Quix Streams, commits every 0.1 s", eos): quix(**often),
        ("routec, no policy", eos): ours(None),
        ("routec, `stream.route`", eos): ours(POLICY),
    }


def _rival(config: Config) -> dict[str, object]:
    return {
        "bootstrap": config.kafka.bootstrap,
        "group": config.kafka.group,
        "requests": config.topics.requests,
        "decisions": config.topics.decisions,
        "batch": config.runtime.batch_size,
    }


async def measure(
    bootstrap: str, who: dict[Name, Start], events: int, rounds: int, batch: int
) -> dict[Name, list[Sighting]]:
    """Alternate them; the first round, which warms up the broker, does not count."""
    config = new_config(bootstrap, batch)
    await make_topics(config)
    await load(config, events)
    found: dict[Name, list[Sighting]] = {name: [] for name in who}
    for number in range(rounds + 1):
        for (title, delivery), start in who.items():
            decisions = await reader(config, traffic.PARTITIONS)
            try:
                async with start(fresh(config, delivery)) as process:
                    seen = await _watch(title, process, decisions, events)
                    process.end()
                    await process.report()
            finally:
                await decisions.stop()
            if number:
                found[title, delivery].append(seen)
    await drop_topics(config)
    return found


async def _watch(name: str, process: Process, decisions: AIOKafkaConsumer, events: int) -> Sighting:
    """Read all decisions of a run; whoever loses, doubles or moves one has not done the work."""
    values: list[tuple[int, bytes]] = []
    first, begun, used, reads = 0, 0.0, 0.0, 0
    deadline = time.monotonic() + _PATIENCE
    while len(values) < events:
        if not process.alive or time.monotonic() > deadline:
            raise RuntimeError(f"{name}: {len(values)} of {events} decided\n{process.errors()}")
        taken = await decisions.getmany(timeout_ms=200, max_records=10_000)
        if not taken:
            continue
        reads += 1
        for partition, records in taken.items():
            values += [(partition.partition, one.value) for one in records]
        if not begun:
            first, begun, used = len(values), time.monotonic(), process.cpu_seconds()
    ended, spent = time.monotonic(), process.cpu_seconds() - used
    await asyncio.sleep(0.5)
    late = await decisions.getmany(timeout_ms=0)
    numbers = {int(orjson.loads(value)["request_id"][2:]): at for at, value in values}
    moved = sum(number % traffic.PARTITIONS != at for number, at in numbers.items())
    if len(numbers) != events or moved or late:
        raise RuntimeError(f"{name}: {events - len(numbers)} missing, {moved} moved, {late=}")
    counted = events - first
    if not counted:
        raise RuntimeError(f"{name}: all decisions were there at once; use more --events")
    return Sighting(counted / (ended - begun), spent / counted * 1e6, reads)


def middle(runs: list[Sighting]) -> Sighting:
    """Median of each figure."""
    return Sighting(
        statistics.median(one.rate for one in runs),
        statistics.median(one.cpu_us for one in runs),
        round(statistics.median(one.reads for one in runs)),
    )
