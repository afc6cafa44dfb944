"""Running the demo: a broker, a worker, sample traffic and its serving side in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Any

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from routec.cli.demo.schema import attributes_of
from routec.cli.demo.serving import response
from routec.cli.demo.source import Sending, sendings
from routec.cli.demo.tally import Tally
from routec.cli.demo.traffic import Sample
from routec.compiler.program import Program
from routec.runtime import config as c
from routec.runtime.deployment import Deployment
from routec.runtime.embedded import EmbeddedBroker, embedded_broker
from routec.runtime.stream import StreamError, Worker

PATIENCE = 30.0
"""Seconds without any news after which the demo gives up."""

_MOST_PENDING = 1000
"""Events that may be under way at once."""
_MOST_PENDING_BYTES = 4 << 20
"""Bytes that may be; the embedded broker silently drops what exceeds 5 MiB of a partition."""
_LARGEST = 8 << 20
_WORKER_START = 20.0
_POLL_MS = 50


async def run_demo(
    program: Program,
    deployment: Deployment,
    tally: Tally,
    *,
    count: int,
    rate: float,
    seed: int,
) -> None:
    """Send events and see all of them come out.

    Args:
        program: the policy's program, for its request schema.
        deployment: decides; the cluster, its topics and limits are the demo's own.
        tally: is told of everything, and may be shown meanwhile.
        count: events to send.
        rate: events a second; 0 for as fast as they are decided.
        seed: of the traffic.

    Raises:
        EmbeddedBrokerError: the broker cannot be started.
        StreamError: the worker cannot go on.
    """
    topics = c.Topics(feedback="", policies="")
    names = (topics.requests, topics.decisions, topics.responses, topics.dlq)
    async with embedded_broker(names) as broker:
        config = msgspec.structs.replace(
            deployment.config,
            kafka=c.Kafka(bootstrap=broker.bootstrap, fetch_max_wait=broker.fetch_max_wait),
            topics=topics,
            # The embedded broker only answers transactions, it makes none.
            runtime=c.Runtime(delivery="at_least_once"),
        )
        worker = deployment.worker(config)
        working = asyncio.create_task(worker.run(), name="routec-worker")
        outside = _Outside(broker, topics, tally)
        try:
            await _unless_ended(_ready(worker), working)
            await outside.start()
            tally.start()
            events = sendings(seed, count, attributes_of(program))
            await _unless_ended(outside.play(events, rate), working)
        finally:
            tally.end()
            await outside.stop()
            worker.stop()
            await working


async def _ready(worker: Worker) -> None:
    deadline = perf_counter() + _WORKER_START
    while not worker.ready:
        if perf_counter() > deadline:
            raise StreamError(
                "not-ready",
                f"the worker did not join its group within {_WORKER_START:g} s",
                "try again when the machine is less busy",
            )
        await asyncio.sleep(0.02)


async def _unless_ended(work: Coroutine[Any, Any, None], working: asyncio.Task[None]) -> None:
    """Do the work; give it up with the worker's error if the worker ends first."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task, working], return_when=asyncio.FIRST_COMPLETED)
        if working.done() and not task.done():
            working.result()
        else:
            task.result()
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class _Outside:
    """Everything around the worker: who asks, who answers, and who watches.

    Args:
        broker: the broker.
        topics: names of the topics.
        tally: is told of everything.
    """

    def __init__(self, broker: EmbeddedBroker, topics: c.Topics, tally: Tally) -> None:
        self._topics = topics
        self._tally = tally
        self._producer = AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap, acks="all", max_request_size=_LARGEST, linger_ms=0
        )
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=broker.bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=round(broker.fetch_max_wait * 1000),
            max_partition_fetch_bytes=_LARGEST,
        )
        self._partitions = [
            TopicPartition(topic, number)
            for topic in (topics.decisions, topics.dlq)
            for number in range(broker.partitions)
        ]
        self._samples: dict[str, tuple[Sample, int]] = {}
        self._bytes = 0
        self._moved = asyncio.Event()

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()
        await self._consumer.start()
        self._consumer.assign(self._partitions)

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()
        await self._producer.stop()

    async def play(self, events: Iterator[Sending], rate: float) -> None:
        """Send all events and watch until each has come out, or nothing moves any more."""
        sending = asyncio.create_task(self._send(events, rate))
        try:
            news = perf_counter()
            while not sending.done() or self._tally.pending > 0:
                if sending.done():
                    sending.result()
                if await self._watch():
                    news = perf_counter()
                elif perf_counter() - news > PATIENCE:
                    return
            sending.result()
        finally:
            if not sending.done():
                sending.cancel()
                with suppress(asyncio.CancelledError):
                    await sending

    async def _send(self, events: Iterator[Sending], rate: float) -> None:
        begun = perf_counter()
        for number, event in enumerate(events):
            while self._tally.pending >= _MOST_PENDING or (
                self._bytes and self._bytes + len(event.value) > _MOST_PENDING_BYTES
            ):
                self._moved.clear()
                await self._moved.wait()
            if rate and (early := begun + number / rate - perf_counter()) > 0:
                await asyncio.sleep(early)
            name: str | None = None
            if event.sample is not None:
                name = event.sample.event["request_id"]
                self._samples[name] = (event.sample, len(event.value))
            self._bytes += len(event.value)
            self._tally.send(name)
            key = None if name is None else name.encode()
            await self._producer.send(self._topics.requests, event.value, key=key)
        await self._producer.flush()

    async def _watch(self) -> bool:
        """See what came out; whether anything did."""
        taken = await self._consumer.getmany(timeout_ms=_POLL_MS)
        for partition, records in taken.items():
            for record in records:
                if partition.topic == self._topics.dlq:
                    self._bury(record)
                else:
                    await self._decided(orjson.loads(record.value))
        if taken:
            self._moved.set()
        return bool(taken)

    def _bury(self, record: Any) -> None:
        headers = dict(record.headers)
        self._tally.dead_letters[headers["routec.error.code"].decode()] += 1
        self._bytes -= len(record.value or b"")

    async def _decided(self, decision: dict[str, Any]) -> None:
        if not self._tally.decide(decision):
            return
        sample, size = self._samples.pop(decision["request_id"])
        self._bytes -= size
        if decision["outcome"] == "route":
            value = response(decision, sample)
            await self._producer.send(self._topics.responses, value)
            self._tally.answered += 1
