"""The requests of a topic, beside the decisions that were made of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from routec.runtime.config import Config
from routec.runtime.records import Dead
from routec.runtime.replay.event import Event, lookup_of
from routec.runtime.replay.merge import Join, Seen
from routec.runtime.replay.partition import PartitionReader, reader_of, told_plainly
from routec.runtime.replay.recorded import decision_id_of, read_recorded
from routec.runtime.replay.whence import Whence
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.take import as_record

EARLIER_MS = 3_600_000
"""How far a worker's clock may be behind that of whoever wrote a request, milliseconds."""
RECENT = 100_000
"""Decisions that are read where none is as late as the first request."""
Told = Callable[[int, int], None]
"""Is told how many offsets are passed, and of how many."""


@dataclass(slots=True)
class Part:
    """What is read of one partition.

    Attributes:
        partition: the partition, from 0.
        begin: the first offset.
        end: the offset after the last one.
        expired: offsets that were asked for, and that retention had taken before.
        lost: offsets that retention took meanwhile.
        records: requests that were read.
        joined: those of them whose decision was found.
        forgotten: those without one, whose decisions retention may have taken.
        undecided: those without one between others that have one: dead letters, as a rule.
        pending: those without one after the last that has one: not decided yet, or dead letters.
        unreadable: records among the decisions that are none.
    """

    partition: int
    begin: int
    end: int
    expired: int = 0
    lost: int = 0
    records: int = 0
    joined: int = 0
    forgotten: int = 0
    undecided: int = 0
    pending: int = 0
    unreadable: int = 0

    @property
    def gaps(self) -> int:
        """Offsets without a record: markers of transactions, aborted and compacted records."""
        return max(0, self.end - self.begin - self.records - self.lost)


class TopicStream:
    """The requests of a range of a topic, partition by partition, each in order.

    The range is settled: what is written meanwhile is not read. Each partition is read once, side
    by side with its decisions.

    Args:
        requests: reads the requests.
        decisions: reads the decisions; ``None`` where there is no topic of them.
        config: the configuration.
        topic: topic of the requests.
        parts: what to read, in this order.
        bounds: the first offset of each partition's decisions and the one after the last;
            partitions that the decisions do not have are missing.
        told: is told how far it is.

    Attributes:
        topic: topic of the requests.
        decisions: topic of the decisions.
        decided: whether there is one.
        parts: what was read.
    """

    def __init__(
        self,
        requests: AIOKafkaConsumer,
        decisions: AIOKafkaConsumer | None,
        config: Config,
        topic: str,
        parts: Sequence[Part],
        bounds: Mapping[int, tuple[int, int]],
        told: Told | None = None,
    ) -> None:
        self._requests = requests
        self._beside_it = decisions
        self._config = config
        self.topic = topic
        self.decisions = config.topics.decisions
        self._bounds = bounds
        self._told = told
        self.parts = list(parts)
        self.decided = decisions is not None

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The requests.

        Raises:
            StreamError: a topic cannot be read.
        """
        number, passed = 0, 0
        total = sum(part.end - part.begin for part in self.parts)
        for part in self.parts:
            place = TopicPartition(self.topic, part.partition)
            reader = PartitionReader(self._requests, self._config, place, part.begin, part.end)
            decisions: _Decisions | None = None
            join: Join | None = None
            waiting = 0
            while (some := await reader.more()) is not None:
                if decisions is None and (decisions := await self._beside(part, some[0][0])):
                    join = Join(self.topic, part.partition, decisions)
                for consumed, dead in some:
                    number, waiting = number + 1, waiting + 1
                    part.records += 1
                    seen = None if join is None else await join.of(consumed.offset)
                    if seen is not None:
                        _count_joined(part, waiting - 1, decisions)
                        waiting = 0
                    yield _event(number, consumed, dead, seen)
                part.lost = reader.lost
                if self._told is not None:
                    self._told(passed + min(reader.at, part.end) - part.begin, total)
            part.lost = reader.lost
            passed += part.end - part.begin
            part.pending = waiting
            part.unreadable = 0 if join is None else join.unreadable

    async def _beside(self, part: Part, first: Any) -> _Decisions | None:
        """The decisions of a partition, from before that of its first request."""
        bounds = self._bounds.get(part.partition)
        consumer = self._beside_it
        if consumer is None or bounds is None:
            return None
        place, (begin, end) = TopicPartition(self.decisions, part.partition), bounds
        start = begin
        if part.begin > 0 and first.timestamp > EARLIER_MS:
            with told_plainly(self._config, self.decisions):
                async with asyncio.timeout(self._config.kafka.request_timeout):
                    times = {place: first.timestamp - EARLIER_MS}
                    found = (await consumer.offsets_for_times(times))[place]
            # None that late: nothing is decided yet, or clocks are further apart.
            start = max(begin, end - RECENT if found is None else found.offset)
        reader = PartitionReader(consumer, self._config, place, start, end)
        return _Decisions(reader, shortened=start == begin > 0)


def _count_joined(part: Part, without: int, decisions: _Decisions | None) -> None:
    if not part.joined and decisions is not None and decisions.shortened:
        part.forgotten += without
    else:
        part.undecided += without
    part.joined += 1


class _Decisions:
    """The decisions of one partition, for the join.

    Args:
        reader: reads them.
        shortened: whether older ones than the first may have been there.
    """

    def __init__(self, reader: PartitionReader, *, shortened: bool) -> None:
        self._reader = reader
        self.shortened = shortened

    async def more(self) -> list[Seen] | None:
        some = await self._reader.more()
        if some is None:
            return None
        return [Seen(one.offset, decision_id_of(one.value), one.value) for one, _ in some]

    def seek(self, offset: int) -> None:
        self._reader.seek(offset)


def _event(number: int, consumed: Any, dead: Dead | None, seen: Seen | None) -> Event:
    record = as_record(consumed)
    recorded = None if seen is None else read_recorded(seen.value)
    if recorded is None:
        return Event(number, record, unreadable=dead, stored=True)
    return Event(
        number,
        record,
        recorded.signals,
        recorded.id,
        recorded.failures,
        lookup_of(recorded),
        recorded,
        dead,
        stored=True,
    )


@asynccontextmanager
async def open_topic(
    config: Config,
    topic: str,
    partitions: Sequence[int],
    begin: Whence,
    end: Whence,
    told: Told | None = None,
) -> AsyncIterator[TopicStream]:
    """Settle a range of a topic, and the decisions beside it.

    Args:
        config: the cluster, and the topic of the decisions.
        topic: topic of the requests.
        partitions: which of its partitions; all if empty.
        begin: where to begin, in each of them.
        end: where to end; the end of now if that is before it.
        told: is told how far reading is.

    Raises:
        StreamError: the cluster cannot be reached; the topic, or a partition of it, does not exist
            or cannot be read; offsets are named for some of the partitions only; the range ends
            before it begins.
    """
    async with AsyncExitStack() as stack:
        requests = await stack.enter_async_context(reader_of(config))
        counts = await _partitions(requests, config)
        numbers = _chosen(topic, counts.get(topic, ()), partitions)
        parts = await _settle(requests, config, topic, numbers, begin, end)
        other = config.topics.decisions
        decisions: AIOKafkaConsumer | None = None
        bounds: dict[int, tuple[int, int]] = {}
        if counts.get(other):
            decisions = await stack.enter_async_context(reader_of(config))
            both = [n for n in numbers if n in counts[other]]
            # Settled after the requests, so that what was decided of them by then is there.
            first, last = await _bounds(decisions, config, other, both)
            bounds = {number: (first[number], last[number]) for number in both}
        yield TopicStream(requests, decisions, config, topic, parts, bounds, told)


async def _partitions(consumer: AIOKafkaConsumer, config: Config) -> dict[str, list[int]]:
    with told_plainly(config, config.topics.requests):
        async with asyncio.timeout(config.kafka.request_timeout):
            # Asking for all of them: asking for one by name may create it.
            cluster = await consumer._client.fetch_all_metadata()
    return {one: sorted(cluster.partitions_for_topic(one) or ()) for one in cluster.topics()}


def _chosen(topic: str, there: Sequence[int], wanted: Sequence[int]) -> list[int]:
    if not there:
        raise StreamError(
            "missing-topic", f"the topic `{topic}` does not exist", "name another with `--topic`"
        )
    for one in wanted:
        if one not in there:
            raise StreamError(
                "missing-partition",
                f"`{topic}` has no partition {one}",
                f"it has {len(there)}, from 0 to {there[-1]}",
            )
    return sorted(set(wanted)) or list(there)


async def _bounds(
    consumer: AIOKafkaConsumer, config: Config, topic: str, numbers: Sequence[int]
) -> tuple[dict[int, int], dict[int, int]]:
    """The first offset of each partition, and the one after the last that is committed."""
    places = [TopicPartition(topic, number) for number in numbers]
    if not places:
        return {}, {}
    with told_plainly(config, topic):
        async with asyncio.timeout(config.kafka.request_timeout):
            consumer.assign(places)
            first = await consumer.beginning_offsets(places)
            last = await consumer.end_offsets(places)
    return (
        {one.partition: first[one] for one in places},
        {one.partition: last[one] for one in places},
    )


async def _settle(
    consumer: AIOKafkaConsumer,
    config: Config,
    topic: str,
    numbers: Sequence[int],
    begin: Whence,
    end: Whence,
) -> list[Part]:
    first, last = await _bounds(consumer, config, topic, numbers)
    starts = await _places(consumer, config, topic, first, last, begin)
    ends = await _places(consumer, config, topic, first, last, end)
    if begin.kind != "earliest":
        _refuse_reversed(topic, starts, ends)
    parts = []
    for number in numbers:
        start = min(max(starts[number], first[number]), last[number])
        stop = max(start, min(ends[number], last[number]))
        named = begin.kind in ("offset", "offsets")
        expired = max(0, min(first[number], ends[number]) - starts[number]) if named else 0
        parts.append(Part(number, start, stop, expired))
    return parts


def _refuse_reversed(topic: str, starts: Mapping[int, int], ends: Mapping[int, int]) -> None:
    """Refuse a range in which nothing can lie, in whatever partition."""
    odd = next((number for number in starts if starts[number] > ends[number]), None)
    if odd is not None and not any(starts[number] < ends[number] for number in starts):
        raise StreamError(
            "reversed-range",
            f"the range ends before it begins: in partition {odd} of `{topic}` `--from` is offset "
            f"{starts[odd]:,} and `--to` is {ends[odd]:,}",
            "name a later place with `--to`, or an earlier one with `--from`",
        )


async def _places(
    consumer: AIOKafkaConsumer,
    config: Config,
    topic: str,
    first: Mapping[int, int],
    last: Mapping[int, int],
    whence: Whence,
) -> dict[int, int]:
    if whence.kind == "earliest":
        return dict(first)
    if whence.kind == "latest":
        return dict(last)
    if whence.kind == "offset":
        return dict.fromkeys(first, whence.offset)
    if whence.kind == "offsets":
        if whence.offsets.keys() != first.keys():
            odd = sorted(whence.offsets.keys() ^ first.keys())[0]
            raise StreamError(
                "unequal-partitions",
                f"partition {odd} of `{topic}` is named without being replayed, or the other "
                "way round",
                "name an offset for each partition, and choose partitions with `--partition`",
            )
        return dict(whence.offsets)
    places = {TopicPartition(topic, number): max(0, whence.time_ms) for number in first}
    with told_plainly(config, topic):
        async with asyncio.timeout(config.kafka.request_timeout):
            found = await consumer.offsets_for_times(places)
    return {
        one.partition: last[one.partition] if found.get(one) is None else found[one].offset
        for one in places
    }
