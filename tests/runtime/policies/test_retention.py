"""A worker with keys says where the control topic may lose records, and goes on."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from routec.compiler.program import digest, dump
from routec.runtime.config import Config, Kafka, Policies, Secret
from routec.runtime.embedded import embedded_broker
from routec.runtime.keys import write_private
from routec.runtime.policies import retention
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.follower import PolicyFollower
from routec.runtime.policies.instruction import CANDIDATE
from routec.runtime.policies.live import LivePolicy
from routec.runtime.policies.retention import Retention, shortfall
from routec.runtime.policies.signature import Signer, open_admission
from routec.runtime.policies.status import Reporter
from routec.runtime.records import Record
from routec.runtime.service import Memory, PolicyService, open_service
from routec.runtime.stream.topics import _options
from tests.runtime.doubles import program

TOPIC = "routec.policies"
OURS = Signer(Secret(write_private(bytes(range(32)))))
OWN = program("policy live\nmodel m {}\ndefault route d { to m }")
NEW = program("policy live\nmodel m {}\ndefault route new { to m }")
KEYS = Policies(keys=(OURS.public,))
FOREVER = "9223372036854775807"
LASTING = {"retention.ms": "-1", "retention.bytes": "-1"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cleanup.policy": "compact", "min.compaction.lag.ms": FOREVER}, None),
        ({"cleanup.policy": "delete", **LASTING}, None),
        ({"cleanup.policy": "compact,delete", "min.compaction.lag.ms": FOREVER, **LASTING}, None),
        ({"cleanup.policy": "compact", "min.compaction.lag.ms": "0"}, "min.compaction.lag.ms"),
        ({"cleanup.policy": "compact", "min.compaction.lag.ms": "x"}, "min.compaction.lag.ms"),
        ({"cleanup.policy": "compact"}, "min.compaction.lag.ms"),
        ({"cleanup.policy": "delete", **LASTING, "retention.ms": "604800000"}, "retention.ms"),
        ({"cleanup.policy": "delete", **LASTING, "retention.bytes": "1000"}, "retention.bytes"),
        ({"cleanup.policy": "compact, delete", "min.compaction.lag.ms": FOREVER}, "retention.ms"),
    ],
)
def test_what_lets_records_be_removed_is_named(settings: dict[str, str], says: str | None) -> None:
    found = shortfall(settings)
    assert (found is None) is (says is None)
    assert says is None or f"`{says}` must be" in (found or "")


def test_topics_that_are_made_for_keys_keep_everything() -> None:
    assert shortfall(_options(TOPIC, Config(policies=KEYS))) is None
    assert _options(TOPIC, Config()) == {"cleanup.policy": "compact"}


async def test_the_problem_is_there_as_long_as_it_lasts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings: dict[str, str] | Exception = {"cleanup.policy": "compact"}
    problems: dict[str, str] = {}
    changes: list[dict[str, str]] = []

    async def told(consumer: Any, topic: str) -> dict[str, str]:
        if isinstance(settings, Exception):
            raise settings
        return settings

    monkeypatch.setattr(retention, "read_settings", told)
    look = Retention(TOPIC, problems, lambda: changes.append(dict(problems))).look
    for _ in range(2):
        await look(None)
    assert list(problems) == ["compacting-policies"]
    assert FOREVER in problems["compacting-policies"]
    # What cannot be told now changes nothing.
    settings = TimeoutError()
    await look(None)
    assert problems
    settings = {"cleanup.policy": "compact", "min.compaction.lag.ms": FOREVER}
    await look(None)
    assert (problems, len(changes)) == ({}, 2)
    assert [one.levelno for one in caplog.records] == [logging.ERROR, logging.WARNING]


def open_here(made: Any, hash: str, memory: Memory | None, *, silent: bool) -> PolicyService:
    return open_service(made, Config(), hash=hash, memory=memory)


def activation(live: LivePolicy, signed: bool = True) -> Activation:
    admission = open_admission([OURS.public]) if signed else None
    return Activation(OWN, digest(OWN), live, open_here, admission=admission)


async def test_where_nobody_tells_a_worker_warns_and_follows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The embedded broker does not know the question."""
    async with embedded_broker((TOPIC,)) as broker:
        config = Config(kafka=Kafka(bootstrap=broker.bootstrap, fetch_max_wait=0.01), policies=KEYS)
        live = LivePolicy(open_service(OWN, Config()))
        follower = PolicyFollower(
            msgspec.structs.replace(
                config, topics=msgspec.structs.replace(config.topics, status="", differences="")
            ),
            live,
            activation(live),
        )
        await follower.start()
        await follower.stop(1.0)
    assert any("DESCRIBE_CONFIGS" in one.message for one in caplog.records)


def record(value: bytes | None, sequence: int, key: str = "live", **more: bytes) -> Record:
    headers = tuple((f"routec.candidate.{name}", text) for name, text in more.items())
    signed = OURS.sign_record(TOPIC, key.encode(), value, headers, sequence)
    return Record(TOPIC, 0, sequence, 0, key.encode(), value, signed)


async def test_the_status_has_the_numbers_of_what_is_followed() -> None:
    live = LivePolicy(open_service(OWN, Config()))
    followed = activation(live)
    reporter = Reporter(Config(), followed)
    assert reporter.status().active.sequence == -1
    await followed.apply(
        [record(dump(NEW), 5), record(dump(OWN), 6, "live" + CANDIDATE, mode=b"shadow")]
    )
    status = reporter.status()
    assert status.candidate is not None
    assert (status.active.sequence, status.candidate.sequence) == (5, 6)
    # A tombstone is followed, too.
    await followed.apply([record(None, 7)])
    assert reporter.status().active.sequence == 7
    unsigned = Reporter(Config(), activation(live, signed=False)).status()
    assert unsigned.active.sequence is None


async def test_problems_are_in_the_status() -> None:
    followed = activation(LivePolicy(open_service(OWN, Config())))
    followed.problems["compacting-policies"] = "it does not keep every record"
    (problem,) = Reporter(Config(), followed).status().problems
    assert (problem.code, problem.message) == (
        "compacting-policies", "it does not keep every record",
    )  # fmt: skip
