"""What `docs/asyncapi.json` says of policies, status, differences and replays is what is written."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from routec.compiler.program import digest, dump
from routec.runtime.config import Config, Secret
from routec.runtime.dlq.letter import Letter, Source
from routec.runtime.dlq.register import entry_of, register_topic
from routec.runtime.keys import write_private
from routec.runtime.policies.instruction import Instruction, read_instruction
from routec.runtime.policies.shadow import Comparer
from routec.runtime.policies.signature import Signer
from routec.runtime.policies.status import (
    FailureStatus,
    ProblemStatus,
    ProgramStatus,
    WorkerStatus,
    decode_status,
    encode_status,
)
from routec.runtime.records import Dead, Outcome, Record
from routec.runtime.service import PolicyService, open_service
from tests.runtime.doubles import program
from tests.runtime.test_asyncapi import DOCUMENT, MESSAGES, resolved, validator, wrong

SCHEMAS = DOCUMENT["components"]["schemas"]
POLICY = """policy live
request {{ tier: enum(free, pro) = free }}
signal urgent = keyword("{word}")
signal pii = entities(email)
model m {{}}
guard stop {{ when urgent reject 429 "later" }}
guard mask {{ when {masked} redact pii }}
default route d {{ to m }}
"""
OLD = program(POLICY.format(word="asap", masked="pii.any(email)"))
NEW = program(POLICY.format(word="now", masked="pii.any(email) and urgent"))


def members(name: str) -> set[str]:
    return set(SCHEMAS[name]["properties"])


def test_every_topic_that_is_used_has_a_channel_and_no_other() -> None:
    config = Config()
    topics = msgspec.structs.asdict(config.topics)
    assert sorted(one["address"] for one in DOCUMENT["channels"].values()) == sorted(
        [*(topics[name] for name in topics if name != "feedback"), register_topic(config)]
    )


@pytest.mark.parametrize("operation", DOCUMENT["operations"])
def test_an_operation_is_about_messages_of_its_channel(operation: str) -> None:
    found = DOCUMENT["operations"][operation]
    assert found["action"] in ("send", "receive")
    channel = found["channel"]["$ref"]
    assert resolved(channel)["address"]
    assert found["messages"]
    for message in found["messages"]:
        assert message["$ref"].startswith(f"{channel}/messages/")


def test_every_message_has_a_payload_a_summary_and_a_channel() -> None:
    named = {
        message["$ref"].rpartition("/")[2]
        for channel in DOCUMENT["channels"].values()
        for message in channel["messages"].values()
    }
    assert named == set(MESSAGES)
    for message in MESSAGES.values():
        assert message["payload"]
        assert message["summary"]


def test_a_program_as_it_is_compiled_is_valid_and_so_is_a_tombstone() -> None:
    assert wrong("policy", json.loads(dump(OLD))) == []
    assert wrong("policy", None) == []
    for change in ({"hash": "md5:1"}, {"program": {}}, {"program": {"schema": 0, "name": "x"}}):
        assert wrong("policy", json.loads(dump(OLD)) | change)


@pytest.mark.parametrize(
    ("headers", "fine"),
    [
        ({"routec.candidate.mode": "shadow"}, True),
        ({"routec.candidate.mode": "canary", "routec.candidate.share": repr(0.05)}, True),
        ({"routec.candidate.mode": "canary", "routec.candidate.share": repr(1e-5)}, True),
        ({"routec.candidate.mode": "both"}, False),
        ({"routec.candidate.mode": "canary", "routec.candidate.share": "-1"}, False),
        ({"routec.candidate.mode": "canary", "routec.candidate.share": "nan"}, False),
    ],
)
def test_the_headers_of_a_candidate_are_valid_exactly_when_they_are_followed(
    headers: dict[str, str], fine: bool
) -> None:
    raw = tuple((name, value.encode()) for name, value in headers.items())
    found = read_instruction(Record("p", 0, 0, 0, b"live/candidate", dump(OLD), raw), "live")
    assert isinstance(found, Instruction) is fine
    schema = validator(MESSAGES["policy"]["headers"])
    assert (not list(schema.iter_errors(headers))) is fine


def test_a_signed_record_has_the_headers_that_are_described() -> None:
    signer = Signer(Secret(write_private(bytes(32))))
    headers = signer.sign_record("p", b"live", dump(OLD), (), 7)
    found = {name: (value or b"").decode() for name, value in headers}
    described = MESSAGES["policy"]["headers"]
    assert list(validator(described).iter_errors(found)) == []
    assert found.keys() <= described["properties"].keys()
    assert len(found) == 2
    for name in found:
        assert list(validator(described).iter_errors(found | {name: "x"}))


def test_a_status_with_every_member_is_valid_and_fully_described() -> None:
    values = {"share": 0.5, "hash": "sha256:1", "since": 1.5}
    values |= dict.fromkeys(("partition", "offset", "sequence"), 7)
    texts = {name: values.get(name, "x") for name in ProgramStatus.__struct_fields__}
    used = msgspec.convert(texts, ProgramStatus)
    failure = FailureStatus("active", "invalid-program", "no", 2.0, 0, 8, "sha256:2")
    counts = dict.fromkeys(("tried", "fallen_back", "compared", "differing", "skipped"), 3)
    where = {"host": "box", "metrics": "http://box:9464"}
    whole = WorkerStatus(
        *("w-1", "g", "live", 9.0, 1.0),
        used,
        used,
        **counts,
        refused=1,
        failures=(failure,),
        problems=(ProblemStatus("compacting-policies", "no"),),
        **where,
    )
    value = encode_status(whole)
    assert decode_status(value) == whole
    found = json.loads(value)
    assert wrong("status", found) == []
    assert found.keys() == members("WorkerStatus")
    assert found["active"].keys() == members("ProgramStatus")
    assert found["failures"][0].keys() == members("FailureStatus")
    assert found["problems"][0].keys() == members("ProblemStatus")
    assert wrong("status", None) == []
    assert wrong("status", found | {"active": None})
    assert wrong("status", {"worker": "w-1"})


def asked(offset: int, text: str) -> Record:
    event = {"request_id": f"r-{offset}", "body": {"messages": [{"role": "user", "content": text}]}}
    return Record("requests", 0, offset, 1_000_000, None, json.dumps(event).encode())


async def differences(
    active: PolicyService, shadow: Any, records: list[Record]
) -> list[dict[str, Any]]:
    """What a shadow tells of records."""
    told: list[dict[str, Any]] = []
    comparer = Comparer(lambda _, value: told.append(json.loads(value)))
    comparer.start()
    comparer.offer(active, shadow, records, await active.decide(records))
    async with asyncio.timeout(10):
        while comparer.compared + comparer.skipped < len(records):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await comparer.stop()
    return told


async def test_differences_are_valid_and_fully_described() -> None:
    active, shadow = open_service(OLD, Config()), open_service(NEW, Config(), pending=0)
    records = [asked(0, "asap"), asked(1, "now"), asked(2, "mail me at a@example.com")]
    told = await differences(active, shadow, records)
    assert {one["request_id"] for one in told} == {"r-0", "r-1", "r-2"}
    for one in told:
        assert wrong("difference", one) == []
        assert one.keys() == members("Difference")
        assert one["in_force"].keys() == one["shadow"].keys() == members("Verdict")
    assert {one["in_force"]["hash"] for one in told} == {digest(OLD)}
    assert wrong("difference", told[0] | {"shadow": None})


class Failing:
    """A shadow that finds nothing decidable."""

    policy_hash = digest(NEW)

    def __init__(self, service: PolicyService) -> None:
        self.memory = service.memory

    async def decide(self, records: list[Record]) -> list[Outcome]:
        return [Dead("invalid-attribute", "no") for _ in records]


async def test_a_difference_to_what_is_no_decision_is_valid() -> None:
    active = open_service(OLD, Config())
    (one,) = await differences(active, Failing(active), [asked(0, "hello")])
    assert one["shadow"]["outcome"] == "dead"
    assert wrong("difference", one) == []


def test_an_entry_of_the_register_is_valid_and_fully_described() -> None:
    at = Source("requests", 3, 41)
    letter = Letter(0, 5, 1, "invalid-json", "no", at, "", "sha256:1", b"k", b"{", ())
    key, value = entry_of(letter, 1000)
    assert key == f"requests/3/41/{letter.digest()}".encode()
    found = json.loads(value)
    assert wrong("replay", found) == []
    assert found.keys() == members("Replay")
    assert wrong("replay", found | {"offset": -1})
