"""Reading batches that the client gives up on."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from hypothesis import given
from hypothesis import strategies as st

from routec.runtime.stream import salvage
from routec.runtime.stream.salvage import read_batches

AT = TopicPartition("t", 1)


class Odd(str):
    """A header name whose bytes are not UTF-8."""

    def encode(self, *args: object) -> bytes:  # type: ignore[override]
        return b"na\xffme"


def batch(base: int, values: list[bytes], codec: int = 0, odd: int | None = None) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, 0, 1_000_000)
    for at, value in enumerate(values):
        headers = [(Odd("x"), b"1")] if at == odd else []
        builder.append(at, 1000 + at, b"k", value, headers)
    data = bytearray(builder.build())
    data[:8] = base.to_bytes(8, "big")  # the checksum does not cover the base offset
    return bytes(data)


def test_a_header_name_that_is_not_utf8_is_shown_with_backslashes() -> None:
    for codec in (0, 1, 2, 3, 4):
        data = batch(10, [b"a", b"b", b"c"], codec, odd=1)
        found = read_batches(data, AT, 10, 100)
        assert found is not None
        assert [(one.offset, one.value) for one in found.records] == [
            (10, b"a"),
            (11, b"b"),
            (12, b"c"),
        ]
        assert found.records[1].headers == (("na\\xffme", b"1"),)
        assert (found.end, found.unreadable) == (13, {})


def test_records_before_the_wanted_offset_are_left_out() -> None:
    data = batch(10, [b"a", b"b"], odd=0) + batch(12, [b"c", b"d"])
    found = read_batches(data, AT, 11, 100)
    assert found is not None
    assert [one.offset for one in found.records] == [11, 12, 13]


def test_a_damaged_batch_is_one_letter_with_its_bytes_and_the_next_is_read() -> None:
    damaged = bytearray(batch(10, [b"a", b"b"]))
    damaged[-1] ^= 0xFF
    found = read_batches(bytes(damaged) + batch(12, [b"c"]), AT, 10, 100)
    assert found is not None
    assert [one.value for one in found.records] == [bytes(damaged), b"c"]
    assert set(found.unreadable) == {0}
    assert found.unreadable[0].code == "unreadable-batch"
    assert "offsets 10 to 11" in found.unreadable[0].message
    assert found.end == 13


def test_a_batch_of_more_records_than_anybody_holds_is_one_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(salvage, "_MOST_RECORDS", 2)
    found = read_batches(batch(0, [b"a", b"b"], odd=0) + batch(2, [b"c"] * 3), AT, 0, 100)
    assert found is not None
    assert [len(one.value) > 1 for one in found.records] == [False, False, True]
    assert "it has 3 records" in found.unreadable[2].message
    assert found.end == 5


def test_a_batch_cut_off_is_left_for_the_next_fetch() -> None:
    whole = batch(0, [b"a"])
    found = read_batches(whole + batch(1, [b"b"])[:-5], AT, 0, 100)
    assert found is not None
    assert (len(found.records), found.end) == (1, 1)
    assert read_batches(whole[:-5], AT, 0, 100) is None
    assert read_batches(b"", AT, 0, 100) is None


@given(st.integers(26, 10_000), st.integers(0, 255))
def test_damage_costs_the_damaged_batch_only(at: int, byte: int) -> None:
    good, last = batch(5, [b"one", b"two"]), batch(7, [b"three"])
    bad = bytearray(good)
    # The broker vouches for offsets and lengths, not for what is inside.
    bad[26 + at % (len(bad) - 26)] = byte
    found = read_batches(bytes(bad) + last, AT, 5, 100)
    assert found is not None
    assert found.end == 8
    assert found.records[-1].value == b"three"
    if bytes(bad) == good:
        assert [one.value for one in found.records] == [b"one", b"two", b"three"]
    else:
        assert found.records[0].value == bytes(bad)
        assert set(found.unreadable) == {0}
    alone = read_batches(bytes(bad), AT, 5, 100)
    assert alone is not None
    assert alone.end > 5


@given(st.binary(max_size=200))
def test_no_bytes_raise_or_go_back(data: bytes) -> None:
    found = read_batches(batch(5, [b"one"]) + data, AT, 5, 100)
    assert found is not None
    assert found.end > 5
    assert all(one.offset >= 5 for one in found.records)
