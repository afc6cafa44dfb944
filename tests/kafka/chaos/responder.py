"""Whoever serves requests, to the worker: answers come for some decisions, not all of them good."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from routec.runtime.config import Config
from tests.kafka.chaos.scenario import Scenario

_TICK = 0.05
_LATE = 0.3
"""Seconds that an answer takes at most."""
_SHARE = 0.8
"""Of the decisions that missed the cache, so many are answered."""
_BAD = 0.15
"""So many of the answers are of no use."""
_TOO_LARGE = 80_000
"""Characters of an answer that is longer than any that is kept."""
MISSED = b'"status":"miss"'


class Responder:
    """Answers committed decisions that missed the cache.

    Args:
        scenario: says how many partitions there are.
        config: names the topic; without one nothing is answered.
    """

    def __init__(self, scenario: Scenario, config: Config) -> None:
        self._topic = config.topics.responses
        self._partitions = scenario.partitions
        self._rng = random.Random(f"answers {scenario.seed}")
        self._due: list[tuple[float, bytes | None]] = []
        self._task: asyncio.Task[None] | None = None
        self._bootstrap = config.kafka.bootstrap
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect, and answer in the background."""
        if self._topic:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap, request_timeout_ms=5_000, retry_backoff_ms=100
            )
            await self._producer.start()
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what is not answered will not be."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._producer is not None:
            await asyncio.wait_for(self._producer.stop(), 30)

    def take(self, records: Sequence[Any]) -> None:
        """Answer some of these decisions, soon."""
        if self._producer is None:
            return
        for record in records:
            if MISSED in record.value and self._rng.random() < _SHARE:
                at = time.monotonic() + self._rng.uniform(0.0, _LATE)
                self._due.append((at, self._answer(json.loads(record.value))))

    def _answer(self, decision: dict[str, Any]) -> bytes | None:
        id = decision["decision_id"]
        choice = {"message": {"role": "assistant", "content": words(id)}, "finish_reason": "stop"}
        answer = {
            "request_id": decision["request_id"],
            "decision_id": id,
            "model": decision["model"],
            "latency_ms": self._rng.randrange(5_000),
            "ok": True,
            "body": {"id": f"answer-{id}", "choices": [choice]},
        }
        if self._rng.random() >= _BAD:
            return json.dumps(answer).encode()
        match self._rng.choice(("refused", "cut", "unknown", "torn", "huge", "none")):
            case "refused":
                answer["ok"] = False
            case "cut":
                choice["finish_reason"] = "length"
            case "unknown":
                answer["decision_id"] = "0" * 32
            case "huge":
                answer["body"]["padding"] = "x" * _TOO_LARGE
            case "torn":
                return json.dumps(answer).encode()[:-40]
            case "none":
                return None
        return json.dumps(answer).encode()

    async def _run(self) -> None:
        assert self._producer is not None
        while True:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            due = [value for at, value in self._due if at <= now]
            self._due = [one for one in self._due if one[0] > now]
            for value in due:
                at = self._rng.randrange(self._partitions)
                with contextlib.suppress(KafkaError):
                    sent = await self._producer.send(self._topic, value, b"k", at)
                    # It may be lost.
                    sent.add_done_callback(lambda one: one.cancelled() or one.exception())


def words(decision_id: str) -> str:
    """What an answer says: whose it is."""
    return f"answer to {decision_id}"
