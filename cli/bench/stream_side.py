"""One side of the stream's benchmark, in a process of its own: the worker, or the bare loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from routec.cli.bench.stream_events import PARTITIONS, answer
from routec.cli.bench.stream_loop import BareLoop
from routec.runtime.config import Config, Runtime, Topics, load_config
from routec.runtime.records import Decided, Outcome, Record
from routec.runtime.stream import StreamError, Worker
from routec.runtime.stream.observer import Silent
from routec.runtime.stream.process import spare_the_stream

Side = Literal["worker", "bare"]
Delivery = Literal["exactly_once", "at_least_once"]
_SETTLING = 0.2
"""Share of the events, from the first, that does not count: everything is getting going then."""


class Spec(msgspec.Struct, frozen=True):
    """What to run. Secrets come from the environment, as everywhere.

    Attributes:
        side: the worker or the bare loop.
        delivery: as `runtime.delivery`.
        file: the configuration of the cluster; ``None`` for none.
        bootstrap: the brokers.
        prefix: what the topics' names begin with.
        group: the consumer group.
        count: events to decide.
    """

    side: Side
    delivery: Delivery
    file: str | None
    bootstrap: str
    prefix: str
    group: str
    count: int


def config_of(kafka: Config, prefix: str, group: str, delivery: Delivery) -> Config:
    """A cluster's configuration for topics of one's own, and no others than a worker needs."""
    topics = dict.fromkeys(Topics.__struct_fields__, "")
    topics |= {field: f"{prefix}.{field}" for field in ("requests", "decisions", "dlq")}
    return Config(
        kafka=msgspec.structs.replace(kafka.kafka, group=group, instance_id=None, start="earliest"),
        topics=Topics(**topics),
        runtime=Runtime(delivery=delivery),
    )


class Tally(Silent):
    """Counts commits until all events are committed.

    Attributes:
        done: set then.
        opened: set when all partitions are open (the worker only).
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._events = 0
        self._begin = self._end = (0, time.perf_counter(), time.process_time())
        self._settled = False
        self.done = asyncio.Event()
        self.opened = asyncio.Event()

    def committed(self, events: int, seconds: float) -> None:
        """One commit (at least once: one acknowledged write) of a partition's outcomes."""
        self._events += events
        mark = (self._events, time.perf_counter(), time.process_time())
        if self._events >= self._count:
            self._end = mark
            self.done.set()
        elif not self._settled and self._events >= _SETTLING * self._count:
            self._settled, self._begin = True, mark

    def ready(self, holds: bool) -> None:
        """All partitions are open."""
        if holds:
            self.opened.set()

    def report(self) -> dict[str, Any]:
        """Events per second, and microseconds of processor time per event."""
        events, seconds, cpu = (
            end - begin for begin, end in zip(self._begin, self._end, strict=True)
        )
        return {"rate": events / seconds, "cpu_us": cpu / events * 1e6}


class _NoPolicy:
    """Decides by no policy, once all partitions are open: so all take part from the first batch."""

    policy_hash = "sha256:none"

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """One decision a record."""
        if not self._tally.opened.is_set():
            await self._tally.opened.wait()
        return [
            Decided(answer(one.value or b"", one.topic, one.partition, one.offset), ())
            for one in records
        ]

    def learn(self, responses: Sequence[Record]) -> None:
        """Nothing to learn."""


def run_side(text: str) -> dict[str, Any]:
    """Run a side; its figures, or ``{"error": [MESSAGE, HELP]}``.

    Args:
        text: a `Spec` as JSON.
    """
    import uvloop

    spec = msgspec.json.decode(text, type=Spec)
    try:
        return uvloop.run(_run(spec))
    except StreamError as error:
        return {"error": [error.message, error.help]}


async def _run(spec: Spec) -> dict[str, Any]:
    loaded = load_config(None if spec.file is None else Path(spec.file), os.environ)
    kafka = msgspec.structs.replace(loaded.kafka, bootstrap=spec.bootstrap)
    config = config_of(
        msgspec.structs.replace(loaded, kafka=kafka), spec.prefix, spec.group, spec.delivery
    )
    tally = Tally(spec.count)
    side: Worker | BareLoop
    if spec.side == "worker":
        side = Worker(config, _NoPolicy(tally), tally)
    else:
        side = BareLoop(config, PARTITIONS, answer, tally.committed)
    # As `routec run` does; the bare loop has it easier as well.
    spare_the_stream()
    running = asyncio.create_task(side.run())
    waiting = asyncio.create_task(tally.done.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    side.stop()
    await running
    waiting.cancel()
    return tally.report()
