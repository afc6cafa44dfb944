"""What is written for a decided record and for a dead one."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from routec.runtime.records import Dead, Decided

RawHeaders = list[tuple[str, bytes | None]]
"""Headers as Kafka has them: a value may be null."""

MAX_MESSAGE_CHARS = 1000
"""Characters of a dead letter's reason that are kept."""

ERROR_HEADERS = (
    "routec.error.code",
    "routec.error.message",
    "routec.error.topic",
    "routec.error.partition",
    "routec.error.offset",
    "routec.error.time",
    "routec.policy.hash",
    "__connect.errors.topic",
    "__connect.errors.partition",
    "__connect.errors.offset",
    "__connect.errors.stage",
    "__connect.errors.class.name",
    "__connect.errors.exception.class.name",
    "__connect.errors.exception.message",
)
"""The names of the headers that follow the original ones, in their order."""

_CLASS = "routec.runtime.stream.Worker"
_READING = "VALUE_CONVERTER"
_STAGES = {
    "unreadable-batch": "KAFKA_CONSUME",
    "internal-error": "TRANSFORMATION",
    "decision-too-large": "KAFKA_PRODUCE",
    "decision-refused": "KAFKA_PRODUCE",
}
"""Stages of Kafka Connect in which events fail; in all other cases while their value is read."""


def decision_headers(
    original: tuple[tuple[str, bytes | None], ...], decided: Decided
) -> RawHeaders:
    """The headers of a decision: the request's, then the decision's own, which win."""
    if not original:
        return list(decided.headers)
    own = {name for name, _ in decided.headers}
    copied: RawHeaders = [header for header in original if header[0] not in own]
    copied.extend(decided.headers)
    return copied


def dead_letter_headers(record: Any, dead: Dead, policy_hash: str) -> RawHeaders:
    """The headers of a dead letter: the original ones, then why and where from, `ERROR_HEADERS`.

    The second half of these are those of Kafka Connect (`DeadLetterQueueReporter`), as far as they
    apply, so that tools that know them show the reason.

    Args:
        record: the consumed record (`aiokafka.ConsumerRecord`).
        dead: the reason.
        policy_hash: the policy in force.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    message = dead.message[:MAX_MESSAGE_CHARS]
    topic, partition, offset = record.topic, str(record.partition), str(record.offset)
    why = (
        dead.code,
        message,
        topic,
        partition,
        offset,
        now.replace("+00:00", "Z"),
        policy_hash,
        topic,
        partition,
        offset,
        _STAGES.get(dead.code, _READING),
        _CLASS,
        f"routec.{dead.code}",
        message,
    )
    headers: RawHeaders = list(record.headers)
    # A message may quote an event, lone surrogates included.
    headers.extend(
        (name, text.encode("utf-8", "backslashreplace"))
        for name, text in zip(ERROR_HEADERS, why, strict=True)
    )
    return headers


def without_reason(headers: Sequence[tuple[str, bytes | None]]) -> RawHeaders | None:
    """The original headers of a dead letter, whatever their names.

    Returns:
        ``None`` where the headers do not end as those of a dead letter do.
    """
    start = max(0, len(headers) - len(ERROR_HEADERS))
    if tuple(name for name, _ in headers[start:]) != ERROR_HEADERS:
        return None
    return list(headers[:start])
