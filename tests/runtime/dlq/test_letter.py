"""A dead letter is read back as what it was, whoever wrote the record."""

from __future__ import annotations

import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.runtime.dlq import Letter, Selection, Source, read_letter
from routec.runtime.records import Dead
from routec.runtime.stream.letters import RawHeaders, dead_letter_headers

HEADERS = st.lists(st.tuples(st.text(max_size=4), st.none() | st.binary(max_size=4)), max_size=3)
BYTES = st.none() | st.binary(max_size=9)


def request(key: bytes | None, value: bytes | None, headers: RawHeaders) -> ConsumerRecord:
    return ConsumerRecord("req", 3, 41, 7, 0, key, value, None, -1, -1, tuple(headers))


def record(
    original: ConsumerRecord, why: Dead, headers: RawHeaders | None = None
) -> ConsumerRecord:
    if headers is None:
        headers = dead_letter_headers(original, why, "sha256:1")
    return ConsumerRecord(
        "dlq", 1, 5, 9000, 0, original.key, original.value, None, -1, -1, tuple(headers)
    )


def letter(code: str = "invalid-json", **changed: object) -> Letter:
    found = read_letter(record(request(b"k", b"v", []), Dead(code, "no")))
    assert found is not None
    fields = {name: getattr(found, name) for name in Letter.__slots__} | changed
    return Letter(**fields)


@settings(deadline=None)
@given(BYTES, BYTES, HEADERS, st.text(max_size=20))
def test_it_holds_the_original_record_and_the_reason(
    key: bytes | None, value: bytes | None, headers: RawHeaders, message: str
) -> None:
    found = read_letter(record(request(key, value, headers), Dead("invalid-json", message)))
    assert found is not None
    assert (found.key, found.value, found.headers) == (key, value, headers)
    assert (found.code, found.message) == ("invalid-json", message)
    assert found.source == Source("req", 3, 41)
    assert (found.partition, found.offset, found.timestamp_ms) == (1, 5, 9000)
    assert found.policy_hash == "sha256:1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("routec.error.partition", b"-1"),
        ("routec.error.offset", b"1e3"),
        ("routec.error.offset", "٣".encode()),
        ("routec.error.offset", b"9" * 99),
        ("routec.error.partition", None),
        ("routec.error.topic", b""),
    ],
)
def test_a_letter_that_does_not_say_where_it_is_from_is_none(
    name: str, value: bytes | None
) -> None:
    original = request(b"k", b"v", [])
    headers = [
        (one, value if one == name else was)
        for one, was in dead_letter_headers(original, Dead("c", "m"), "sha256:1")
    ]
    assert read_letter(record(original, Dead("c", "m"), headers)) is None


def test_a_record_of_another_program_is_none() -> None:
    assert read_letter(request(b"k", b"v", [("__connect.errors.topic", b"t")])) is None


@settings(deadline=None)
@given(*[st.tuples(BYTES, BYTES, HEADERS)] * 2)
def test_records_that_differ_have_other_digests(
    one: tuple[bytes | None, bytes | None, RawHeaders],
    other: tuple[bytes | None, bytes | None, RawHeaders],
) -> None:
    digests = [
        letter(key=key, value=value, headers=headers).digest()
        for key, value, headers in (one, other)
    ]
    assert (digests[0] == digests[1]) == (one == other)


def test_bytes_do_not_slide_from_one_part_to_the_next() -> None:
    parts = [(b"ab", b"c"), (b"a", b"bc"), (b"", b"abc"), (None, b"abc"), (b"abc", None)]
    assert len({letter(key=key, value=value).digest() for key, value in parts}) == len(parts)


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(), True),
        (Selection(codes={"invalid-json", "other"}), True),
        (Selection(codes={"other"}), False),
        (Selection(topics={"req"}, partitions={3}), True),
        (Selection(topics={"req"}, partitions={1}), False),
        (Selection(topics={"dlq"}), False),
        (Selection(since_ms=9000, until_ms=9001), True),
        (Selection(until_ms=9000), False),
        (Selection(since_ms=9001), False),
        (Selection(places={(1, 5), (0, 0)}), True),
        (Selection(places={(5, 1)}), False),
    ],
)
def test_a_selection_wants_what_has_all_its_parts(selection: Selection, wanted: bool) -> None:
    assert selection.wants(letter()) is wanted
