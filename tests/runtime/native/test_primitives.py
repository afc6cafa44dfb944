"""What the compiled path has of its own gives what Python gives."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routec.runtime.events.decode import LATEST_MS, _time
from routec.runtime.events.encode import rfc3339
from routec.runtime.native._native import blake2b, read_time, write_time
from routec.runtime.records import Dead
from tests.runtime.native.events import TIMES

MILLISECONDS = st.integers(0, LATEST_MS - 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def python_digest(data: bytes, size: int) -> bytes:
    return hashlib.blake2b(data, digest_size=size).digest()


@given(st.binary(max_size=1000), st.integers(1, 64))
def test_digests_are_those_of_hashlib(data: bytes, size: int) -> None:
    assert blake2b(data, size) == python_digest(data, size)


@pytest.mark.parametrize("size", range(1, 65))
def test_digests_around_whole_blocks_are_those_of_hashlib(size: int) -> None:
    data = bytes(at * 7 % 256 for at in range(128 * 5 + 2))
    for blocks in range(6):
        for length in range(max(128 * blocks - 2, 0), 128 * blocks + 3):
            assert blake2b(data[:length], size) == python_digest(data[:length], size)


def test_a_long_text_has_the_digest_of_hashlib() -> None:
    data = bytes(range(256)) * 5000
    assert blake2b(data, 32) == python_digest(data, 32)
    assert blake2b(memoryview(data)[3:], 32) == python_digest(data[3:], 32)


@pytest.mark.parametrize("size", [-1, 0, 65, 2**31 - 1])
def test_a_digest_has_1_to_64_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        blake2b(b"", size)


# --- times ---------------------------------------------------------------------------


def python_time(text: str) -> int | Dead:
    return _time(text, 0)


def held_to_python(text: str) -> int:
    """The time that was read, which Python reads as well; -1 is always allowed."""
    found = read_time(text)
    assert found == -1 or found == python_time(text)
    return found


@given(MILLISECONDS, st.sampled_from(("milliseconds", "microseconds")), st.integers(0, 999))
def test_times_with_3_6_or_no_digits_are_read(time_ms: int, spec: str, us: int) -> None:
    moment = _EPOCH + timedelta(milliseconds=time_ms, microseconds=us)
    text = moment.isoformat(timespec=spec)[:-6] + "Z"
    assert held_to_python(text) == time_ms
    assert held_to_python(moment.isoformat(timespec="seconds")[:-6] + "Z") == time_ms // 1000 * 1000


@given(st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,7})?Z\Z"))
def test_a_time_that_is_read_is_read_so_by_python(text: str) -> None:
    held_to_python(text)


@given(MILLISECONDS.map(rfc3339), st.data())
def test_a_time_with_one_other_sign_is_read_as_python_reads_it_or_not_at_all(
    text: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    sign = data.draw(st.one_of(st.sampled_from("0123456789-:.TZz+ \0"), st.characters()))
    try:
        held_to_python(text[:at] + sign + text[at + 1 :])
    except UnicodeEncodeError:
        assert 0xD800 <= ord(sign) < 0xE000
    held_to_python(text[:at] + text[at + 1 :])
    held_to_python(text[:at] + text[at:][::-1])


@pytest.mark.parametrize("text", TIMES)
def test_odd_times_are_read_as_python_reads_them_or_not_at_all(text: str) -> None:
    held_to_python(text)


def test_every_day_there_is_or_is_not_is_read_as_python_reads_it() -> None:
    for year in (1970, 1971, 1972, 1999, 2000, 2023, 2024, 2100, 2400, 9996, 9998):
        for month in range(14):
            for day in range(33):
                text = f"{year}-{month:02}-{day:02}T00:00:00Z"
                expected = python_time(text)
                assert read_time(text) == (-1 if isinstance(expected, Dead) else expected)


def test_only_strings_are_times() -> None:
    for other in (None, 5, b"2026-11-22T09:00:00Z"):
        with pytest.raises(TypeError):
            read_time(other)  # type: ignore[arg-type]


@given(MILLISECONDS)
def test_times_are_written_as_python_writes_them(time_ms: int) -> None:
    assert write_time(time_ms) == rfc3339(time_ms)
    assert read_time(write_time(time_ms)) == time_ms


def test_the_first_and_the_last_of_every_month_are_written_as_python_writes_them() -> None:
    for year in range(1970, 9999):
        for month in range(1, 13):
            first = int((datetime(year, month, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * 1000
            assert write_time(first) == f"{year:04}-{month:02}-01T00:00:00Z"
            if first:
                assert write_time(first - 1) == rfc3339(first - 1)


def test_every_day_of_four_centuries_is_written_as_python_writes_it() -> None:
    for day in range(0, 146_097):
        text = write_time(day * 86_400_000)
        assert text == (_EPOCH + timedelta(days=day)).isoformat()[:10] + "T00:00:00Z"


@pytest.mark.parametrize("time_ms", [-1, LATEST_MS, 2**62])
def test_times_out_of_range_are_not_written(time_ms: int) -> None:
    with pytest.raises(ValueError, match="1970 to 9998"):
        write_time(time_ms)
