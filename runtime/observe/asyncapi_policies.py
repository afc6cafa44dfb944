"""The part of the AsyncAPI document that is about running routec: policies and replays."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from routec.compiler.program import SCHEMA as PROGRAM_SCHEMA
from routec.runtime.events.decision import Outcome
from routec.runtime.observe.json_schema import (
    DIGITS,
    HASH,
    REFERENCE,
    TEXT,
    TIME,
    WHOLE,
    Schema,
    named,
    object_of,
    or_null,
)
from routec.runtime.policies.instruction import BEFORE, CANDIDATE, MODE, PREVIOUS, SHARE
from routec.runtime.policies.signature import SEQUENCE, SIGNATURE
from routec.runtime.policies.status import (
    FailureStatus,
    ProblemStatus,
    ProgramStatus,
    WorkerStatus,
)


def schemas() -> dict[str, Schema]:
    """The payloads, by name."""
    told = {
        "hash": HASH,
        "outcome": {"enum": [*get_args(Outcome), "dead"]},
        "route": or_null(TEXT),
        "model": or_null(TEXT),
        "reject": {
            "description": "Of what became no decision, only the reason.",
            "anyOf": [named("Reject"), object_of({"reason": TEXT}), {"type": "null"}],
        },
        "redacted": or_null({"type": "array", "items": named("Span")}),
    }
    difference = {
        "decision_id": TEXT,
        "request_id": or_null(TEXT),
        "time": or_null(TIME),
        "policy": TEXT,
        "in_force": named("Verdict"),
        "shadow": named("Verdict"),
    }
    replay = {
        "topic": TEXT,
        "partition": WHOLE,
        "offset": WHOLE,
        "digest": {"description": "Of the original record.", **TEXT},
        "time_ms": WHOLE,
    }
    program = object_of(
        {"schema": {"const": PROGRAM_SCHEMA}, "name": TEXT},
    )
    _, of_types = msgspec.json.schema_components(
        [WorkerStatus, ProgramStatus, FailureStatus, ProblemStatus], ref_template=REFERENCE
    )
    return {
        "ProgramFile": {
            "description": "A program as `routec compile` writes it, with the hash of its bytes.",
            **object_of({"hash": HASH, "program": program}),
        },
        "Difference": object_of(difference),
        "Verdict": object_of(told),
        "Replay": object_of(replay),
        **of_types,
    }


def messages() -> dict[str, Any]:
    """The messages, by name."""
    candidate = {
        MODE: {
            "description": f"Of a candidate, so under a key that ends in `{CANDIDATE}`.",
            "enum": ["canary", "shadow"],
        },
        SHARE: {
            "description": "Of a canary: the share of requests that it decides, above 0 to 1.",
            "type": "string",
            "pattern": r"^[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?$",
        },
    }
    before = {
        BEFORE: {
            "description": "Of a policy in force: hash of the program that is kept under "
            f"`NAME{PREVIOUS}`.",
            "type": "string",
        },
    }
    signed = {
        SIGNATURE: {
            "description": "Over topic, key, value and all other headers of routec; asked for "
            "where workers are configured with keys.",
            "type": "string",
            "pattern": "^ed25519:[^:]+:[A-Za-z0-9+/]+=*$",
        },
        SEQUENCE: {"description": "Rises with every signed record of a policy.", **DIGITS},
    }
    return {
        "policy": {
            "summary": "A policy to put in force; a tombstone takes it back",
            "contentType": "application/json",
            "headers": {"type": "object", "properties": candidate | before | signed},
            "payload": or_null(named("ProgramFile")),
            "bindings": _key(
                f"`NAME`, the policy in force; `NAME{CANDIDATE}`, one that is tried beside it; "
                f"`NAME{PREVIOUS}`, the one before, which no worker reads."
            ),
        },
        "status": {
            "summary": "Which policy a worker decides by; a tombstone when it ended in order",
            "contentType": "application/json",
            "payload": or_null(named("WorkerStatus")),
            "bindings": _key("`GROUP/WORKER`."),
        },
        "difference": {
            "summary": "What a shadow would have decided otherwise; at best effort",
            "contentType": "application/json",
            "payload": named("Difference"),
            "bindings": _key("The request's, or without one the decision's id."),
        },
        "replay": {
            "summary": "A dead letter that was brought back",
            "contentType": "application/json",
            "payload": named("Replay"),
            "bindings": _key("`TOPIC/PARTITION/OFFSET/DIGEST` of the original record."),
        },
    }


def _key(description: str) -> dict[str, Any]:
    return {"kafka": {"key": {"description": description, "type": "string"}}}
