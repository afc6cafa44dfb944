"""A worker that stops at a limit of dead letters has lost and doubled nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from routec.runtime.config import Config, Kafka, Runtime, Topics
from routec.runtime.embedded import PARTITIONS, embedded_broker
from routec.runtime.observe import GROUP, Health, Metrics
from routec.runtime.records import Dead, Decided, Outcome, Record
from routec.runtime.stream import Observed, StreamError, Worker
from tests.runtime.reading import read

TOPICS = Topics(responses="")
GOOD, BAD = 40, 60


class Numbers:
    """Takes integers."""

    policy_hash = "sha256:numbers"

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        await asyncio.sleep(0.002)
        return [
            Decided(one.value, (("source", str(one.offset).encode()),))
            if one.value and one.value.isdigit()
            else Dead("invalid-number", "no")
            for one in records
        ]

    def learn(self, responses: Sequence[Record]) -> None:
        raise AssertionError("there are none")


def configured(bootstrap: str, fetch_max_wait: float, **limits: Any) -> Config:
    return Config(
        kafka=Kafka(
            bootstrap=bootstrap,
            fetch_max_wait=fetch_max_wait,
            session_timeout=4.0,
            heartbeat_interval=1.0,
        ),
        topics=TOPICS,
        # Offsets are committed at the very end: what a stop does not commit is done again.
        runtime=Runtime(delivery="at_least_once", batch_size=16, commit_interval=30.0, **limits),
    )


async def write(config: Config) -> None:
    """In partition 1 everything from the fortieth on is bad; the others are good."""
    async with AIOKafkaProducer(bootstrap_servers=config.kafka.bootstrap) as producer:
        for partition in range(PARTITIONS):
            for n in range(GOOD + BAD):
                value = b"bad" if partition == 1 and n >= GOOD else b"%d" % n
                await producer.send(TOPICS.requests, value, partition=partition)
        await producer.flush()


async def test_it_stops_loudly_before_the_letters_and_goes_on_where_it_was() -> None:
    async with embedded_broker([TOPICS.requests, TOPICS.decisions, TOPICS.dlq]) as broker:
        where = broker.bootstrap, broker.fetch_max_wait
        config = configured(*where, max_consecutive_dead_letters=10)
        await write(config)
        metrics = Metrics()
        worker = Worker(config, Numbers(), Observed(metrics, Health((GROUP,))))
        with pytest.raises(StreamError) as stopped:
            async with asyncio.timeout(30):
                await worker.run()
        assert stopped.value.code == "too-many-dead-letters"
        assert "of partition 1 of `routec.requests`" in stopped.value.message
        value = metrics.registry.get_sample_value
        labels = {"limit": "max_consecutive_dead_letters"}
        assert value("routec_dead_letter_limits_total", labels) == 1
        letters = await read(config, TOPICS.dlq)
        assert len(letters) <= 10
        decisions = await read(config, TOPICS.decisions)
        assert len([one for one in decisions if one.partition == 1]) == GOOD

        # Whoever raises the limit lets them pass; nothing that was written is written again.
        second = Worker(configured(*where), Numbers())
        task = asyncio.create_task(second.run())
        async with asyncio.timeout(30):
            # What is done tells no event.
            while second.counts.taken < PARTITIONS * (GOOD + BAD) - len(decisions) - len(letters):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        second.stop()
        await task
        decisions = await read(config, TOPICS.decisions)
        letters = await read(config, TOPICS.dlq)
    wanted = {p: list(range(GOOD if p == 1 else GOOD + BAD)) for p in range(PARTITIONS)}
    for partition, offsets in wanted.items():
        mine = [one for one in decisions if one.partition == partition]
        assert [int(dict(one.headers)["source"]) for one in mine] == offsets
    found = [int(dict(one.headers)["routec.error.offset"]) for one in letters]
    assert found == list(range(GOOD, GOOD + BAD))
