"""What the worker is held against: a loop that makes the same transactions, and nothing else.

One task reads and decides; a task for each partition takes whatever has queued up for it while its
last transaction was under way, and commits that with its offset. What is between fetch and commit
is bounded as in the worker. There are no dead letters, no rebalances, no limits and no second
tries. At least once the tasks share a producer, and offsets are committed now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from routec.runtime.config import Config
from routec.runtime.stream.clients import (
    close,
    connect,
    make_consumer,
    make_producer,
    transactional_id,
)

_POLL_MS = 200
Answer = Callable[[bytes, str, int, int], bytes]
"""The decision about a request, given its value, topic, partition and offset."""
Committed = Callable[[int, float], None]
"""Is told how many events were committed, and what that took, as a worker's observer is."""


@dataclass(slots=True)
class _Lane:
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
    waiting: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    end: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)


class BareLoop:
    """The loop; to be run once.

    Args:
        config: as for a worker.
        partitions: how many the requests have.
        answer: decides.
        committed: is told of each commit.
    """

    def __init__(
        self, config: Config, partitions: int, answer: Answer, committed: Committed
    ) -> None:
        self._config = config
        self._partitions = partitions
        self._answer = answer
        self._committed = committed
        self._once = config.runtime.delivery == "exactly_once"
        self._lanes: dict[TopicPartition, _Lane] = {}
        self._in_flight = 0
        self._room = asyncio.Event()
        self._acknowledged: dict[TopicPartition, int] = {}
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Read no more."""
        self._stop.set()

    async def run(self) -> None:
        """Work until stopped.

        Raises:
            StreamError: the cluster cannot be reached, or refuses.
            KafkaError: it does not take what is written.
        """
        config = self._config
        consumer = await connect(
            lambda: make_consumer(config, group=True, partitions=self._partitions), config
        )
        tasks: list[asyncio.Task[object]] = []
        try:
            await self._open()
            tasks += [asyncio.create_task(self._write(lane)) for lane in self._lanes.values()]
            if not self._once:
                tasks.append(asyncio.create_task(self._commit_offsets(consumer)))
            tasks.append(asyncio.create_task(self._read(consumer)))
            tasks.append(asyncio.create_task(self._stop.wait()))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            for producer in {lane.producer for lane in self._lanes.values()}:
                await close(producer)
            await close(consumer)

    async def _open(self) -> None:
        config = self._config
        shared = None if self._once else await connect(lambda: make_producer(config), config)
        for number in range(self._partitions):
            partition = TopicPartition(config.topics.requests, number)
            self._lanes[partition] = _Lane(partition, shared or await self._producer(partition))

    async def _producer(self, partition: TopicPartition) -> AIOKafkaProducer:
        config = self._config
        name = transactional_id(config, partition)
        return await connect(lambda: make_producer(config, transactional=name), config)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        limits = self._config.runtime
        consumer.subscribe([self._config.topics.requests])
        while True:
            while self._in_flight >= limits.max_in_flight_events:
                self._room.clear()
                await self._room.wait()
            taken = await consumer.getmany(timeout_ms=_POLL_MS, max_records=limits.batch_size)
            for partition, records in taken.items():
                lane = self._lanes[partition]
                lane.waiting += [
                    (one.key, self._answer(one.value, one.topic, one.partition, one.offset))
                    for one in records
                ]
                lane.end = records[-1].offset + 1
                lane.news.set()
                self._in_flight += len(records)
            # Records that are there already come without a turn of the loop.
            await asyncio.sleep(0)

    async def _write(self, lane: _Lane) -> None:
        producer, group = lane.producer, self._config.kafka.group
        while True:
            await lane.news.wait()
            lane.news.clear()
            entries, lane.waiting = lane.waiting, []
            end, begun = lane.end, time.perf_counter()
            if self._once:
                await producer.begin_transaction()
            await self._send(lane, entries)
            if self._once:
                await producer.send_offsets_to_transaction({lane.partition: end}, group)
                await producer.commit_transaction()
            else:
                self._acknowledged[lane.partition] = end
            self._in_flight -= len(entries)
            self._room.set()
            self._committed(len(entries), time.perf_counter() - begun)

    async def _send(self, lane: _Lane, entries: list[tuple[bytes | None, bytes]]) -> None:
        """Write entries in the producer's own batches, as the worker does."""
        producer, topic = lane.producer, self._config.topics.decisions
        number, now = lane.partition.partition, int(time.time() * 1000)
        builder, sent = producer.create_batch(), []
        for key, value in entries:
            if builder.append(timestamp=now, key=key, value=value) is None:
                sent.append(await producer.send_batch(builder, topic, partition=number))
                builder = producer.create_batch()
                builder.append(timestamp=now, key=key, value=value)
        sent.append(await producer.send_batch(builder, topic, partition=number))
        await asyncio.gather(*sent)

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
