"""Reading what a seed left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from routec.compiler.program import digest
from routec.runtime.config import Config
from routec.runtime.stream.clients import transactional_id
from tests.kafka.chaos.checker import Topics, check, check_torn, number
from tests.kafka.chaos.events import Event, event
from tests.kafka.chaos.fight import Fight
from tests.kafka.chaos.policy import compile_policy

_PATIENCE = 60.0


async def read_topics(config: Config, partitions: int, versions: Sequence[int]) -> Topics:
    """Every committed record of the topics, and the committed offsets.

    Args:
        config: names the topics and the group.
        partitions: of each topic.
        versions: of the policy, in the order in which they were deployed.
    """
    names = (config.topics.requests, config.topics.decisions, config.topics.dlq)
    records: dict[str, list[Any]] = {name: [] for name in names}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=config.kafka.bootstrap,
        group_id=config.kafka.group,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4_000_000,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        places = [TopicPartition(name, at) for name in names for at in range(partitions)]
        consumer.assign(places)
        for one in places:
            consumer.seek(one, 0)
        ends = await consumer.end_offsets(places)
        async with asyncio.timeout(_PATIENCE):
            while any([await consumer.position(one) < ends[one] for one in places]):
                for place, some in (await consumer.getmany(timeout_ms=100)).items():
                    records[place.topic] += some
        offsets = {
            at: await consumer.committed(TopicPartition(names[0], at)) or 0
            for at in range(partitions)
        }
    finally:
        await consumer.stop()
    policies = [digest(compile_policy(version)) for version in versions]
    requests, decisions, letters = (records[name] for name in names)
    return Topics(requests, decisions, letters, offsets, partitions, policies)


async def look_at_rest(fight: Fight) -> None:
    """With all workers dead: end their transactions, then offsets and outcomes must agree."""
    config, partitions = fight.config, fight.scenario.partitions
    for at in range(partitions):
        name = transactional_id(config, TopicPartition(config.topics.requests, at))
        producer = AIOKafkaProducer(bootstrap_servers=config.kafka.bootstrap, transactional_id=name)
        # It is answered when the transaction before is ended, markers included.
        await asyncio.wait_for(producer.start(), 20)
        await asyncio.wait_for(producer.stop(), 20)
    check_torn(await read_topics(config, partitions, fight.versions), fight.problems)


async def until_done(fight: Fight) -> None:
    """Wait until the group has committed every request's offset."""
    config, partitions = fight.config, fight.scenario.partitions
    consumer = AIOKafkaConsumer(
        bootstrap_servers=config.kafka.bootstrap,
        group_id=config.kafka.group,
        enable_auto_commit=False,
    )
    await consumer.start()
    places = [TopicPartition(config.topics.requests, at) for at in range(partitions)]
    try:
        async with asyncio.timeout(_PATIENCE):
            ends = await consumer.end_offsets(places)
            while True:
                try:
                    if all([(await consumer.committed(at) or 0) >= ends[at] for at in places]):
                        return
                except KafkaError:
                    pass
                await asyncio.sleep(0.1)
    except TimeoutError:
        offsets = {at.partition: await consumer.committed(at) for at in places}
        what = f"committed {offsets} of { ({at.partition: end for at, end in ends.items()}) }"
        fight.problems.add("stuck", what)
    finally:
        await consumer.stop()


async def check_all(fight: Fight) -> dict[str, int]:
    """Check what is left; how many records of each topic there are."""
    scenario = fight.scenario
    topics = await read_topics(fight.config, scenario.partitions, fight.versions)

    @cache
    def expected(at: int) -> Event:
        return event(scenario.seed, at, scenario.bad, scenario.giant)

    check(topics, expected, fight.problems)
    there = {(one.partition, one.offset): number(one) for one in topics.requests}
    for at, place in fight.loader.acknowledged.items():
        if there.get(place) != at:
            fight.problems.add("broker-lost", f"request {at} was acknowledged at {place}")
    return {
        "requests": len(topics.requests),
        "decisions": len(topics.decisions),
        "dead_letters": len(topics.letters),
        "by_swapped": sum(topics.policies[0].encode() not in one.value for one in topics.decisions),
    }
