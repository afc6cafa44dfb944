"""The topics that a worker needs, checked before it starts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from routec.runtime.config import Config, Kafka, Topics
from routec.runtime.stream.clients import Admin, close, connect
from routec.runtime.stream.errors import StreamError

FOREVER = 2**63 - 1
"""The longest time that a topic can be told, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Partitions:
    """Partitions of the topics in use.

    Attributes:
        requests: partitions of the requests topic.
        decisions: partitions of the decisions topic, at least as many.
        dlq: partitions of the dead-letter topic.
        responses: partitions of the responses topic; 0 when it is not used.
    """

    requests: int
    decisions: int
    dlq: int
    responses: int


async def count_partitions(producer: AIOKafkaProducer, config: Config) -> Partitions:
    """Look the topics up, without creating any.

    Args:
        producer: a started producer.
        config: names them, and says for how long to keep trying.

    Raises:
        StreamError: a topic is missing, the decisions topic has too few partitions, or the
            cluster went away.
    """
    topics = config.topics
    cluster = await _all_topics(producer, config.kafka)
    counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in cluster.topics()}
    wanted = [topics.requests, topics.decisions, topics.dlq]
    if topics.responses:
        wanted.append(topics.responses)
    missing = [topic for topic in wanted if not counts.get(topic)]
    if missing:
        names = ", ".join(f"`{topic}`" for topic in missing)
        several = len(missing) > 1
        help = "create them" if several else "create it"
        if topics.responses in missing:
            help += '; `topics.responses = ""` runs without responses'
        raise StreamError(
            "missing-topic",
            f"the topics {names} do not exist" if several else f"the topic {names} does not exist",
            f"{help}, or name others in `[topics]`",
        )
    partitions = Partitions(
        requests=counts[topics.requests],
        decisions=counts[topics.decisions],
        dlq=counts[topics.dlq],
        responses=counts[topics.responses] if topics.responses else 0,
    )
    check_partitions(partitions, topics)
    return partitions


async def _all_topics(producer: AIOKafkaProducer, kafka: Kafka) -> Any:
    deadline = time.monotonic() + kafka.connect_timeout
    while True:
        try:
            # Asking for all of them: asking for one by name may create it.
            return await producer.client.fetch_all_metadata()
        except (KafkaError, OSError) as error:
            if time.monotonic() + kafka.retry_backoff >= deadline:
                raise StreamError(
                    "kafka-unreachable",
                    f"lost Kafka at `{kafka.bootstrap}` while starting: {error}",
                    "check that the brokers are up",
                ) from error
            await asyncio.sleep(kafka.retry_backoff)


def check_partitions(partitions: Partitions, topics: Topics) -> None:
    """Refuse a layout in which a decision could not keep its request's partition.

    Raises:
        StreamError: the decisions topic has fewer partitions than the requests topic.
    """
    if partitions.decisions < partitions.requests:
        raise StreamError(
            "too-few-partitions",
            f"`{topics.decisions}` has {partitions.decisions} partitions and "
            f"`{topics.requests}` has {partitions.requests}: "
            "a decision goes to the partition of its request",
            f"give `{topics.decisions}` at least {partitions.requests} partitions",
        )


async def find_partitions(client: AIOKafkaClient, topic: str) -> list[TopicPartition]:
    """The partitions of a topic, in order; none where it does not exist, which stays so.

    Raises:
        KafkaError: the cluster does not tell.
    """
    # Asking for all of them: asking for one by name may create it.
    cluster = await client.fetch_all_metadata()
    numbers = cluster.partitions_for_topic(topic) or ()
    return [TopicPartition(topic, number) for number in sorted(numbers)]


async def require_partition(producer: AIOKafkaProducer, topic: str, partition: int) -> None:
    """Make sure that a topic has a partition, which may have been added just now.

    Args:
        producer: a started producer.
        topic: the topic.
        partition: the partition.

    Raises:
        KafkaError: it has not, which may change, or that cannot be told now.
    """
    if partition in (await producer.partitions_for(topic) or ()):
        return
    await producer.client.force_metadata_update()
    if partition not in (await producer.partitions_for(topic) or ()):
        raise UnknownTopicOrPartitionError(
            f"`{topic}` has no partition {partition}: give it as many as the requests have"
        )


async def create_topics(
    config: Config, *, partitions: int, replication: int = 1
) -> Mapping[str, bool]:
    """Create the topics that are missing, on a broker with the admin API.

    Args:
        config: names the topics; the dead-letter topic takes records of `max_dead_letter_bytes`
            and the requests topic half of that, so that whatever came in fits with its reason.
        partitions: partitions of each, from 1.
        replication: copies of each, from 1.

    Returns:
        For each topic whether it is new.

    Raises:
        StreamError: the cluster cannot be reached or refuses.
    """
    names = [name for field in Topics.__struct_fields__ if (name := getattr(config.topics, field))]
    admin = await connect(lambda: Admin(config), config)
    try:
        response = await admin.client.create_topics(
            [
                NewTopic(name, partitions, replication, topic_configs=_options(name, config))
                for name in names
            ]
        )
        async with asyncio.timeout(config.kafka.request_timeout):
            await _visible(admin.client, names)
    except TimeoutError as error:
        raise StreamError(
            "topic-refused",
            "the new topics do not get ready",
            "see the log of the brokers",
        ) from error
    finally:
        await close(admin)
    made: dict[str, bool] = {}
    for name, code, *message in response.topic_errors:
        refusal = for_code(code)
        if code != 0 and refusal is not TopicAlreadyExistsError:
            reason = (message[0] if message else None) or refusal.__name__
            raise StreamError(
                "topic-refused",
                f"the topic `{name}` cannot be created: {reason}",
                "create it by hand",
            )
        made[name] = code == 0
    return made


async def _visible(admin: AIOKafkaAdminClient, topics: list[str]) -> None:
    """Wait until the brokers agree on the topics and each partition has a leader."""
    while True:
        found = await admin.describe_topics(topics)
        if all(
            topic["error_code"] == 0
            and all(partition["leader"] >= 0 for partition in topic["partitions"])
            for topic in found
        ):
            return
        await asyncio.sleep(0.05)


def _options(name: str, config: Config) -> dict[str, str]:
    if name == config.topics.dlq:
        return {"max.message.bytes": str(config.runtime.max_dead_letter_bytes)}
    if name == config.topics.requests:
        return {"max.message.bytes": str(config.runtime.max_dead_letter_bytes // 2)}
    if name == config.topics.policies and config.policies.keys:
        # What is compacted away could hide the newest signed record from workers that start.
        return {"cleanup.policy": "compact", "min.compaction.lag.ms": str(FOREVER)}
    if name in (config.topics.policies, config.topics.status):
        return {"cleanup.policy": "compact"}
    return {}
