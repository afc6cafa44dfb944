"""What a lane's writer makes of a broker's refusals."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownError,
)
from aiokafka.structs import ConsumerRecord

from routec.runtime.config import Config, Kafka
from routec.runtime.records import Dead
from routec.runtime.stream.faults import NoFaults
from routec.runtime.stream.lease import Lease
from routec.runtime.stream.observer import Silent
from routec.runtime.stream.transactions import TransactionalWriter
from routec.runtime.stream.unit import Entry, Unit

AT = TopicPartition("routec.requests", 0)
CONFIG = Config(kafka=Kafka(retry_backoff=0.001))


def entries(count: int) -> list[Entry]:
    return [
        (ConsumerRecord("t", 0, at, 7, 0, None, b"", None, -1, 0, ()), b"x", [])
        for at in range(count)
    ]


class Scripted(TransactionalWriter):
    """A writer whose broker answers each attempt's batches as it is told; then it takes all."""

    def __init__(self, *answers: Any) -> None:
        self.lease = Lease(1, lambda: "sha256:x")
        super().__init__(
            CONFIG,
            AT,
            0,
            self.lease,
            asyncio.Semaphore(1),
            lambda works: None,
            Silent(),
            NoFaults(),
        )
        self.answers = list(answers)
        self.attempts: list[list[int]] = []
        self.slept = 0
        self._offset = 0

    async def open(self) -> int | None:
        return self._offset

    async def _attempt(self, unit: Unit) -> bool:
        batches, at = [], 0
        while at < len(unit.decisions):
            end = min(len(unit.decisions), at + self._most)
            batches.append((CONFIG.topics.decisions, 0, unit.decisions, at, end))
            at = end
        self.attempts.append([end - begin for _, _, _, begin, end in batches])
        answer = self.answers.pop(0) if self.answers else None
        return self._accepted(
            unit, batches, [answer(batch) for batch in batches] if answer else [0] * len(batches)
        )


def all_fail(error: KafkaError) -> Any:
    return lambda batch: error


async def write(writer: Scripted, count: int) -> Unit:
    made = entries(count)
    unit = Unit(writer._offset, count, count, count, made)
    await writer.write(unit)
    return unit


async def test_a_code_without_a_name_is_trouble_of_the_broker_before_it_is_anyones_fault() -> None:
    writer = Scripted(*[all_fail(UnknownError())] * 2)
    writer._most = 1
    unit = await write(writer, 3)
    # Several batches that fail in one attempt are one refusal.
    assert writer.attempts == [[1, 1, 1]] * 3
    assert not unit.dead


async def test_who_is_to_blame_is_found_by_halving_and_later_units_are_whole_again() -> None:
    def too_large(batch: Any) -> Any:
        _, _, made, begin, end = batch
        held = [source.offset for source, _, _ in made[begin:end]]
        return MessageSizeTooLargeError() if 5 in held else 0

    writer = Scripted(*[too_large] * 6)
    unit = await write(writer, 8)
    assert [consumed.offset for consumed, _, _ in unit.dead] == [5]
    assert [len(attempt) for attempt in writer.attempts] == [1, 2, 4, 8, 1]
    await writer.write(Unit(8, 9, 1, 1, entries(1)))
    assert writer._most == CONFIG.runtime.max_in_flight_events


async def test_trouble_that_passes_leaves_batches_as_large_as_before() -> None:
    writer = Scripted(*[all_fail(UnknownError())] * 4)
    unit = await write(writer, 8)
    assert not unit.dead
    assert writer.attempts == [[8], [8], [8], [4, 4], [2, 2, 2, 2]]
    assert writer._most == CONFIG.runtime.max_in_flight_events


async def test_what_is_forbidden_is_told_whatever_else_failed_because_of_it() -> None:
    answers = iter([KafkaConnectionError("aborted"), TopicAuthorizationFailedError("routec.dlq")])
    writer = Scripted(lambda batch: next(answers))
    writer._most = 1
    with pytest.raises(Exception) as failed:
        await write(writer, 2)
    assert getattr(failed.value, "code", "") == "write-forbidden"


async def test_what_takes_too_long_is_committed_in_parts() -> None:
    class Slow(Scripted):
        def __init__(self) -> None:
            super().__init__()
            self.sizes: list[int] = []
            self.written: list[int] = []

        async def _attempt(self, unit: Unit) -> bool:
            self.sizes.append(unit.events)
            if unit.events > 3:
                raise TimeoutError
            held = [source.offset for source, _, _ in unit.decisions]
            self.written += held
            if 5 in held:
                made = next(one for one in unit.decisions if one[0].offset == 5)
                unit.bury([(made[0], Dead("decision-refused", "no"))], "sha256:x")
            return True

    writer = Slow()
    unit = Unit(0, 10, 10, 10, entries(10))
    await writer.write(unit)
    assert writer.sizes == [10, 5, 2, 3, 5, 2, 3]
    assert writer.written == [*range(10)]
    assert writer._offset == 10
    assert [source.offset for source, _, _ in unit.decisions] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert [consumed.offset for consumed, _, _ in unit.dead] == [5]
    # Once there is time again units are as large as before.
    for start in range(10, 100, 3):
        await writer.write(Unit(start, start + 3))
    assert writer._events == CONFIG.runtime.max_in_flight_events


async def test_one_event_for_which_there_is_no_time_is_tried_again_and_again() -> None:
    writer = Scripted()
    times = [TimeoutError()] * 3

    async def attempt(unit: Unit) -> bool:
        if times:
            raise times.pop()
        return True

    writer._attempt = attempt  # type: ignore[method-assign]
    await write(writer, 1)
    assert not times
    assert writer._offset == 1


async def test_units_follow_each_other() -> None:
    writer = Scripted()
    await write(writer, 3)
    with pytest.raises(AssertionError, match="follow"):
        await writer.write(Unit(2, 5, 3, 3, entries(3)))
    assert writer._offset == 3
