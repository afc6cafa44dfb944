"""Requests meet their decisions as in a join by id, whatever lies between, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.runtime.events.encode import decision_id
from routec.runtime.records import Record
from routec.runtime.replay.merge import Join, Seen

TOPIC, PARTITION = "routec.requests", 3


def id_of(offset: int, topic: str = TOPIC) -> str:
    return decision_id(Record(topic, PARTITION, offset, 0, None, None))


class Written:
    """The decisions of a partition in memory, as a reader gives them; counts what is held."""

    def __init__(self, ids: Sequence[str | None], chunk: int) -> None:
        # Markers of transactions make every other offset one without a record.
        self.records = [Seen(2 * at, id, b"%d" % at) for at, id in enumerate(ids)]
        self.chunk = chunk
        self.at = 0
        self.given = 0

    async def more(self) -> list[Seen] | None:
        some = [one for one in self.records if one.offset >= self.at][: self.chunk]
        if not some:
            return None
        self.at = some[-1].offset + 1
        self.given += len(some)
        return some

    def seek(self, offset: int) -> None:
        self.at = offset


def joined(requests: Sequence[int], written: Written, window: int) -> list[bytes | None]:
    async def work() -> list[bytes | None]:
        join = Join(TOPIC, PARTITION, written, window)
        found = []
        for offset in requests:
            seen = await join.of(offset)
            found.append(None if seen is None else seen.value)
            assert len(join._ids) == len(join._offsets) <= window
            assert len(join._waiting) <= written.chunk
        return found

    return asyncio.run(work())


def naive(requests: Sequence[int], ids: Sequence[str | None]) -> list[bytes | None]:
    first: dict[str | None, bytes] = {}
    for at, id in enumerate(ids):
        first.setdefault(id, b"%d" % at)
    return [first.get(id_of(offset)) for offset in requests]


@st.composite
def partitions(draw: st.DrawFn) -> tuple[list[int], list[str | None]]:
    """Requests with gaps; decisions of some, foreign ones, ones that are none, and repetitions."""
    gaps = draw(st.lists(st.sampled_from((1, 1, 1, 2, 3, 40)), min_size=1, max_size=60))
    everything = [sum(gaps[: at + 1]) for at in range(len(gaps))]
    decided = [offset for offset in everything if draw(st.sampled_from((True, True, False)))]
    if draw(st.booleans()):  # a long stretch of dead letters
        low = draw(st.sampled_from(everything))
        decided = [offset for offset in decided if not low <= offset < low + 120]
    ids: list[str | None] = []
    for at, offset in enumerate(decided):
        ids.append(id_of(offset))
        what = draw(st.sampled_from(("",) * 8 + ("foreign", "none", "again")))
        if what == "foreign":
            ids.append(id_of(offset, "other"))
        elif what == "none":
            ids.append(None)
        elif what == "again":  # a worker that was killed before it committed
            back = draw(st.integers(0, at))
            ids += [id_of(one) for one in decided[back : at + 1]]
    start = draw(st.integers(0, len(everything) - 1))
    return everything[start:], ids


@settings(max_examples=150, deadline=None)
@given(partitions(), st.integers(1, 9), st.sampled_from((1, 2, 7, 50, 1000)))
def test_a_merge_is_the_naive_join(
    made: tuple[list[int], list[str | None]], chunk: int, window: int
) -> None:
    requests, ids = made
    assert joined(requests, Written(ids, chunk), window) == naive(requests, ids)


def test_what_is_in_order_is_read_once() -> None:
    requests = [offset for offset in range(3000) if offset % 7]
    written = Written([id_of(offset) for offset in requests], 100)
    assert None not in joined(requests, written, 512)
    assert written.given == len(requests)


@pytest.mark.parametrize("window", [1, 16, 4096])
def test_a_stretch_without_decisions_costs_no_decision_after_it(window: int) -> None:
    """More dead letters in a row than the window has offsets."""
    requests = list(range(400))
    decided = [*range(20), *range(350, 400)]
    found = joined(requests, Written([id_of(one) for one in decided], 8), window)
    assert [offset for offset, one in zip(requests, found, strict=True) if one] == decided


def test_no_decisions_are_asked_for_once() -> None:
    written = Written([], 8)
    assert joined(range(500), written, 4) == [None] * 500
    assert written.given == 0


def test_records_that_are_no_decisions_are_counted_and_passed_over() -> None:
    async def work() -> None:
        join = Join(TOPIC, PARTITION, Written([None, id_of(4), None, None, id_of(5)], 2))
        assert (await join.of(4), await join.of(5), await join.of(6)) != (None, None, None)
        assert join.unreadable == 3

    asyncio.run(work())
