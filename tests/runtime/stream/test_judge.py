"""Every record gets an outcome; a bug or a bad record does not stop the stream by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from aiokafka.structs import ConsumerRecord

from routec.runtime.config import Runtime
from routec.runtime.records import Dead, Decided, Outcome, Record
from routec.runtime.stream import StreamError
from routec.runtime.stream.judge import Judge


class Scripted:
    """Decides by a function of the record; raises where that raises."""

    policy_hash = "sha256:test"

    def __init__(self, answer: Callable[[Record], Outcome]) -> None:
        self.answer = answer
        self.batches: list[int] = []

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        self.batches.append(len(records))
        return [self.answer(record) for record in records]

    def learn(self, responses: Sequence[Record]) -> None:
        raise AssertionError("not asked to learn")


def consumed(offset: int, value: bytes | None = b"{}") -> ConsumerRecord:
    return ConsumerRecord("t", 0, offset, 7, 0, b"k", value, None, 1, 2, (("h", None),))


def echo(record: Record) -> Outcome:
    return Decided(str(record.offset).encode(), ())


def grumpy(record: Record) -> Outcome:
    if record.value == b"boom":
        raise ZeroDivisionError
    return echo(record)


async def test_outcomes_come_in_the_order_of_the_records_in_one_call() -> None:
    decider = Scripted(echo)
    outcomes = await Judge(decider, Runtime()).outcomes([consumed(n) for n in range(9)], {})
    assert [one.value for one in outcomes if isinstance(one, Decided)] == [
        str(n).encode() for n in range(9)
    ]
    assert decider.batches == [9]


async def test_the_decider_sees_the_record_as_it_was() -> None:
    seen: list[Record] = []

    def answer(record: Record) -> Outcome:
        seen.append(record)
        return echo(record)

    await Judge(Scripted(answer), Runtime()).outcomes([consumed(4, None)], {})
    assert seen == [Record("t", 0, 4, 7, b"k", None, (("h", b""),))]


async def test_an_event_over_the_limit_is_dead_and_the_decider_never_sees_it() -> None:
    decider = Scripted(echo)
    records = [consumed(0, b"x" * 11), consumed(1, b"x" * 10), consumed(2, b"x" * 12)]
    outcomes = await Judge(decider, Runtime(max_event_bytes=11)).outcomes(records, {})
    # The header's name counts as well.
    assert [type(one) for one in outcomes] == [Dead, Decided, Dead]
    assert isinstance(outcomes[0], Dead)
    assert outcomes[0].code == "event-too-large"
    assert "12 bytes" in outcomes[0].message
    assert decider.batches == [1]


async def test_what_could_not_be_read_keeps_its_reason() -> None:
    why = Dead("unreadable-batch", "damaged")
    outcomes = await Judge(Scripted(echo), Runtime()).outcomes([consumed(0), consumed(1)], {1: why})
    assert outcomes == [Decided(b"0", ()), why]


async def test_a_bug_costs_only_the_record_that_meets_it() -> None:
    records = [consumed(n, b"boom" if n in (2, 5) else b"{}") for n in range(8)]
    outcomes = await Judge(Scripted(grumpy), Runtime()).outcomes(records, {})
    dead = {n: one for n, one in enumerate(outcomes) if isinstance(one, Dead)}
    assert set(dead) == {2, 5}
    assert dead[2] == Dead("internal-error", "the engine failed with ZeroDivisionError")


async def test_failing_again_and_again_stops_instead_of_burying_everything() -> None:
    judge = Judge(Scripted(grumpy), Runtime(max_internal_errors=5))
    await judge.outcomes([consumed(n, b"boom") for n in range(4)], {})
    with pytest.raises(StreamError) as stopped:
        await judge.outcomes([consumed(4, b"boom")], {})
    assert stopped.value.code == "decider-failing"


async def test_a_decision_in_between_starts_the_count_again() -> None:
    judge = Judge(Scripted(grumpy), Runtime(max_internal_errors=3))
    for _ in range(5):
        await judge.outcomes([consumed(0, b"boom"), consumed(1, b"boom"), consumed(2)], {})


async def test_a_wrong_number_of_outcomes_is_never_matched_to_records() -> None:
    class Short(Scripted):
        async def decide(self, records: Sequence[Record]) -> list[Outcome]:
            return (await super().decide(records))[: max(1, len(records) - 1)]

    outcomes = await Judge(Short(echo), Runtime()).outcomes([consumed(n) for n in range(4)], {})
    assert outcomes == [Decided(str(n).encode(), ()) for n in range(4)]


async def test_a_decider_that_hangs_stops_the_worker() -> None:
    class Hanging(Scripted):
        async def decide(self, records: Sequence[Record]) -> list[Outcome]:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(StreamError) as stopped:
        await Judge(Hanging(echo), Runtime(decide_timeout=0.01)).outcomes([consumed(0)], {})
    assert stopped.value.code == "decider-stuck"


async def test_a_time_out_of_the_decider_itself_is_an_error_like_others() -> None:
    def late(record: Record) -> Outcome:
        raise TimeoutError

    (outcome,) = await Judge(Scripted(late), Runtime()).outcomes([consumed(0)], {})
    assert outcome == Dead("internal-error", "the engine failed with TimeoutError")


async def test_events_that_are_decided_one_by_one_share_the_time_of_a_batch() -> None:
    class Slow(Scripted):
        async def decide(self, records: Sequence[Record]) -> list[Outcome]:
            if len(records) > 1:
                raise ZeroDivisionError
            await asyncio.sleep(0.02)
            return await super().decide(records)

    decider = Slow(echo)
    with pytest.raises(StreamError) as stopped:
        await Judge(decider, Runtime(decide_timeout=0.1)).outcomes(
            [consumed(n) for n in range(50)], {}
        )
    assert stopped.value.code == "decider-stuck"
    assert len(decider.batches) < 10
