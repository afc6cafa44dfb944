"""A lane stops before it drains its partition into the dead letters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.runtime.config import Runtime
from routec.runtime.records import Dead
from routec.runtime.stream.limits import Limits
from routec.runtime.stream.unit import Unit, measure

AT = TopicPartition("req", 3)


def consumed(offset: int) -> ConsumerRecord:
    return ConsumerRecord("req", 3, offset, 7, 0, b"k", b"12345", None, 1, 5, ())


def unit(outcomes: str, start: int = 0, step: int = 1) -> Unit:
    """`.` is a decision, `x` a dead letter."""
    made = Unit(start, start + len(outcomes) * step)
    for at, what in enumerate(outcomes):
        record = consumed(start + at * step)
        if what == "x":
            made.dead.append((record, Dead("invalid-json", "no"), "sha256:1"))
        else:
            made.decisions.append((record, b"d", []))
        made.events += 1
        made.bytes += measure([record])
    return made


def limits(consecutive: int = 0, ratio: float = 1.0, window: int = 10) -> Limits:
    return Limits(
        AT,
        Runtime(
            max_consecutive_dead_letters=consecutive,
            max_dead_letter_ratio=ratio,
            dead_letter_window=window,
        ),
    )


def offsets(some: Unit) -> list[int]:
    return sorted([one[0].offset for one in some.decisions] + [one[0].offset for one in some.dead])


def test_as_many_in_a_row_as_the_limit_may_pass_and_no_more() -> None:
    watch = limits(consecutive=3)
    assert watch.admit(unit("..xxx.xxx."))[1] is None
    whole = unit("..xxx..xxxx.", start=40)
    part, stop = watch.admit(whole)
    assert offsets(part) == [40, 41, 42, 43, 44, 45, 46]
    assert (part.start, part.end, part.events) == (40, 47, 7)
    assert part.bytes == measure(consumed(at) for at in offsets(part))
    assert stop is not None
    assert (stop.code, stop.limit, stop.offset) == (
        "too-many-dead-letters",
        "max_consecutive_dead_letters",
        47,
    )
    assert str(stop) == (
        "4 events in a row of partition 3 of `req` would become dead letters, "
        "last for `invalid-json`; stopped before offset 47"
    )
    assert "`runtime.max_consecutive_dead_letters`" in stop.help


def test_a_row_goes_on_from_unit_to_unit_and_ends_with_a_decision() -> None:
    watch = limits(consecutive=3)
    for outcomes in ("xxx", ".", "xx", ".x", "xx"):
        made = unit(outcomes)
        assert watch.admit(made) == (made, None)
        assert watch.count(made) is None
    part, stop = watch.admit(unit("x.....", start=90))
    assert (part.events, part.end) == (0, 90)
    assert stop is not None


def test_nothing_is_remembered_of_what_is_not_written() -> None:
    watch = limits(consecutive=3)
    for _ in range(5):
        assert watch.admit(unit("xxx"))[1] is None


def test_the_share_is_of_the_last_events_as_if_those_before_the_first_were_decided() -> None:
    watch = limits(ratio=0.3, window=10)
    made = unit("xxx")
    assert watch.admit(made)[1] is None
    watch.count(made)
    part, stop = watch.admit(unit(".....x", start=3))
    assert stop is not None
    assert (stop.limit, part.end) == ("max_dead_letter_ratio", 8)
    assert str(stop).startswith("4 of the last 10 events of partition 3 of `req` would become")
    assert watch.admit(unit(".......x..", start=3))[1] is None


def test_a_share_is_what_is_written_not_its_nearest_binary_fraction() -> None:
    assert limits(ratio=0.29, window=100).admit(unit("x" * 29))[1] is None
    assert limits(ratio=0.29, window=100).admit(unit("x" * 30))[1] is not None


def test_where_the_share_is_passed_none_of_the_unit_s_letters_is_written() -> None:
    part, stop = limits(ratio=0.2, window=10).admit(unit("..x.x..x."))
    assert stop is not None
    assert offsets(part) == [0, 1]


@pytest.mark.parametrize("outcomes", ["x" * 5000, "x." * 2500])
def test_zero_and_one_set_no_limit(outcomes: str) -> None:
    watch = limits()
    made = unit(outcomes)
    assert watch.admit(made) == (made, None)
    assert watch.count(made) is None


def test_decisions_that_the_broker_refuses_stop_the_lane_after_they_are_buried() -> None:
    watch = limits(consecutive=2)
    made = unit("....", start=5)
    assert watch.admit(made) == (made, None)
    made.bury([(consumed(at), Dead("decision-too-large", "")) for at in (6, 7, 8)], "sha256:1")
    stop = watch.count(made)
    assert stop is not None
    assert stop.offset == made.end == 9
    assert "became dead letters, last for `decision-too-large`" in str(stop)


def test_offsets_without_records_change_nothing() -> None:
    watch = limits(consecutive=2)
    watch.count(unit("xx"))
    assert watch.count(Unit(2, 9)) is None
    assert watch.admit(unit("x", start=9))[1] is not None


def first_passed(outcomes: str, consecutive: int, allowed: int | None, window: int) -> int | None:
    """The index at which a limit is passed, by counting anew at each."""
    for at in range(len(outcomes)):
        so_far = outcomes[: at + 1]
        row = len(so_far) - len(so_far.rstrip("x"))
        if consecutive and row > consecutive:
            return at
        if allowed is not None and so_far[-window:].count("x") > allowed:
            return at
    return None


@settings(deadline=None)
@given(
    st.lists(st.text("x.", max_size=12), max_size=12),
    st.integers(0, 6),
    st.sampled_from([0.1, 0.25, 0.5, 0.57, 0.9, 1.0]),
    st.integers(1, 12),
    st.integers(1, 3),
)
def test_it_stops_in_the_unit_that_passes_a_limit_and_nothing_of_the_cause_is_written(
    units: Sequence[str], consecutive: int, ratio: float, window: int, step: int
) -> None:
    watch = limits(consecutive, ratio, window)
    allowed = None if ratio == 1.0 else math.floor(Fraction(str(ratio)) * window)
    expected = first_passed("".join(units), consecutive, allowed, window)
    start = 0
    for outcomes in units:
        made = unit(outcomes, start * step, step)
        part, stop = watch.admit(made)
        inside = expected is not None and expected < start + len(outcomes)
        assert (stop is not None) is inside
        if stop is not None:
            assert stop.offset == part.end
            assert made.start is not None
            assert made.start <= part.end < made.end
            assert offsets(part) == [at for at in offsets(made) if at < part.end]
            assert part.events == len(offsets(part))
            return
        assert part is made
        assert watch.count(part) is None
        start += len(outcomes)
