"""Reading what a seed left behind."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from routec.runtime.stream.clients import transactional_id
from tests.kafka.chaos.checker import Topics, check, check_torn, number
from tests.kafka.chaos.events import Event, event
from tests.kafka.chaos.fight import Fight
from tests.kafka.chaos.policy import CANARY, SHADOW, hash_of, scope_of
from tests.kafka.chaos.scenario import SHARE

_PATIENCE = 60.0


async def read_topics(fight: Fight) -> Topics:
    """Every committed record of a seed's topics, and the committed offsets."""
    config, scenario, topics = fight.config, fight.scenario, fight.config.topics
    partitions, kind = scenario.partitions, scenario.policy
    needed = (topics.requests, topics.decisions, topics.dlq)
    names = [*needed, *(getattr(topics, extra) for extra in scenario.extras)]
    records: dict[str, list[Any]] = {name: [] for name in ("", *names)}
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
    hashes = fight.hashes
    versions = dict(zip(hashes, fight.versions, strict=True)) | {hash_of(kind, CANARY): CANARY}
    return Topics(
        requests=records[topics.requests],
        decisions=records[topics.decisions],
        letters=records[topics.dlq],
        committed=offsets,
        letter_partitions=partitions,
        policies=hashes,
        scopes={hash: scope_of(version) for hash, version in versions.items()},
        canary=hash_of(kind, CANARY) if scenario.candidate == "canary" else "",
        share=SHARE,
        shadow=hash_of(kind, SHADOW) if scenario.candidate == "shadow" else "",
        responses=records[topics.responses],
        differences=records[topics.differences],
        statuses=records[topics.status],
    )


async def look_at_rest(fight: Fight) -> None:
    """With all workers dead: end their transactions, then offsets and outcomes must agree."""
    config, partitions = fight.config, fight.scenario.partitions
    for at in range(partitions):
        name = transactional_id(config, TopicPartition(config.topics.requests, at))
        producer = AIOKafkaProducer(bootstrap_servers=config.kafka.bootstrap, transactional_id=name)
        # It is answered when the transaction before is ended, markers included.
        await asyncio.wait_for(producer.start(), 20)
        await asyncio.wait_for(producer.stop(), 20)
    check_torn(await read_topics(fight), fight.problems)


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
    topics = await read_topics(fight)

    @cache
    def expected(at: int) -> Event:
        return event(scenario.seed, at, scenario.bad, scenario.giant, scenario.policy)

    # Beside the seeds that run at the same time, whose progress is timed.
    await asyncio.to_thread(check, topics, expected, fight.problems)
    there = {(one.partition, one.offset): number(one) for one in topics.requests}
    for at, place in fight.loader.acknowledged.items():
        if there.get(place) != at:
            fight.problems.add("broker-lost", f"request {at} was acknowledged at {place}")
    first = topics.policies[0].encode()
    by_canary = sum(topics.canary.encode() in one.value for one in topics.decisions)
    return {
        "requests": len(topics.requests),
        "decisions": len(topics.decisions),
        "dead_letters": len(topics.letters),
        "by_canary": by_canary if topics.canary else 0,
        "by_swapped": sum(first not in one.value for one in topics.decisions)
        - (by_canary if topics.canary else 0),
        "cached": sum(b'"outcome":"cached"' in one.value for one in topics.decisions),
        "compiled": sum(one.board.compiled for one in fight.members),
        "responses": len(topics.responses),
        "differences": len(topics.differences),
        "statuses": len(topics.statuses),
    }
