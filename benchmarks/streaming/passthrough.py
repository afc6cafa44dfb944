"""A worker that does the same transactions without us.

One task reads and decides; a task for each partition takes whatever has queued up for it while
its last transaction was under way, and commits that with its offset. What is between fetch and
commit is bounded as in the worker. There are no dead letters, no rebalances, no limits, no
second tries. At least once the tasks share a producer, and offsets are committed now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from routec.runtime.config import Config
from routec.runtime.stream.clients import connect, make_consumer, make_producer, transactional_id
from streaming.answer import answer
from streaming.tally import Tally

Entry = tuple[bytes | None, bytes]


@dataclass(slots=True)
class Lane:
    """What waits to be committed for a partition.

    Attributes:
        partition: of the requests.
        producer: writes it.
        waiting: keys and decisions, in order.
        end: the offset after the last of them.
        news: set when something waits.
    """

    partition: TopicPartition
    producer: AIOKafkaProducer
    waiting: list[Entry] = field(default_factory=list)
    end: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)


class PassThrough:
    """The bare loop; to be run once.

    Args:
        config: as for a worker.
        partitions: how many the requests have.
        tally: counts.
    """

    def __init__(self, config: Config, partitions: int, tally: Tally) -> None:
        self._config = config
        self._partitions = partitions
        self._tally = tally
        self._once = config.runtime.delivery == "exactly_once"
        self._lanes: dict[TopicPartition, Lane] = {}
        self._in_flight = 0
        self._room = asyncio.Event()
        self._acknowledged: dict[TopicPartition, int] = {}
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Read no more."""
        self._stop.set()

    async def run(self) -> None:
        """Work until stopped."""
        config = self._config
        consumer = await connect(
            lambda: make_consumer(config, group=True, partitions=self._partitions), config
        )
        await self._open()
        lanes = [asyncio.create_task(self._write(lane)) for lane in self._lanes.values()]
        others = [] if self._once else [asyncio.create_task(self._commit_offsets(consumer))]
        reading = asyncio.create_task(self._read(consumer))
        stopping = asyncio.create_task(self._stop.wait())
        tasks = [*lanes, *others, reading, stopping]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for producer in {lane.producer for lane in self._lanes.values()}:
                await producer.stop()
            await consumer.stop()

    async def _open(self) -> None:
        config, shared = self._config, None
        if not self._once:
            shared = await connect(lambda: make_producer(config), config)
        for number in range(self._partitions):
            partition = TopicPartition(config.topics.requests, number)
            name = transactional_id(config, partition)
            producer = shared or await connect(
                lambda name=name: make_producer(config, transactional=name), config
            )
            self._lanes[partition] = Lane(partition, producer)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        limits = self._config.runtime
        consumer.subscribe([self._config.topics.requests])
        while True:
            while self._in_flight >= limits.max_in_flight_events:
                self._room.clear()
                await self._room.wait()
            taken = await consumer.getmany(timeout_ms=200, max_records=limits.batch_size)
            if not taken:
                continue
            for partition, records in taken.items():
                lane = self._lanes[partition]
                lane.waiting += [
                    (one.key, answer(one.value, one.topic, one.partition, one.offset))
                    for one in records
                ]
                lane.end = records[-1].offset + 1
                lane.news.set()
                self._in_flight += len(records)
            # Records that are there already come without a turn of the loop.
            await asyncio.sleep(0)

    async def _write(self, lane: Lane) -> None:
        producer, partition = lane.producer, lane.partition
        topic, group = self._config.topics.decisions, self._config.kafka.group
        while True:
            await lane.news.wait()
            lane.news.clear()
            entries, lane.waiting = lane.waiting, []
            end = lane.end
            if self._once:
                await producer.begin_transaction()
            await asyncio.gather(*await _send(producer, topic, partition.partition, entries))
            if self._once:
                await producer.send_offsets_to_transaction({partition: end}, group)
                await producer.commit_transaction()
            else:
                self._acknowledged[partition] = end
            self._in_flight -= len(entries)
            self._room.set()
            self._tally.committed(len(entries), 0.0)

    async def _commit_offsets(self, consumer: AIOKafkaConsumer) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(self._config.runtime.commit_interval)
                await self._commit(consumer)
        await self._commit(consumer)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        offsets, self._acknowledged = self._acknowledged, {}
        if offsets:
            await consumer.commit(offsets)


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, entries: list[Entry]
) -> list[Any]:
    """Hand entries to a producer in its batches; their futures."""
    now = int(time.time() * 1000)
    builder, sent = producer.create_batch(), []
    for key, value in entries:
        if builder.append(timestamp=now, key=key, value=value) is None:
            sent.append(await producer.send_batch(builder, topic, partition=partition))
            builder = producer.create_batch()
            builder.append(timestamp=now, key=key, value=value)
    sent.append(await producer.send_batch(builder, topic, partition=partition))
    return sent
