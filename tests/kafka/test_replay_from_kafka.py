"""`routec replay` of a topic of Apache Kafka: what exactly-once workers wrote comes out again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from conftest import Processes
from traffic import committed, header, read_all, running, until

from routec.cli.programs import Compiled, compile_file
from routec.cli.replaying import replay_of
from routec.runtime.config import Config
from routec.runtime.engine import Engine
from routec.runtime.records import Decided, Outcome, Record
from routec.runtime.replay import topic as topics
from routec.runtime.replay.topic import open_topic
from routec.runtime.replay.whence import EARLIEST, LATEST, Whence
from routec.runtime.service import PolicyService
from routec.runtime.stream import Worker
from tests.runtime.doubles import Embedder, cache_of, services

pytestmark = pytest.mark.kafka

POLICY = """\
policy desk
request { tier: enum(free, pro) = free }
signal urgent = keyword("asap")
signal pii    = entities(email)
signal refund = similarity { examples: ["refund money back"] }
model mini { provider: openai, input: $1.00, output: $2.00 }
model opus { provider: anthropic, input: $5.00, output: $25.00 }
category short { when not urgent, ttl: 1h }
guard calm  { when urgent and tier == free reject 429 "later" }
guard clean { when not pii.empty redact pii tag "mail" }
route money priority 20 { when refund >= 0.5 to opus }
route turns priority 10 { when urgent to [mini, opus] by round_robin }
default route rest { to mini }
"""
TEXTS = ("hello", "refund money", "asap", "write to john@example.com", "asap refund money back")
BAD = (b"{", b"[]", None, b"\xff", b'{"body": 1}')


class Deciding:
    """A policy's decider that is answered: what it sent to a model is cached from then on."""

    def __init__(self, compiled: Compiled) -> None:
        embedder = Embedder()
        embedder.digest = compiled.program.embedder or ""
        cache = cache_of(compiled.program, embedder, now=time.time())
        opened = services(embedder=embedder, cache=cache)
        self._service = PolicyService(Engine(compiled.program, opened, hash=compiled.hash))
        self.policy_hash = compiled.hash

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        outcomes = await self._service.decide(records)
        self._service.learn([_answer(one) for one in outcomes if isinstance(one, Decided)])
        return outcomes

    def learn(self, responses: Sequence[Record]) -> None:
        """Answers come as soon as decisions are made."""


def _answer(decided: Decided) -> Record:
    body = {"choices": [{"message": {"content": "\u00e9"}, "finish_reason": "stop"}], "n": 1e0}
    name = json.loads(decided.value)["decision_id"]
    value = {"decision_id": name, "model": "mini", "ok": True, "latency_ms": 5, "body": body}
    return Record("responses", 0, 0, 0, None, json.dumps(value).encode())


def request(n: int) -> bytes:
    body = {"messages": [{"role": "user", "content": TEXTS[n % 5]}], "max_tokens": 100}
    tier = "pro" if n % 3 else "free"
    return json.dumps({"request_id": f"r{n}", "attributes": {"tier": tier}, "body": body}).encode()


def mixed(start: int, count: int) -> list[tuple[int, bytes | None]]:
    """Requests over three partitions, every eleventh a bad one."""
    return [
        (n % 3, BAD[n // 11 % 5] if n % 11 == 10 else request(n))
        for n in range(start, start + count)
    ]


async def write(config: Config, values: Sequence[tuple[int, bytes | None]]) -> None:
    """Requests in transactions of 20, each followed by an aborted one: markers and gaps."""
    producer = AIOKafkaProducer(
        bootstrap_servers=config.kafka.bootstrap, transactional_id=f"w-{config.kafka.group}"
    )
    async with producer:
        for at in range(0, len(values), 20):
            async with producer.transaction():
                for partition, value in values[at : at + 20]:
                    await producer.send(
                        config.topics.requests, value, key=b"k", partition=partition
                    )
            await producer.begin_transaction()
            await producer.send_and_wait(config.topics.requests, request(9), partition=at // 20 % 3)
            await producer.abort_transaction()


async def decide(config: Config, compiled: Compiled, count: int) -> None:
    worker = Worker(config, Deciding(compiled))
    async with running(worker):
        await until(lambda: worker.counts.decided + worker.counts.dead == count)


@dataclass
class Replays:
    """The console command, configured as the worker is."""

    policy: Path
    file: Path

    async def __call__(self, *arguments: str | Path, policy: Path | None = None) -> Any:
        code = "import sys; from routec.cli.main import main; sys.exit(main())"
        asked = ("replay", policy or self.policy, "--config", self.file, *arguments)
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", code, *map(str, asked)],
            capture_output=True,
            timeout=120,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    async def json(self, *arguments: str | Path, policy: Path | None = None) -> Any:
        done = await self(*arguments, "--summary", "--format", "json", policy=policy)
        assert done.returncode in (0, 1), done.stderr.decode()
        return json.loads(done.stdout)


@pytest.fixture
def replays(tmp_path: Path, processes: Processes) -> Replays:
    policy = tmp_path / "desk.route"
    policy.write_text(POLICY)
    return Replays(policy, processes.file)


@pytest.fixture
async def lived(ready: Config, replays: Replays) -> Config:
    """500 mixed requests, decided exactly once in two runs of a worker."""
    compiled = compile_file(str(replays.policy))
    await write(ready, mixed(0, 250))
    await decide(ready, compiled, 250)
    await write(ready, mixed(250, 250))
    await decide(ready, compiled, 250)
    return ready


def by_place(records: Sequence[Any]) -> list[Any]:
    return sorted(records, key=lambda one: (one.partition, one.offset))


async def test_a_topic_comes_out_byte_for_byte_as_it_was_decided(
    lived: Config, replays: Replays
) -> None:
    """Models, turns and the cache are not there; transactions, dead letters and tombstones are."""
    before = await committed(lived)
    decisions = by_place(await read_all(lived, lived.topics.decisions))
    outcomes = Counter(json.loads(one.value)["outcome"] for one in decisions)
    assert min(outcomes[one] for one in ("route", "cached", "reject")) > 10, outcomes
    done = await replays("--from", "earliest")
    lines = done.stdout.splitlines()
    assert [one for one in lines if b'"error"' not in one] == [one.value for one in decisions]

    letters = by_place(await read_all(lived, lived.topics.dlq))
    errors = [json.loads(one) for one in lines if b'"error"' in one]
    told = [(str(one["partition"]), str(one["offset"]), one["error"]["code"]) for one in errors]
    names = ("routec.error.partition", "routec.error.offset", "routec.error.code")
    assert sorted(told) == sorted(tuple(header(one, name) for name in names) for one in letters)
    assert len(lines) == 500

    found = await replays.json("--from", "earliest")
    against = found["against"]
    assert (against["baseline"], against["both"]) == ("recorded", len(decisions))
    assert (against["changed"], against["other_model"], against["cost"]["delta"]) == (0, 0, 0.0)
    for part in found["topic"]["partitions"][:3]:
        assert part["gaps"] >= 8  # markers, and what was aborted
        assert part["joined"] + sum(part["without"].values()) == part["requests"]
    # In no group: nothing was committed.
    assert await committed(lived) == before


async def test_another_policy_flips_costs_and_lets_past(lived: Config, replays: Replays) -> None:
    new = replays.policy.with_name("new.route")
    new.write_text(
        POLICY.replace("refund >= 0.5 to opus", "refund >= 0.5 to mini")
        .replace("tier == free reject", "tier == pro reject")
        .replace('redact pii tag "mail"', 'tag "post"')
        .replace("route money", "route loud priority 30 { when urgent to mini }\nroute money")
    )
    ends = [json.loads(one.value) for one in await read_all(lived, lived.topics.decisions)]
    rejected = {one["request_id"] for one in ends if one["outcome"] == "reject"}
    urgent = {one["request_id"] for one in ends if int(one["request_id"][1:]) % 5 in (2, 4)}
    mail = [one for one in ends if int(one["request_id"][1:]) % 5 == 3]
    paid = [one for one in ends if one["route"] == "money" and one["request_id"] not in urgent]
    for options in ((), ("--against", replays.policy)):
        against = (await replays.json("--from", "earliest", *options, policy=new))["against"]
        safety = against["safety"]
        assert safety["now_past"]["calm"]["count"] == len(rejected)
        assert safety["now_rejected_by"]["calm"]["count"] == len(urgent - rejected)
        assert set(safety["now_past"]["calm"]["examples"]) <= rejected
        assert against["changed"] == len(urgent)
        assert safety["redactions_lost"]["email"]["count"] == len(mail)
        assert safety["tags_lost"]["mail"]["count"] == safety["tags_added"]["post"]["count"]
        assert against["other_model"] == len(paid)
        assert against["cost"]["delta"] < 0
        moves = {(one["from"], one["to"]) for one in against["moves"]}
        assert ("route turns", "reject calm") in moves
        assert ("reject calm", "route loud") in moves
    # Who was rejected before a costly signal was asked for may be let past by this one.
    new.write_text(POLICY.replace("tier == free reject", "tier == pro reject"))
    safety = (await replays.json("--from", "earliest", policy=new))["against"]["safety"]
    assert safety["now_past"] == {}
    assert safety["perhaps_past"]["calm"]["count"] == len(rejected)


async def test_from_a_time_and_from_offsets(lived: Config, replays: Replays) -> None:
    requests = by_place(await read_all(lived, lived.topics.requests))
    whole = (await replays("--from", "earliest")).stdout.splitlines()
    assert len(whole) == len(requests)
    later = sorted(one.timestamp for one in requests)[300]
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(later / 1000))}.{later % 1000:03}Z"
    firsts = {
        partition: min(r.offset for r in requests if (r.partition, r.timestamp) >= (partition, later)
                       and r.partition == partition)
        for partition in range(3)
    }  # fmt: skip
    wanted = [
        line
        for line, one in zip(whole, requests, strict=True)
        if one.offset >= firsts[one.partition]
    ]
    assert (await replays("--from", stamp)).stdout.splitlines() == wanted
    earlier = [one for one in whole if one not in set(wanted)]
    assert (await replays("--from", "1h", "--to", stamp)).stdout.splitlines() == earlier
    backwards = await replays("--from", "5", "--to", "2020-01-01")
    assert (backwards.returncode, backwards.stdout) == (2, b"")
    assert b"`--from` is offset 5 and `--to` is 0" in backwards.stderr
    some = await replays("--from", "1/40,2/100", "--to", "120", "--partition", "1", "--partition=2")
    assert some.stdout.splitlines() == [
        line
        for line, one in zip(whole, requests, strict=True)
        if (one.partition == 1 and 40 <= one.offset < 120)
        or (one.partition == 2 and 100 <= one.offset < 120)
    ]


async def test_an_open_transaction_is_not_waited_for(lived: Config, replays: Replays) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=lived.kafka.bootstrap, transactional_id=f"open-{lived.kafka.group}"
    )
    async with producer:
        await producer.begin_transaction()
        await producer.send_and_wait(lived.topics.requests, request(1), partition=0)
        done = await replays("--from", "earliest", "--summary", "--format", "json")
        await producer.abort_transaction()
    assert json.loads(done.stdout)["events"] == 500


async def test_what_retention_has_taken_is_said(lived: Config, replays: Replays) -> None:
    requests, decisions = lived.topics.requests, lived.topics.decisions
    admin = AIOKafkaAdminClient(bootstrap_servers=lived.kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_records(
            {
                TopicPartition(requests, 0): RecordsToDelete(before_offset=30),
                TopicPartition(decisions, 1): RecordsToDelete(before_offset=60),
            }
        )
    finally:
        await admin.close()
    done = await replays("--from", "0", "--summary", "--format", "json")
    assert f"30 offsets before 30 of partition 0 of `{requests}` are gone" in done.stderr.decode()
    first, second, *_ = json.loads(done.stdout)["topic"]["partitions"]
    assert (first["begin"], first["expired"], first["without"]["expired"]) == (30, 30, 0)
    assert first["joined"] > 100
    assert 40 < second["without"]["expired"] < 70
    assert second["joined"] > 80


async def test_decisions_are_looked_for_from_the_time_of_the_first_request(
    lived: Config, replays: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long topic only the part beside the requests is read."""
    monkeypatch.setattr(topics, "EARLIER_MS", 0)
    requests = [one for one in await read_all(lived, lived.topics.requests) if not one.partition]
    half = requests[len(requests) * 3 // 4]
    replay = replay_of(compile_file(str(replays.policy)))
    decisions = await read_all(lived, lived.topics.decisions)
    whence = Whence("offset", offset=half.offset)
    async with open_topic(lived, lived.topics.requests, [0], whence, LATEST) as stream:
        events = [one async for one in stream]
        begun = stream._bounds[0][0]
    assert begun == 0
    [part] = stream.parts
    later = {one.value for one in decisions if not one.partition}
    answers = await replay.decide(events)
    again = [replay.encoded(one) for one in answers if hasattr(one, "decision")]
    assert len(again) == part.joined > 20
    assert set(again) <= later
    async with open_topic(lived, lived.topics.requests, [0], EARLIEST, LATEST) as stream:
        whole = [one async for one in stream]
    assert [one.recorded.value for one in whole if one.recorded][-part.joined :] == again
