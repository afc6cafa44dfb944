"""What goes with a decision and with a dead letter."""

from __future__ import annotations

from aiokafka.structs import ConsumerRecord

from routec.runtime.records import Dead, Decided
from routec.runtime.stream.letters import (
    MAX_MESSAGE_CHARS,
    dead_letter_headers,
    decision_headers,
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
    }


def test_a_reason_that_quotes_the_event_can_neither_break_nor_swell_the_letter() -> None:
    headers = dead_letter_headers(consumed(), Dead("c", "\ud800" * 10_000), "sha256:1")
    assert dict(headers)["routec.error.message"] == b"\\ud800" * MAX_MESSAGE_CHARS
