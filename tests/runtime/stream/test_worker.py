"""The worker on the embedded broker: one worker, at least once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from routec.runtime.config import Config, Kafka, Runtime, Topics
from routec.runtime.embedded import PARTITIONS, EmbeddedBroker, embedded_broker
from routec.runtime.observe import POLICY, Health, Metrics
from routec.runtime.records import Dead, Decided, Outcome, Record
from routec.runtime.stream import Observed, StreamError, Worker, run_until_signalled

TOPICS = Topics()


class Doubler:
    """Answers an integer with its double."""

    policy_hash = "sha256:double"

    def __init__(self) -> None:
        self.learned: list[bytes | None] = []

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        return [self._one(record) for record in records]

    def _one(self, record: Record) -> Outcome:
        try:
            n = int(record.value or b"")
        except ValueError:
            return Dead("invalid-number", "the value is no integer")
        return Decided(str(2 * n).encode(), (("source", str(record.offset).encode()),))

    def learn(self, responses: Sequence[Record]) -> None:
        self.learned.extend(record.value for record in responses)


@asynccontextmanager
async def cluster(*topics: str) -> AsyncIterator[tuple[EmbeddedBroker, Config]]:
    async with embedded_broker(topics) as broker:
        yield (
            broker,
            Config(
                kafka=Kafka(
                    bootstrap=broker.bootstrap,
                    fetch_max_wait=broker.fetch_max_wait,
                    # The mock holds a second join for the session timeout less one second.
                    session_timeout=4.0,
                    heartbeat_interval=1.0,
                ),
                topics=TOPICS,
                runtime=Runtime(batch_size=64, delivery="at_least_once"),
            ),
        )


async def write(config: Config, topic: str, values: Sequence[tuple[int, bytes]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=config.kafka.bootstrap)
    await producer.start()
    try:
        sent = [await producer.send(topic, v, key=b"k", partition=p) for p, v in values]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def read(config: Config, topic: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=config.kafka.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=10
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        found: list[Any] = []
        async with asyncio.timeout(20):
            while len(found) < count:
                for some in (await consumer.getmany(timeout_ms=100)).values():
                    found.extend(some)
    finally:
        await consumer.stop()
    return found


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.01)


async def test_a_worker_decides_buries_learns_reports_and_resumes() -> None:
    topics = (TOPICS.requests, TOPICS.decisions, TOPICS.dlq, TOPICS.responses)
    async with cluster(*topics) as (_, config):
        values = [(n % PARTITIONS, b"bad" if n % 10 == 9 else str(n).encode()) for n in range(400)]
        await write(config, TOPICS.requests, values)

        # The first worker takes everything there is, and stops in order.
        metrics, health, decider = Metrics(), Health(), Doubler()
        health.set(POLICY, True)
        worker = Worker(config, decider, Observed(metrics, health))
        assert not worker.ready
        task = asyncio.create_task(worker.run())
        await until(lambda: worker.counts.decided + worker.counts.dead == 400)
        assert worker.ready
        assert health.ready
        await write(config, TOPICS.responses, [(2, b"response")])
        await until(lambda: decider.learned)
        worker.stop()
        await task
        assert not health.ready
        assert decider.learned == [b"response"]
        assert (worker.counts.taken, worker.counts.decided, worker.counts.dead) == (400, 360, 40)
        value = metrics.registry.get_sample_value
        assert value("routec_dead_letters_total", {"code": "invalid-number"}) == 40
        assert value("routec_batch_size_sum") == 400

        # The second goes on where the first left off.
        await write(config, TOPICS.requests, [(p, b"1000") for p in range(PARTITIONS)])
        second = Worker(config, Doubler())
        task = asyncio.create_task(second.run())
        await until(lambda: second.counts.decided == PARTITIONS)
        second.stop()
        await task
        assert second.counts.taken == PARTITIONS

        decisions = await read(config, TOPICS.decisions, 364)
        letters = await read(config, TOPICS.dlq, 40)
    assert len(decisions) == 364
    assert len(letters) == 40
    for partition in range(PARTITIONS):
        mine = [one for one in decisions if one.partition == partition]
        offsets = [int(dict(one.headers)["source"]) for one in mine]
        assert offsets == sorted(set(offsets))
        wanted = [2 * int(v) for p, v in values if p == partition and v != b"bad"] + [2000]
        assert [int(one.value) for one in mine] == wanted
        assert {one.key for one in mine} == {b"k"}
    assert {(one.value, one.key) for one in letters} == {(b"bad", b"k")}


async def test_missing_topics_are_named_at_start() -> None:
    async with cluster(TOPICS.requests, TOPICS.decisions) as (_, config):
        with pytest.raises(StreamError) as missing:
            await Worker(config, Doubler()).run()
        assert missing.value.code == "missing-topic"
        assert missing.value.message == ("the topics `routec.dlq`, `routec.responses` do not exist")
        without = msgspec.structs.replace(
            config, topics=msgspec.structs.replace(config.topics, responses="")
        )
        with pytest.raises(StreamError, match=r"the topic `routec\.dlq` does not exist"):
            await Worker(without, Doubler()).run()


async def test_a_signal_stops_and_a_second_one_stops_at_once() -> None:
    class Stuck(Doubler):
        def __init__(self) -> None:
            super().__init__()
            self.asked = asyncio.Event()

        async def decide(self, records: Sequence[Record]) -> list[Outcome]:
            self.asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    topics = (TOPICS.requests, TOPICS.decisions, TOPICS.dlq)
    async with cluster(*topics) as (_, config):
        config = msgspec.structs.replace(
            config, topics=msgspec.structs.replace(config.topics, responses="")
        )
        await write(config, TOPICS.requests, [(0, b"1")])
        decider = Stuck()
        task = asyncio.create_task(run_until_signalled(Worker(config, decider)))
        async with asyncio.timeout(20):
            await decider.asked.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.1)
        assert not task.done()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(asyncio.CancelledError):
            await task

        # What was in flight is not lost.
        worker = Worker(config, Doubler())
        task = asyncio.create_task(worker.run())
        await until(lambda: worker.counts.decided == 1)
        worker.stop()
        await task


async def test_the_embedded_broker_makes_its_topics_and_forgets_them() -> None:
    async with embedded_broker(["a", "b"]) as broker:
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
        await producer.start()
        cluster_of = await producer.client.fetch_all_metadata()
        await producer.stop()
        assert {name: len(cluster_of.partitions_for_topic(name)) for name in ("a", "b")} == {
            "a": broker.partitions,
            "b": broker.partitions,
        }
    host, port = broker.bootstrap.split(":")
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection(host, int(port))
