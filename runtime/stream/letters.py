"""What is written for a decided record and for a dead one."""

from __future__ import annotations

import datetime
from typing import Any

from routec.runtime.records import Dead, Decided

RawHeaders = list[tuple[str, bytes | None]]
"""Headers as Kafka has them: a value may be null."""

MAX_MESSAGE_CHARS = 1000
"""Characters of a dead letter's reason that are kept."""


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
    """The headers of a dead letter: the original ones, then why and where from.

    Args:
        record: the consumed record (`aiokafka.ConsumerRecord`).
        dead: the reason.
        policy_hash: the policy in force.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    why = {
        "routec.error.code": dead.code,
        "routec.error.message": dead.message[:MAX_MESSAGE_CHARS],
        "routec.error.topic": record.topic,
        "routec.error.partition": str(record.partition),
        "routec.error.offset": str(record.offset),
        "routec.error.time": now.replace("+00:00", "Z"),
        "routec.policy.hash": policy_hash,
    }
    headers: RawHeaders = list(record.headers)
    # A message may quote an event, lone surrogates included.
    headers.extend((name, text.encode("utf-8", "backslashreplace")) for name, text in why.items())
    return headers
