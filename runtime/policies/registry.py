"""What operators do with the control topic: deploy, promote, roll back; and read the status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.partitioner import DefaultPartitioner

from routec.compiler.program import Program, ProgramError, digest, dump, load
from routec.runtime.config import Config
from routec.runtime.policies.instruction import CANDIDATE, MODE, PREVIOUS, SHARE
from routec.runtime.policies.status import WorkerStatus, decode_status
from routec.runtime.records import Headers, Record
from routec.runtime.stream.clients import close, connect, make_consumer, make_producer
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.take import as_record


class DeployError(Exception):
    """What was asked cannot be done; the control topic is as it was.

    Attributes:
        code: stable reason.
        message: one sentence for a person.
        help: what to do about it.
    """

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True)
class Change:
    """What was written to the control topic.

    Attributes:
        policy: name of the policy.
        did: ``deployed``, ``tried``, ``promoted``, ``withdrawn`` (a candidate), ``restored`` (the
            program before) or ``reset`` (to what each worker was started with).
        hash: hash of the program that is now wanted; ``None`` where the record was taken back.
        before: hash of the program that was wanted before; ``None`` without one.
    """

    policy: str
    did: str
    hash: str | None
    before: str | None


async def deploy(config: Config, program: Program) -> Change:
    """Have the workers of a policy decide by a program; the one before is remembered.

    Raises:
        StreamError: the cluster cannot be reached, or the control topic is missing.
    """
    name, hash = program.name, digest(program)
    held = await _held(config, name)
    before = held.get(name)
    writes: list[tuple[str, bytes | None, Headers]] = []
    if before is not None and before.value != dump(program):
        writes.append((name + PREVIOUS, before.value, ()))
    writes.append((name, dump(program), ()))
    await _write(config, name, writes)
    return Change(name, "deployed", hash, _hash(before))


async def try_candidate(config: Config, program: Program, share: float | None) -> Change:
    """Try a program beside the one in force, in place of any other candidate.

    Args:
        config: where.
        program: the program.
        share: of the requests that it decides, above 0 to 1; ``None`` for a shadow, whose
            decisions are only compared.

    Raises:
        StreamError: the cluster cannot be reached, or the control topic is missing.
    """
    name = program.name
    held = await _held(config, name)
    headers: Headers = ((MODE, b"shadow"),)
    if share is not None:
        headers = ((MODE, b"canary"), (SHARE, repr(share).encode()))
    await _write(config, name, [(name + CANDIDATE, dump(program), headers)])
    return Change(name, "tried", digest(program), _hash(held.get(name)))


async def promote(config: Config, name: str) -> Change:
    """Have a policy's candidate decide all requests.

    Raises:
        DeployError: there is no candidate, or it is no program.
        StreamError: the cluster cannot be reached, or the control topic is missing.
    """
    held = await _held(config, name)
    candidate, before = held.get(name + CANDIDATE), held.get(name)
    if candidate is None or candidate.value is None:
        raise DeployError(
            "no-candidate",
            f"`{name}` has no candidate",
            "deploy one with `--canary` or `--shadow`",
        )
    try:
        program = load(candidate.value)
    except (ProgramError, ValueError, RecursionError) as error:
        raise DeployError(
            "invalid-program",
            f"the candidate of `{name}` cannot be put in force: {error}",
            f"deploy it again, or withdraw it: `routec deploy --rollback {name}`",
        ) from error
    writes: list[tuple[str, bytes | None, Headers]] = []
    if before is not None and before.value != candidate.value:
        writes.append((name + PREVIOUS, before.value, ()))
    # The candidate is taken back after it is in force, in one batch: nobody decides by less.
    writes += [(name, candidate.value, ()), (name + CANDIDATE, None, ())]
    await _write(config, name, writes)
    return Change(name, "promoted", digest(program), _hash(before))


async def roll_back(config: Config, name: str) -> Change:
    """Withdraw a policy's candidate; without one, go back to the program before.

    Without a program before, each worker goes back to the one it was started with.

    Raises:
        DeployError: there is nothing to go back from.
        StreamError: the cluster cannot be reached, or the control topic is missing.
    """
    held = await _held(config, name)
    active, previous = held.get(name), held.get(name + PREVIOUS)
    candidate = held.get(name + CANDIDATE)
    if candidate is not None:
        await _write(config, name, [(name + CANDIDATE, None, ())])
        return Change(name, "withdrawn", _hash(active), _hash(candidate))
    if active is None:
        raise DeployError(
            "nothing-deployed",
            f"no program of `{name}` is deployed",
            "its workers decide by what they were started with; `routec status` shows it",
        )
    if previous is None:
        await _write(config, name, [(name, None, ())])
        return Change(name, "reset", None, _hash(active))
    await _write(config, name, [(name, previous.value, ()), (name + PREVIOUS, None, ())])
    return Change(name, "restored", _hash(previous), _hash(active))


async def read_statuses(config: Config) -> list[WorkerStatus]:
    """The status of every worker that has not taken it back, by group and name.

    Raises:
        StreamError: the cluster cannot be reached, or the status topic is missing.
    """
    held = await read_compacted(config, config.topics.status)
    found = [decode_status(record.value or b"") for record in held.values()]
    return sorted(
        (one for one in found if one is not None), key=lambda one: (one.group, one.worker)
    )


async def read_compacted(config: Config, topic: str) -> dict[bytes, Record]:
    """The newest record of each key that a topic holds now; keys with a tombstone are left out.

    Raises:
        StreamError: the cluster cannot be reached, or the topic is missing or cannot be read.
    """
    consumer = await connect(lambda: make_consumer(config, group=False), config)
    held: dict[bytes, Record] = {}
    try:
        async with asyncio.timeout(config.kafka.connect_timeout):
            cluster = await consumer._client.fetch_all_metadata()
            partitions = _partitions(topic, cluster.partitions_for_topic(topic))
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            while any([await consumer.position(one) < ends[one] for one in partitions]):
                for some in (await consumer.getmany(timeout_ms=200)).values():
                    for consumed in some:
                        record = as_record(consumed)
                        if record.key is None:
                            continue
                        held.pop(record.key, None)
                        if record.value is not None:
                            held[record.key] = record
    except TopicAuthorizationFailedError as error:
        raise StreamError(
            "read-forbidden", f"Kafka forbids reading `{topic}`", "grant READ on it to this client"
        ) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise StreamError(
            "unreadable-topic",
            f"`{topic}` cannot be read to its end: {error or 'it takes too long'}",
            "see the log of the brokers",
        ) from error
    finally:
        await close(consumer)
    return held


def _partitions(topic: str, numbers: set[int] | None) -> list[TopicPartition]:
    if not numbers:
        raise StreamError(
            "missing-topic",
            f"the topic `{topic}` does not exist",
            "create it with `cleanup.policy=compact`, or name another in `[topics]`",
        )
    return [TopicPartition(topic, number) for number in sorted(numbers)]


async def _held(config: Config, name: str) -> dict[str, Record]:
    """What the control topic holds of a policy, by key."""
    keys = {key.encode(): key for key in (name, name + CANDIDATE, name + PREVIOUS)}
    held = await read_compacted(config, config.topics.policies)
    return {keys[key]: record for key, record in held.items() if key in keys}


def _hash(record: Record | None) -> str | None:
    if record is None or record.value is None:
        return None
    try:
        return digest(load(record.value))
    except (ProgramError, ValueError, RecursionError):
        return None


async def _write(
    config: Config, name: str, records: Sequence[tuple[str, bytes | None, Headers]]
) -> None:
    """Write records of one policy to one partition, as one batch."""
    topic = config.topics.policies
    producer = await connect(lambda: make_producer(config), config)
    try:
        async with asyncio.timeout(config.kafka.request_timeout):
            cluster = await producer.client.fetch_all_metadata()
            numbers = [
                one.partition for one in _partitions(topic, cluster.partitions_for_topic(topic))
            ]
            # Where any producer would put the policy's name: its records keep their order.
            number = DefaultPartitioner()(name.encode(), numbers, numbers)
            await _send(producer, topic, number, records)
    except TopicAuthorizationFailedError as error:
        raise StreamError(
            "write-forbidden",
            f"Kafka forbids writing to `{topic}`",
            "grant WRITE on it to this client",
        ) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise StreamError(
            "unwritable-topic",
            f"nothing could be written to `{topic}`, or it is not known whether it was: "
            f"{error or 'it takes too long'}",
            "see `routec status`, then try again; a program of some size needs a larger "
            "`max.message.bytes` of the topic",
        ) from error
    finally:
        await close(producer)


async def _send(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    records: Sequence[tuple[str, bytes | None, Headers]],
) -> None:
    now = int(time.time() * 1000)
    batch = producer.create_batch()
    together = all(
        batch.append(key=key.encode(), value=value, timestamp=now, headers=list(headers))
        is not None
        for key, value, headers in records
    )
    if together:
        batch.close()
        await (await producer.send_batch(batch, topic, partition=partition))
        return
    # Too large for one batch: one after the other, in order.
    for key, value, headers in records:
        await producer.send_and_wait(
            topic, value, key=key.encode(), partition=partition, headers=list(headers)
        )
