"""A worker that starts while the brokers come and go."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from routec.runtime.config import Config, Kafka, Topics
from routec.runtime.stream import StreamError, Worker
from routec.runtime.stream.responses import ResponseTail
from routec.runtime.stream.topics import Partitions, count_partitions


class Undecided:
    """Is never asked."""

    policy_hash = "sha256:none"

    async def decide(self, records: Any) -> Any:
        raise AssertionError

    def learn(self, responses: Any) -> None:
        raise AssertionError


class Leaving:
    """A producer, and its client, whose broker answers from the given try on."""

    def __init__(self, answers_at: int) -> None:
        self.client = self
        self.tries, self._answers_at = 0, answers_at

    async def fetch_all_metadata(self) -> Any:
        self.tries += 1
        if self.tries < self._answers_at:
            raise KafkaConnectionError("the connection is closed")
        return self

    def topics(self) -> set[str]:
        return {"routec.requests", "routec.decisions", "routec.dlq"}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1}


def config(**given: Any) -> Config:
    return Config(kafka=Kafka(retry_backoff=0.01, **given), topics=Topics(responses=""))


async def test_a_worker_that_is_told_to_stop_while_no_broker_answers_returns() -> None:
    with socket.socket() as silent:
        # It accepts and never answers.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        bootstrap = f"127.0.0.1:{silent.getsockname()[1]}"
        worker = Worker(config(bootstrap=bootstrap), Undecided())
        task = asyncio.create_task(worker.run())
        await asyncio.sleep(0.05)
        assert not task.done()
        worker.stop()
        await asyncio.wait_for(task, 20)
        assert task.cancelling() == 0


async def test_a_worker_that_is_aborted_while_no_broker_answers_is_cancelled() -> None:
    worker = Worker(config(bootstrap="127.0.0.1:1"), Undecided())
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(0.05)
    worker.abort()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20)


async def test_a_broker_that_goes_away_while_topics_are_looked_up_is_asked_again() -> None:
    leaving: Any = Leaving(answers_at=3)
    assert await count_partitions(leaving, config()) == Partitions(2, 2, 2, 0)
    assert leaving.tries == 3


async def test_a_broker_that_stays_away_is_named() -> None:
    leaving: Any = Leaving(answers_at=10_000)
    with pytest.raises(StreamError) as lost:
        await count_partitions(leaving, config(connect_timeout=0.05))
    assert lost.value.code == "kafka-unreachable"


class Restless:
    """A consumer that does not find the end of its partitions at first."""

    def __init__(self, tries: int) -> None:
        self.left, self.sought = tries, 0

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def assign(self, partitions: Any) -> None:
        assert len(partitions) == 3

    async def end_offsets(self, partitions: Any) -> Any:
        self.sought += 1
        if self.sought <= self.left:
            raise [KafkaConnectionError("gone"), TimeoutError()][self.sought % 2]
        return dict.fromkeys(partitions, 7)

    def seek(self, partition: Any, offset: int) -> None:
        assert offset == 7

    async def position(self, partition: Any) -> int:
        return 7

    async def getmany(self, timeout_ms: int, max_records: int) -> Any:
        assert self.sought == self.left + 1, "reads from its end only"
        await asyncio.sleep(0.01)
        if self.sought < 100:
            self.sought = self.left = 100
            self.left -= 1
            return {"partition": [Said()]}
        return {}


class Said:
    """A response record."""

    topic, partition, offset, timestamp, key, value, headers = "r", 0, 7, 0, None, b"{}", ()


class Learning(Undecided):
    """Notes what it learns."""

    def __init__(self) -> None:
        self.learnt = asyncio.Event()

    def learn(self, responses: Any) -> None:
        assert [record.offset for record in responses] == [7]
        self.learnt.set()


@pytest.mark.parametrize("failures", [0, 1, 3])
async def test_a_broker_that_does_not_tell_where_responses_end_is_asked_again(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer, learning = Restless(failures), Learning()
    monkeypatch.setattr(
        "routec.runtime.stream.responses.make_consumer", lambda config, group: consumer
    )
    tail = ResponseTail(Config(kafka=Kafka(retry_backoff=0.01)), learning, 3)
    await tail.start()
    async with asyncio.timeout(10):
        await learning.learnt.wait()
    await tail.stop(1.0)
