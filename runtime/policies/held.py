"""What the control topic holds of one policy, as far as its signatures count."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routec.runtime.config import Config
from routec.runtime.policies.instruction import CANDIDATE, PREVIOUS
from routec.runtime.policies.signature import SignatureError, Signer, open_admission
from routec.runtime.policies.topic import Write, read_compacted, read_topic
from routec.runtime.records import Record


@dataclass(frozen=True, slots=True)
class Held:
    """What the control topic holds of a policy.

    Attributes:
        records: by key, the newest that counts; keys with a tombstone are left out.
        refused: by key without one that counts, why the newest does not.
        sequence: the highest sequence number of those that count; -1 without any.
        signed: whether only what is signed counts.
    """

    records: Mapping[str, Record]
    refused: Mapping[str, str]
    sequence: int = -1
    signed: bool = False


async def read_held(config: Config, name: str, signer: Signer | None) -> Held:
    """Read it; where keys are configured, or there is a key to sign with, only what is signed.

    What somebody else slipped in must not be signed by whoever promotes it or goes back to it.

    Args:
        config: where.
        name: name of the policy.
        signer: whose signatures count where no keys are configured.

    Raises:
        StreamError: the cluster cannot be reached, or the control topic is missing.
    """
    keys = {key.encode(): key for key in (name, name + CANDIDATE, name + PREVIOUS)}
    trusted = config.policies.keys or (() if signer is None else (signer.public,))
    admission = open_admission(trusted)
    if admission is None:
        found = await read_compacted(config, config.topics.policies)
        return Held({keys[key]: record for key, record in found.items() if key in keys}, {})
    records: dict[str, Record] = {}
    refused: dict[str, str] = {}
    highest = -1

    def take(record: Record) -> None:
        nonlocal highest
        key = keys.get(record.key or b"")
        if key is None:
            return
        try:
            signed = admission.admit(record)
        except SignatureError as error:
            # Of what is only older there is a newer one, which counts.
            if error.code != "replayed-policy":
                refused[key] = error.message
            return
        if signed is None:
            return
        highest = max(highest, signed.sequence)
        refused.pop(key, None)
        records.pop(key, None)
        if record.value is not None:
            records[key] = record

    await read_topic(config, config.topics.policies, take)
    still = {key: why for key, why in refused.items() if key not in records}
    return Held(records, still, highest, signed=True)


def signed(
    config: Config, writes: Sequence[Write], signer: Signer | None, held: Held
) -> list[Write]:
    """The same records, each signed and numbered above all that are held.

    The numbers are microseconds since the epoch, so that they rise where nothing is held any more.
    """
    if signer is None:
        return list(writes)
    first = max(time.time_ns() // 1000, held.sequence + 1)
    topic = config.topics.policies
    return [
        (key, value, signer.sign_record(topic, key.encode(), value, headers, first + n))
        for n, (key, value, headers) in enumerate(writes)
    ]
