"""What is in flight is bounded, and partitions share it."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from routec.runtime.stream.budget import Budget


def at(number: int) -> TopicPartition:
    return TopicPartition("t", number)


def nothing() -> None:
    """Nobody waits for room."""


@given(
    st.integers(1, 200),
    st.integers(1, 5_000),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50), st.integers(1, 400)), max_size=60),
)
def test_events_never_exceed_the_budget_and_bytes_only_by_one_fetch(
    events: int, size: int, wishes: list[tuple[int, int, int]]
) -> None:
    budget = Budget(events, size, nothing)
    largest = 0
    for partition, wanted, each in wishes:
        if not budget.allows(at(partition)):
            continue
        count = min(wanted, budget.room)
        budget.take(at(partition), count, count * each)
        largest = max(largest, count * each)
        assert budget.events <= events
        assert budget.bytes < size + largest


@given(st.integers(1, 500), st.integers(1, 20))
def test_a_partition_that_holds_nothing_finds_room_whatever_the_others_do(
    events: int, busy: int
) -> None:
    budget = Budget(events, 1_000_000, nothing)
    progress = True
    while progress:
        progress = False
        for partition in range(busy):
            if budget.allows(at(partition)):
                budget.take(at(partition), 1, 1)
                progress = True
    # Only a budget with fewer events than there are partitions runs out.
    assert budget.room > 0 or events <= busy
    assert budget.allows(at(busy)) is (budget.room > 0)


def test_busy_partitions_get_equal_shares_and_leave_one() -> None:
    budget = Budget(1000, 1_000_000, nothing)
    for _ in range(1000):
        for partition in range(4):
            if budget.allows(at(partition)):
                budget.take(at(partition), 1, 1)
    assert budget.events == 800
    assert budget.room == 200


def test_an_event_larger_than_the_budget_passes_alone() -> None:
    budget = Budget(10, 100, nothing)
    assert budget.allows(at(0))
    budget.take(at(0), 1, 5_000)
    assert not budget.allows(at(0))
    assert not budget.allows(at(1))
    budget.release(at(0), 1, 5_000)
    assert budget.allows(at(1))


def test_who_waits_for_room_is_told_once_there_is_some() -> None:
    told: list[int] = []
    budget = Budget(2, 100, lambda: told.append(1))
    budget.take(at(0), 1, 1)
    budget.release(at(0), 1, 1)
    assert told == []  # nobody had asked in vain
    budget.take(at(0), 2, 2)
    assert not budget.allows(at(0))
    budget.release(at(0), 1, 1)
    budget.release(at(0), 1, 1)
    assert told == [1]
    assert (budget.events, budget.bytes) == (0, 0)


def test_nobody_gives_back_more_than_they_hold() -> None:
    budget = Budget(10, 100, nothing)
    budget.take(at(0), 1, 10)
    with pytest.raises(ValueError, match="gives back more"):
        budget.release(at(1), 1, 10)
    with pytest.raises(ValueError, match="gives back more"):
        budget.release(at(0), 1, 11)
