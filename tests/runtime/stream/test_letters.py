"""What goes with a decision and with a dead letter."""

from __future__ import annotations

import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.runtime.records import Dead, Decided
from routec.runtime.stream.letters import (
    ERROR_HEADERS,
    MAX_MESSAGE_CHARS,
    RawHeaders,
    dead_letter_headers,
    decision_headers,
    without_reason,
)


def consumed(*headers: tuple[str, bytes | None]) -> ConsumerRecord:
    return ConsumerRecord("req", 3, 41, 7, 0, b"k", b"v", None, 1, 1, headers)


def test_a_decision_carries_the_headers_of_its_request_and_its_own() -> None:
    original = (("traceparent", b"00"), ("x", None), ("x", b"2"))
    assert decision_headers(original, Decided(b"", (("policy", b"p"),))) == [
        ("traceparent", b"00"),
        ("x", None),
        ("x", b"2"),
        ("policy", b"p"),
    ]


def test_the_decision_s_own_headers_win() -> None:
    original = (("content-type", b"application/cloudevents+json"), ("a", b"1"))
    decided = Decided(b"", (("content-type", b"application/json"), ("a", b"1")))
    assert decision_headers(original, decided) == [
        ("content-type", b"application/json"),
        ("a", b"1"),
    ]


def test_a_dead_letter_carries_the_original_headers_untouched_then_the_reason() -> None:
    original = (("odd", None), ("raw", b"\xff"))
    headers = dead_letter_headers(consumed(*original), Dead("invalid-json", "no JSON"), "sha256:1")
    assert tuple(headers[:2]) == original
    why = dict(headers[2:])
    assert str(why.pop("routec.error.time"), "ascii").endswith("Z")
    assert why == {
        "routec.error.code": b"invalid-json",
        "routec.error.message": b"no JSON",
        "routec.error.topic": b"req",
        "routec.error.partition": b"3",
        "routec.error.offset": b"41",
        "routec.policy.hash": b"sha256:1",
        "__connect.errors.topic": b"req",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"41",
        "__connect.errors.stage": b"VALUE_CONVERTER",
        "__connect.errors.class.name": b"routec.runtime.stream.Worker",
        "__connect.errors.exception.class.name": b"routec.invalid-json",
        "__connect.errors.exception.message": b"no JSON",
    }


def test_a_reason_that_quotes_the_event_can_neither_break_nor_swell_the_letter() -> None:
    headers = dead_letter_headers(consumed(), Dead("c", "\ud800" * 10_000), "sha256:1")
    assert dict(headers)["routec.error.message"] == b"\\ud800" * MAX_MESSAGE_CHARS


@pytest.mark.parametrize(
    ("code", "stage"),
    [
        ("unreadable-batch", b"KAFKA_CONSUME"),
        ("event-too-large", b"VALUE_CONVERTER"),
        ("internal-error", b"TRANSFORMATION"),
        ("decision-too-large", b"KAFKA_PRODUCE"),
        ("decision-refused", b"KAFKA_PRODUCE"),
    ],
)
def test_the_stage_is_the_one_that_kafka_connect_has_for_it(code: str, stage: bytes) -> None:
    headers = dict(dead_letter_headers(consumed(), Dead(code, ""), "sha256:1"))
    assert headers["__connect.errors.stage"] == stage


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((*ERROR_HEADERS, "traceparent")), st.none() | st.binary(max_size=3)
        ),
        max_size=20,
    )
)
def test_the_original_headers_come_back_whatever_their_names(original: RawHeaders) -> None:
    letter = dead_letter_headers(consumed(*original), Dead("c", "m"), "sha256:1")
    assert without_reason(letter) == original
    # A letter that died once more gives back the letter.
    twice = dead_letter_headers(consumed(*letter), Dead("d", "n"), "sha256:2")
    assert without_reason(twice) == letter


def test_a_record_without_a_reason_is_no_letter() -> None:
    headers = dead_letter_headers(consumed(), Dead("c", "m"), "sha256:1")
    assert without_reason(headers[1:]) is None
    assert without_reason([*headers, ("later", b"")]) is None
    assert without_reason([]) is None
