"""Events per second of the worker against a bare pass-through, on the same broker.

Both read the same requests with the same client settings and batch sizes, decode
each event, encode a decision, produce it to the same partition and commit; both
decide one batch while the one before is being written. The pass-through does
nothing else: no dead letters, no rebalances, no limits. Runs alternate; the
median of each counts, and what is compared is the ratio.

The worker decides with no policy at all (`null`), which measures the stream, and
by policies: `benchmarks/stream.route`, whose signals are cheap, or those named. Their
ratio is to the same pass-through, which evaluates nothing.

    python benchmarks/stream.py                      # starts Apache Kafka itself
    python benchmarks/stream.py --bootstrap HOST:PORT
    python benchmarks/stream.py --policy examples/policies/helpdesk.route --events 2000 --rounds 1
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import orjson
import uvloop
from aiokafka import AIOKafkaProducer, TopicPartition

from routec.runtime.config import Config, Kafka, Runtime, Topics
from routec.runtime.records import Decided, Decider, Outcome, Record
from routec.runtime.stream import Worker, create_topics
from routec.runtime.stream.clients import connect, make_consumer, make_producer

TARGET = 0.70
"""Least ratio of worker to pass-through."""
PARTITIONS = 8


def decide(value: bytes, topic: str, partition: int, offset: int) -> bytes:
    """Decode a request and encode a decision about it, the same in both workers."""
    event = orjson.loads(value)
    tokens = event["body"]["max_tokens"]
    return orjson.dumps(
        {
            "decision_id": f"{topic}-{partition}-{offset}",
            "request_id": event["request_id"],
            "outcome": "route",
            "route": "small" if tokens < 200 else "large",
            "model": "mini" if tokens < 200 else "opus",
            "tags": [],
            "policy": {"name": "null", "hash": "sha256:null"},
        }
    )


class NullDecider:
    """Decides with no policy at all."""

    policy_hash = "sha256:null"

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """One decision a record."""
        return [
            Decided(decide(record.value or b"", record.topic, record.partition, record.offset), ())
            for record in records
        ]

    def learn(self, responses: Sequence[Record]) -> None:
        """Nothing to learn."""


class Timed:
    """A decider that notes when it is first asked."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self.begun: float | None = None

    @property
    def policy_hash(self) -> str:
        """That of the decider."""
        return self._decider.policy_hash

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """As the decider decides."""
        if self.begun is None:
            self.begun = time.perf_counter()
        return await self._decider.decide(records)

    def learn(self, responses: Sequence[Record]) -> None:
        """As the decider learns."""
        self._decider.learn(responses)


def policy_decider(file: str) -> Callable[[], Decider]:
    """Opens a policy anew for each run, so that none profits from what another embedded."""
    from routec.cli.programs import compile_file
    from routec.runtime.service import open_service

    compiled = compile_file(file)
    return lambda: open_service(compiled.program, compiled.config)


def requests(count: int, seed: int = 7) -> Iterator[bytes]:
    """Seeded request events of about 850 bytes."""
    rng = random.Random(seed)
    words = [f"{rng.choice('bcdfgklmnprst')}{rng.choice('aeiou')}{n % 97}" for n in range(400)]
    for number in range(count):
        text = " ".join(rng.choices(words, k=140))
        yield orjson.dumps(
            {
                "request_id": f"r-{number}",
                "time": "2026-11-22T09:00:00Z",
                "attributes": {"tenant": f"t{number % 50}", "tier": "pro"},
                "body": {
                    "model": "auto",
                    "messages": [{"role": "user", "content": text}],
                    "max_tokens": rng.randrange(50, 400),
                },
            }
        )


async def load(config: Config, count: int) -> float:
    """Write the requests; their mean size in bytes."""
    producer: AIOKafkaProducer = await connect(lambda: make_producer(config), config)
    size, waiting = 0, []
    builders = [producer.create_batch() for _ in range(PARTITIONS)]

    async def ship(partition: int) -> None:
        waiting.append(
            await producer.send_batch(
                builders[partition], config.topics.requests, partition=partition
            )
        )
        builders[partition] = producer.create_batch()

    try:
        for number, value in enumerate(requests(count)):
            size += len(value)
            partition = number % PARTITIONS
            if builders[partition].append(timestamp=None, key=None, value=value) is None:
                await ship(partition)
                builders[partition].append(timestamp=None, key=None, value=value)
        for partition in range(PARTITIONS):
            await ship(partition)
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()
    return size / count


async def pass_through(config: Config, count: int) -> float:
    """Events per second of the bare loop."""
    consumer = await connect(lambda: make_consumer(config, group=True), config)
    producer = await connect(lambda: make_producer(config), config)
    topic = config.topics.decisions
    done = 0
    begun = committed = 0.0
    offsets: dict[TopicPartition, int] = {}

    async def deliver(answers: dict[TopicPartition, list[bytes]], ends: dict[Any, int]) -> None:
        nonlocal done, committed
        now = int(time.time() * 1000)
        sent = []
        for partition, values in answers.items():
            builder = producer.create_batch()
            for value in values:
                if builder.append(timestamp=now, key=None, value=value) is None:
                    sent.append(
                        await producer.send_batch(builder, topic, partition=partition.partition)
                    )
                    builder = producer.create_batch()
                    builder.append(timestamp=now, key=None, value=value)
            sent.append(await producer.send_batch(builder, topic, partition=partition.partition))
        await asyncio.gather(*sent)
        offsets.update(ends)
        if time.monotonic() - committed >= config.runtime.commit_interval:
            committed = time.monotonic()
            await consumer.commit(dict(offsets))
        done += sum(len(values) for values in answers.values())

    try:
        consumer.subscribe([config.topics.requests])
        delivery: Awaitable[None] | None = None
        taken_all = 0
        while taken_all < count:
            taken = await consumer.getmany(timeout_ms=200, max_records=config.runtime.batch_size)
            if not taken:
                continue
            begun = begun or time.perf_counter()
            answers = {
                partition: [
                    decide(one.value, one.topic, one.partition, one.offset) for one in records
                ]
                for partition, records in taken.items()
            }
            ends = {partition: records[-1].offset + 1 for partition, records in taken.items()}
            taken_all += sum(map(len, answers.values()))
            if delivery is not None:
                await delivery
            delivery = asyncio.create_task(deliver(answers, ends))
        if delivery is not None:
            await delivery
        seconds = time.perf_counter() - begun
        await consumer.commit(offsets)
    finally:
        await consumer.stop()
        await producer.stop()
    assert done == count
    return count / seconds


async def worker(config: Config, count: int, decider: Decider) -> float:
    """Events per second of the worker."""
    timed = Timed(decider)
    one = Worker(config, timed)
    task = asyncio.create_task(one.run())
    while one.counts.decided + one.counts.dead < count and not task.done():  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    ended = time.perf_counter()
    one.stop()
    await task
    assert timed.begun is not None
    assert one.counts.decided == count, one.counts
    return count / (ended - timed.begun)


async def measure(arguments: argparse.Namespace, bootstrap: str) -> list[dict[str, Any]]:
    """Alternate them and compare their medians."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    topics = {field: f"{name}.{field}" for field in Topics.__struct_fields__}
    topics["responses"] = ""
    config = Config(
        kafka=Kafka(bootstrap=bootstrap),
        topics=Topics(**topics),
        runtime=Runtime(batch_size=arguments.batch),
    )
    await create_topics(config, partitions=PARTITIONS)
    size = await load(config, arguments.events)
    deciders: dict[str, Callable[[], Decider]] = {"null": NullDecider}
    for file in arguments.policy or [str(Path(__file__).with_name("stream.route"))]:
        deciders[Path(file).stem] = policy_decider(file)
    rates: dict[str, list[float]] = {"pass-through": [], **{name: [] for name in deciders}}

    def fresh() -> Config:
        kafka = msgspec.structs.replace(config.kafka, group=f"{name}-{uuid.uuid4().hex[:8]}")
        return msgspec.structs.replace(config, kafka=kafka)

    # The first round only warms up broker and code.
    for round_number in range(arguments.rounds + 1):
        found = {"pass-through": await pass_through(fresh(), arguments.events)}
        for who, make in deciders.items():
            found[who] = await worker(fresh(), arguments.events, make())
        if round_number:
            for who, rate in found.items():
                rates[who].append(rate)
    baseline = statistics.median(rates["pass-through"])
    results = []
    for who in deciders:
        value = statistics.median(rates[who])
        target = TARGET if who == "null" else None
        results.append(
            {
                "name": f"stream/worker-{who}",
                "value": round(value),
                "unit": "events/s",
                "baseline": round(baseline),
                "ratio": round(value / baseline, 3),
                "target": target,
                "met": None if target is None else value / baseline >= target,
                "rounds": [round(rate) for rate in rates[who]],
                "baseline_rounds": [round(rate) for rate in rates["pass-through"]],
                "events": arguments.events,
                "event_bytes": round(size),
                "batch": arguments.batch,
            }
        )
    return results


@contextmanager
def kafka(bootstrap: str | None) -> Iterator[str]:
    """The broker named, or one of our own."""
    if bootstrap is not None:
        yield bootstrap
        return
    folder = Path(__file__).resolve().parents[1] / "tests" / "kafka" / "broker"
    sys.path.insert(0, str(folder))
    from apache_kafka import ApacheKafka

    with ApacheKafka() as broker:
        yield broker.bootstrap


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bootstrap", help="a running broker; otherwise one is started")
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument(
        "--policy", action="append", metavar="FILE", help="a policy to decide by; repeatable"
    )
    parser.add_argument("--format", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    with kafka(arguments.bootstrap) as bootstrap:
        results = uvloop.run(measure(arguments, bootstrap))
    if arguments.format == "json":
        print(json.dumps({"results": results}))
        return 0
    for result in results:
        verdict = ""
        if result["target"] is not None:
            verdict = f" (target {result['target']}, {'met' if result['met'] else 'missed'})"
        print(
            f"{result['name']}: {result['value']:,} {result['unit']}, pass-through "
            f"{result['baseline']:,}: ratio {result['ratio']}{verdict}"
        )
        print(f"  runs: {', '.join(f'{rate:,}' for rate in result['rounds'])}")
    print(f"  pass-through: {', '.join(f'{rate:,}' for rate in results[0]['baseline_rounds'])}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
