"""What a record of the control topic asks of the workers of a policy.

Keys: ``NAME`` is the policy in force; ``NAME/candidate`` one that is tried beside it;
``NAME/previous`` the one that was in force before, which no worker reads. Values are programs as
``routec compile`` writes them; a tombstone takes the record back. Where keys are configured, each
of them must be signed, a tombstone, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from routec.compiler.program import Program, ProgramError, digest, load
from routec.runtime.policies.signature import Admission, SignatureError, Signed
from routec.runtime.records import Record

CANDIDATE = "/candidate"
"""Ends the key of a policy's candidate."""
PREVIOUS = "/previous"
"""Ends the key of the program that a policy had before."""
MODE = "routec.candidate.mode"
"""Header of a candidate: ``canary`` or ``shadow``."""
SHARE = "routec.candidate.share"
"""Header of a canary: the share of requests that it decides, above 0 to 1."""

BEFORE = "routec.previous"
"""Header of a policy in force: hash of the program that is kept as the one before it."""

Role = Literal["active", "candidate"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """A valid record of the control topic.

    Attributes:
        role: which of a policy's programs it sets.
        program: the program; ``None`` for a tombstone.
        hash: its hash; empty for a tombstone.
        partition: where it stands in the control topic.
        offset: its offset there.
        time_ms: the record's own time, milliseconds since the epoch.
        share: of a canary, above 0 to 1; 0 for others, so for a shadow.
        signed_by: id of the key that signed it; ``None`` where signatures are not asked for.
        sequence: its sequence number, likewise.
    """

    role: Role
    program: Program | None
    hash: str
    partition: int
    offset: int
    time_ms: int
    share: float = 0.0
    signed_by: str | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a program is not put in force.

    Attributes:
        role: what it was meant for.
        code: stable reason.
        message: one sentence for a person.
        partition: where the record stands in the control topic.
        offset: its offset there.
        hash: the program's hash, where it could be read.
    """

    role: Role
    code: str
    message: str
    partition: int
    offset: int
    hash: str | None = None


def read_instruction(
    record: Record, policy: str, admission: Admission | None = None
) -> Instruction | Refusal | None:
    """Read a record of the control topic; of one that must be signed only what is.

    Args:
        record: the record.
        policy: name of the policy whose records are wanted.
        admission: knows whose records count; without it all do.

    Returns:
        What it asks for, or why it cannot be followed; ``None`` if it is about something else, or
        says once more what was followed last.
    """
    role: Role
    if record.key == policy.encode():
        role = "active"
    elif record.key == (policy + CANDIDATE).encode():
        role = "candidate"
    else:
        return None
    place = (record.partition, record.offset)
    signed: Signed | None = None
    if admission is not None:
        try:
            signed = admission.admit(record)
        except SignatureError as error:
            return Refusal(role, error.code, error.message, *place)
        if signed is None:
            return None
    by = (None, None) if signed is None else (signed.key, signed.sequence)
    if record.value is None:
        return Instruction(role, None, "", *place, record.timestamp_ms, 0.0, *by)
    share = 0.0
    if role == "candidate":
        try:
            share = _share(record)
        except ValueError as error:
            return Refusal(role, "invalid-candidate", str(error), *place)
    try:
        program = load(record.value)
    except ProgramError as error:
        return Refusal(role, error.code, error.message, *place)
    except Exception as error:  # anybody may have written it, so it fails in any way it likes
        reason = f"this is not a routec program: {type(error).__name__}"
        return Refusal(role, "invalid-program", reason, *place)
    hash = digest(program)
    if program.name != policy:
        reason = f"the record of `{policy}` holds a program of `{program.name[:100]}`"
        return Refusal(role, "wrong-name", reason, *place, hash)
    return Instruction(role, program, hash, *place, record.timestamp_ms, share, *by)


def _share(record: Record) -> float:
    headers = dict(record.headers)
    if headers.get(MODE) == b"shadow":
        return 0.0
    if headers.get(MODE) != b"canary":
        raise ValueError(f"the header `{MODE}` must be `canary` or `shadow`")
    wrong = f"the header `{SHARE}` must be a number above 0, at most 1"
    try:
        share = float(headers.get(SHARE, b"").decode("ascii"))
    except ValueError:
        raise ValueError(wrong) from None
    if not math.isfinite(share) or not 0.0 < share <= 1.0:
        raise ValueError(wrong)
    return share
