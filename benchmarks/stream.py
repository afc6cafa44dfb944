"""Events per second of the worker against bare pass-throughs, on the same broker.

All read the same requests with the same client settings and batch sizes, decode each event,
encode a decision, produce it to the same partition and commit; all decide one batch while the one
before is being written. The pass-throughs do nothing else: no dead letters, no rebalances, no
limits. One commits offsets now and then (at least once); the other makes the transactions that the
worker makes, one for each partition of a batch, through a producer for each partition (exactly
once). Runs alternate; the median of each counts, and what is compared is the ratio.

The worker decides with no policy at all (`null`), which measures the stream, and, exactly once,
by policies: `benchmarks/stream.route`, whose signals are cheap, or those named. Their ratio is to
the same pass-through, which evaluates nothing.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from routec.runtime.config import Config, Kafka, Runtime, Topics
from routec.runtime.records import Decided, Decider, Outcome, Record
from routec.runtime.stream import Worker, create_topics
from routec.runtime.stream.clients import connect, make_consumer, make_producer, transactional_id

TARGET = 0.70
"""Least ratio of worker to pass-through of the same delivery."""
ONCE_TARGET = 0.88
"""Least ratio of exactly once to at least once, both by the worker."""
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


Answers = dict[TopicPartition, tuple[list[bytes], int]]
"""By partition, decisions in order and the offset after the last request."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took.

    Attributes:
        rate: events per second.
        cpu_us: microseconds of this process's CPU time per event.
    """

    rate: float
    cpu_us: float


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
        self.used = 0.0

    @property
    def policy_hash(self) -> str:
        """That of the decider."""
        return self._decider.policy_hash

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """As the decider decides."""
        if self.begun is None:
            self.begun, self.used = time.perf_counter(), time.process_time()
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


class Plain:
    """Writes batches and commits their offsets now and then."""

    def __init__(self, config: Config, consumer: AIOKafkaConsumer) -> None:
        self._config = config
        self._consumer = consumer
        self._committed = 0.0
        self._offsets: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        """Connect."""
        self._producer = await connect(lambda: make_producer(self._config), self._config)

    async def deliver(self, answers: Answers) -> None:
        """Write, wait, commit if it is time."""
        topic = self._config.topics.decisions
        sent = []
        for partition, (values, _) in answers.items():
            sent += await send(self._producer, topic, partition.partition, values)
        await asyncio.gather(*sent)
        self._offsets.update({partition: end for partition, (_, end) in answers.items()})
        if time.monotonic() - self._committed >= self._config.runtime.commit_interval:
            self._committed = time.monotonic()
            await self._consumer.commit(dict(self._offsets))

    async def stop(self) -> None:
        """Commit the rest and disconnect."""
        await self._consumer.commit(self._offsets)
        await self._producer.stop()


class Transactional:
    """Writes each partition of a batch in a transaction, with its offset."""

    def __init__(self, config: Config, consumer: AIOKafkaConsumer) -> None:
        self._config = config
        self._producers: dict[TopicPartition, AIOKafkaProducer] = {}

    async def start(self) -> None:
        """Connect a producer for each partition."""
        for number in range(PARTITIONS):
            partition = TopicPartition(self._config.topics.requests, number)
            name = transactional_id(self._config, partition)
            self._producers[partition] = await connect(
                lambda name=name: make_producer(self._config, transactional=name), self._config
            )

    async def deliver(self, answers: Answers) -> None:
        """All partitions at once."""
        await asyncio.gather(
            *(self._one(partition, *answer) for partition, answer in answers.items())
        )

    async def _one(self, partition: TopicPartition, values: list[bytes], end: int) -> None:
        producer = self._producers[partition]
        await producer.begin_transaction()
        sent = await send(producer, self._config.topics.decisions, partition.partition, values)
        await asyncio.gather(*sent)
        await producer.send_offsets_to_transaction({partition: end}, self._config.kafka.group)
        await producer.commit_transaction()

    async def stop(self) -> None:
        """Disconnect."""
        for producer in self._producers.values():
            await producer.stop()


async def send(
    producer: AIOKafkaProducer, topic: str, partition: int, values: list[bytes]
) -> list[Any]:
    """Hand values to a producer in its batches; their futures."""
    now = int(time.time() * 1000)
    builder, sent = producer.create_batch(), []
    for value in values:
        if builder.append(timestamp=now, key=None, value=value) is None:
            sent.append(await producer.send_batch(builder, topic, partition=partition))
            builder = producer.create_batch()
            builder.append(timestamp=now, key=None, value=value)
    sent.append(await producer.send_batch(builder, topic, partition=partition))
    return sent


async def pass_through(config: Config, count: int) -> Run:
    """The bare loop."""
    consumer = await connect(
        lambda: make_consumer(config, group=True, partitions=PARTITIONS), config
    )
    kind = Plain if config.runtime.delivery == "at_least_once" else Transactional
    writer = kind(config, consumer)
    await writer.start()
    done, begun, used = 0, 0.0, 0.0
    try:
        consumer.subscribe([config.topics.requests])
        delivery: asyncio.Task[None] | None = None
        while done < count:
            taken = await consumer.getmany(timeout_ms=200, max_records=config.runtime.batch_size)
            if not taken:
                continue
            if not begun:
                begun, used = time.perf_counter(), time.process_time()
            answers = {
                partition: (
                    [decide(one.value, one.topic, one.partition, one.offset) for one in records],
                    records[-1].offset + 1,
                )
                for partition, records in taken.items()
            }
            done += sum(map(len, taken.values()))
            if delivery is not None:
                await delivery
            delivery = asyncio.create_task(writer.deliver(answers))
        if delivery is not None:
            await delivery
        ended, spent = time.perf_counter(), time.process_time() - used
    finally:
        await writer.stop()
        await consumer.stop()
    assert done == count
    return Run(count / (ended - begun), spent / count * 1e6)


async def worker(config: Config, count: int, decider: Decider) -> Run:
    """The worker."""
    timed = Timed(decider)
    one = Worker(config, timed)
    task = asyncio.create_task(one.run())
    while one.counts.decided + one.counts.dead < count and not task.done():  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    ended, used = time.perf_counter(), time.process_time()
    one.stop()
    await task
    assert timed.begun is not None
    assert one.counts.decided == count, one.counts
    return Run(count / (ended - timed.begun), (used - timed.used) / count * 1e6)


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

    def fresh(delivery: Literal["exactly_once", "at_least_once"]) -> Config:
        kafka = msgspec.structs.replace(config.kafka, group=f"{name}-{uuid.uuid4().hex[:8]}")
        runtime = msgspec.structs.replace(config.runtime, delivery=delivery)
        return msgspec.structs.replace(config, kafka=kafka, runtime=runtime)

    def working(
        delivery: Literal["exactly_once", "at_least_once"], make: Callable[[], Decider]
    ) -> Callable[[], Awaitable[Run]]:
        return lambda: worker(fresh(delivery), arguments.events, make())

    runners: dict[str, Callable[[], Awaitable[Run]]] = {
        "pass-through-alo": lambda: pass_through(fresh("at_least_once"), arguments.events),
        "pass-through-eos": lambda: pass_through(fresh("exactly_once"), arguments.events),
        "worker-alo-null": working("at_least_once", NullDecider),
        "worker-eos-null": working("exactly_once", NullDecider),
    }
    for file in arguments.policy or [str(Path(__file__).with_name("stream.route"))]:
        runners[f"worker-eos-{Path(file).stem}"] = working("exactly_once", policy_decider(file))
    runs: dict[str, list[Run]] = {name: [] for name in runners}
    # The first round only warms up broker and code.
    for round_number in range(arguments.rounds + 1):
        for who, run in runners.items():
            found = await run()
            if round_number:
                runs[who].append(found)

    def result(who: str, baseline: str, title: str, target: float | None) -> dict[str, Any]:
        value = statistics.median(one.rate for one in runs[who])
        base = statistics.median(one.rate for one in runs[baseline])
        cpu = statistics.median(one.cpu_us for one in runs[who])
        base_cpu = statistics.median(one.cpu_us for one in runs[baseline])
        return {
            "name": f"stream/{title}",
            "value": round(value),
            "unit": "events/s",
            "baseline": round(base),
            "baseline_name": baseline,
            "ratio": round(value / base, 3),
            "target": target,
            "met": None if target is None else value / base >= target,
            "rounds": [round(one.rate) for one in runs[who]],
            "baseline_rounds": [round(one.rate) for one in runs[baseline]],
            "cpu_us": round(cpu, 2),
            "baseline_cpu_us": round(base_cpu, 2),
            "events": arguments.events,
            "event_bytes": round(size),
            "batch": arguments.batch,
        }

    results = [
        result("worker-alo-null", "pass-through-alo", "worker-alo-null", TARGET),
        result("worker-eos-null", "pass-through-eos", "worker-eos-null", TARGET),
        result("worker-eos-null", "worker-alo-null", "eos-to-alo", ONCE_TARGET),
        result("pass-through-eos", "pass-through-alo", "pass-through-eos-to-alo", None),
    ]
    results += [
        result(who, "pass-through-eos", who, None)
        for who in runners
        if who.startswith("worker-eos-") and who != "worker-eos-null"
    ]
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
            f"{result['name']}: {result['value']:,} {result['unit']}, {result['baseline_name']} "
            f"{result['baseline']:,}: ratio {result['ratio']}{verdict}; CPU "
            f"{result['cpu_us']} against {result['baseline_cpu_us']} us an event"
        )
        print(f"  runs: {', '.join(f'{rate:,}' for rate in result['rounds'])}")
        print(f"  against: {', '.join(f'{rate:,}' for rate in result['baseline_rounds'])}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
