"""What Kafka itself shows of the workers: their status records, and how far their groups are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from routec.runtime.config import Config
from routec.runtime.policies.status import STALE, WorkerStatus, decode_status
from routec.runtime.records import Record
from routec.runtime.stream.clients import Admin, close, connect, make_consumer
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.reader import TopicReader
from routec.runtime.stream.unreachable import in_words

FORGOTTEN = 86_400.0
"""Seconds after which a worker that says nothing any more is left out."""
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class ClusterLook:
    """What Kafka showed at one moment.

    Attributes:
        at: seconds of the monotonic clock.
        time: seconds since the epoch.
        workers: the status of every worker that has not taken it back, by group and name.
        first: the oldest offset that is kept of each partition of the requests.
        ends: the offset after its last committed record.
        committed: for each group the offset that it goes on from, by partition; those of which it
            has committed none are missing.
        letters: offsets of dead letters, over all partitions; ``None`` without their topic.
    """

    at: float
    time: float
    workers: tuple[WorkerStatus, ...]
    first: Mapping[int, int]
    ends: Mapping[int, int]
    committed: Mapping[str, Mapping[int, int]]
    letters: int | None


class ClusterWatch:
    """Looks at a cluster again and again.

    Args:
        consumer: a started consumer in no group.
        admin: a started admin client.
        config: the topics, and the group that is shown also where no worker tells of itself.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, config: Config
    ) -> None:
        self._consumer = consumer
        self._admin = admin
        self._config = config
        self._held: dict[bytes, WorkerStatus] = {}
        self._status = TopicReader(consumer, config)

    async def look(self) -> ClusterLook:
        """Look.

        Raises:
            StreamError: the cluster does not answer, the topic of the requests does not exist, or
                something must not be read.
        """
        config = self._config
        try:
            async with asyncio.timeout(config.kafka.request_timeout):
                return await self._look()
        except TopicAuthorizationFailedError as error:
            raise StreamError(
                "read-forbidden",
                "Kafka forbids reading the requests, the dead letters or the status",
                "grant READ on these topics, and DESCRIBE on the group, to this client",
            ) from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise StreamError(
                "read-failed",
                f"Kafka at `{config.kafka.bootstrap}` does not tell: {in_words(error)}",
                "check that the brokers are up, and that this client may DESCRIBE the group",
            ) from error

    async def _look(self) -> ClusterLook:
        consumer, topics = self._consumer, self._config.topics
        cluster = await consumer._client.fetch_all_metadata()
        requests, status, dlq = (
            [TopicPartition(name, n) for n in sorted(cluster.partitions_for_topic(name) or ())]
            for name in (topics.requests, topics.status, topics.dlq)
        )
        if not requests:
            raise StreamError(
                "missing-topic",
                f"the topic `{topics.requests}` does not exist",
                "name the topic of the requests with `topics.requests`",
            )
        await self._follow(status)
        groups = {self._config.kafka.group, *(one.group for one in self._held.values())}
        committed = {group: await self._committed(group, requests) for group in sorted(groups)}
        # Asked after what was committed: nobody is ahead of the end.
        first = await consumer.beginning_offsets(requests)
        ends = await consumer.end_offsets([*requests, *dlq])
        begun = await consumer.beginning_offsets(dlq) if dlq else {}
        now = time.time()
        workers = [one for one in self._held.values() if now - one.time < FORGOTTEN]
        return ClusterLook(
            time.monotonic(),
            now,
            tuple(sorted(workers, key=lambda one: (one.group, one.worker))),
            {one.partition: first[one] for one in requests},
            {one.partition: ends[one] for one in requests},
            committed,
            sum(ends[one] - begun[one] for one in dlq) if dlq else None,
        )

    async def _follow(self, partitions: Sequence[TopicPartition]) -> None:
        """Take in the status records up to the end of now."""
        if not partitions:
            return
        await self._status.add(partitions)
        ends = await self._consumer.end_offsets(partitions)
        while any(self._status.positions[one] < ends[one] for one in partitions):
            for record in await self._status.take(_POLL):
                self._take(record)

    def _take(self, record: Record) -> None:
        if record.key is None:
            return
        told = decode_status(record.value or b"")
        if told is None:
            self._held.pop(record.key, None)
        else:
            self._held[record.key] = told

    async def _committed(self, group: str, partitions: Sequence[TopicPartition]) -> dict[int, int]:
        found = await self._admin.list_consumer_group_offsets(group, partitions=list(partitions))
        return {one.partition: told.offset for one, told in found.items() if told.offset >= 0}


@asynccontextmanager
async def watched(config: Config) -> AsyncIterator[ClusterWatch]:
    """A watch on a cluster, whose connections are closed at the end.

    Raises:
        StreamError: the cluster cannot be reached, or refuses.
    """
    consumer = await connect(lambda: make_consumer(config, group=False), config)
    try:
        admin = await connect(lambda: Admin(config), config)
        try:
            yield ClusterWatch(consumer, admin.client, config)
        finally:
            await close(admin)
    finally:
        await close(consumer)


def cluster_view(new: ClusterLook, old: ClusterLook | None = None) -> dict[str, Any]:
    """What the groups are doing, as JSON data.

    Args:
        new: what was seen last.
        old: what was seen before; without it rates are ``None``.

    Returns:
        For each group its workers, its lag and how fast it goes; how fast requests and dead
        letters come. Rates are offsets a second: where transactions write, their markers count.
    """
    seconds = None if old is None else max(new.at - old.at, 1e-9)

    def rate(now: int | None, before: int | None) -> float | None:
        if seconds is None or now is None or before is None:
            return None
        return max(0, now - before) / seconds

    def group(name: str) -> dict[str, Any]:
        done = new.committed[name]
        before = None if old is None else old.committed.get(name)
        # What a group has never committed it has still before it, or it would not begin there.
        lag = {n: max(0, end - max(done.get(n, 0), new.first[n])) for n, end in new.ends.items()}
        moved = None if before is None else sum(before.get(n, done[n]) for n in done)
        workers = [one for one in new.workers if one.group == name]
        return {
            "group": name,
            "decided": {"per_second": rate(sum(done.values()), moved)},
            "lag": {"events": sum(lag.values()), "partitions": lag},
            "partitions_begun": len(done),
            "policies": _policies(workers),
            "workers": [_worker(one, new.time) for one in workers],
        }

    return {
        "groups": [group(name) for name in new.committed],
        "requests": {
            "per_second": rate(
                sum(new.ends.values()), None if old is None else sum(old.ends.values())
            )
        },
        "dead_letters": {
            "kept": new.letters,
            "per_second": rate(new.letters, None if old is None else old.letters),
        },
    }


def metrics_of(workers: Iterable[WorkerStatus], host: str, now: float) -> dict[str, list[str]]:
    """Where the metrics of the workers that are there are found, by address.

    Args:
        workers: their status.
        host: name of this machine: addresses of loopback are of other workers elsewhere.
        now: the present, seconds since the epoch.

    Returns:
        For each address the workers that name it: ``GROUP/WORKER``.
    """
    found: dict[str, list[str]] = {}
    for one in workers:
        if one.metrics is None or now - one.time > STALE:
            continue
        local = "//127." in one.metrics or "//localhost:" in one.metrics or "//[::1]" in one.metrics
        if not local or one.host == host:
            found.setdefault(one.metrics, []).append(f"{one.group}/{one.worker}")
    return found


def _policies(workers: Sequence[WorkerStatus]) -> list[dict[str, Any]]:
    """The policies in force, by how many workers decide by them."""
    counts: dict[tuple[str, str], int] = {}
    for one in workers:
        key = (one.policy, one.active.hash)
        counts[key] = counts.get(key, 0) + 1
    return [
        {"name": name, "hash": hash, "workers": count}
        for (name, hash), count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]


def _worker(one: WorkerStatus, now: float) -> dict[str, Any]:
    return {
        "worker": one.worker,
        "host": one.host,
        "policy": {"name": one.policy, "hash": one.active.hash},
        "candidate": None if one.candidate is None else one.candidate.hash,
        "age": round(max(0.0, now - one.time), 3),
        "started": round(max(0.0, now - one.started), 3),
        "lost": now - one.time > STALE,
        "metrics": one.metrics,
    }
