"""Reading what stands in a topic of the embedded broker."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from routec.runtime.config import Config
from routec.runtime.embedded import PARTITIONS


async def read(config: Config, topic: str) -> list[Any]:
    """All records that it holds now."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=config.kafka.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=10
    )
    async with consumer:
        partitions = [TopicPartition(topic, n) for n in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            for some in (await consumer.getmany(timeout_ms=50)).values():
                found.extend(some)
    return found
