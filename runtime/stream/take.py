"""From what the client hands over to what a decider takes."""

from __future__ import annotations

from typing import Any

from routec.runtime.records import Record


def as_record(consumed: Any) -> Record:
    """A consumed record (`aiokafka.ConsumerRecord`) as a `Record`; a null header value is empty."""
    headers = consumed.headers
    if headers:
        headers = tuple((name, b"" if value is None else value) for name, value in headers)
    return Record(
        consumed.topic,
        consumed.partition,
        consumed.offset,
        consumed.timestamp,
        consumed.key,
        consumed.value,
        headers,
    )
