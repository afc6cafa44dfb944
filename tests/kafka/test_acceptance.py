"""The help desk on Apache Kafka, as an operator runs it: real texts, real models, bad events too."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from traffic import committed, header, read_all

from routec.cli.demo.schema import attributes_of
from routec.cli.demo.traffic import MALFORMED_KINDS, Attribute, generate, make_malformed
from routec.cli.demo.traffic.attributes import attributes_for
from routec.cli.programs import compile_file
from routec.runtime.config import Config
from routec.runtime.stream import create_topics

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]
POLICY = "examples/policies/helpdesk.route"
EVENTS, MALFORMED, PARTITIONS = 20_000, 200, 16
STALL = 60.0
"""Seconds without a new decision after which the worker counts as stopped."""

CODES = {
    "truncated_json": {"invalid-json"},
    "wrong_types": {"invalid-body", "invalid-event"},
    "invalid_utf8": {"invalid-utf8"},
    "missing_attribute": {"missing-attribute"},
    "oversized_text": {"event-too-large"},
    "deep_nesting": {"nested-too-deep"},
}


@dataclass(frozen=True)
class Sent:
    """One record of the requests topic; `malformed` names what is wrong with it."""

    partition: int
    key: bytes
    value: bytes
    malformed: str | None


def texts(count: int) -> tuple[list[str], str]:
    """That many texts in random order, and where they are from."""
    folder = Path(os.environ.get("ROUTEC_DATA") or ROOT.parent / "shared" / "data") / "requests"
    found = [
        json.loads(line)["text"]
        for file in sorted(folder.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    if len(found) >= count:
        random.Random(3).shuffle(found)
        return found[:count], f"real texts of {folder}"
    made = (sample.event["body"]["messages"][-1]["content"] for sample in generate(3))
    plain = (text for text in made if isinstance(text, str))
    return list(islice(plain, count)), f"made-up texts, as `{folder}` has no data"


def traffic(schema: Sequence[Attribute], said: Sequence[str]) -> list[Sent]:
    """The events, malformed ones spread among them, over all partitions."""
    rng = random.Random(5)
    events: list[tuple[bytes, str | None]] = []
    for number, text in enumerate(said):
        event = {
            "request_id": f"r-{number}",
            "attributes": attributes_for(schema, rng),
            "body": {"model": "auto", "messages": [{"role": "user", "content": text}]},
        }
        events.append((orjson.dumps(event), None))
    for number in range(MALFORMED):
        kind = MALFORMED_KINDS[number % len(MALFORMED_KINDS)]
        events.insert(rng.randrange(len(events)), (make_malformed(kind, rng, schema), kind))
    return [
        Sent(rng.randrange(PARTITIONS), f"key-{number}".encode(), value, kind)
        for number, (value, kind) in enumerate(events)
    ]


async def send_all(config: Config, records: Sequence[Sent]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=config.kafka.bootstrap, max_request_size=4_000_000, acks="all"
    )
    await producer.start()
    try:
        waiting = [
            await producer.send(
                config.topics.requests, one.value, key=one.key, partition=one.partition
            )
            for one in records
        ]
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()


class Routec:
    """`routec run`, in a process of its own."""

    def __init__(self, config: Config, log: Path) -> None:
        self.log = log
        topics = {
            f"ROUTEC_TOPICS__{field.upper()}": getattr(config.topics, field)
            for field in config.topics.__struct_fields__
        }
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("routec")),
                    "run",
                    POLICY,
                    "--bootstrap",
                    config.kafka.bootstrap,
                ],
                cwd=ROOT,
                env={
                    **{name: os.environ[name] for name in _KEPT if name in os.environ},
                    **topics,
                    "ROUTEC_KAFKA__GROUP": config.kafka.group,
                    "ROUTEC_OBSERVABILITY__PORT": "0",
                },
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def terminate(self) -> dict[str, Any]:
        """Send SIGTERM; the counts it logged when it had stopped."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        assert status == 0, self.text()
        last = json.loads(self.text().splitlines()[-1])
        assert last["event"] == "stopped", last
        return {name: last[name] for name in ("taken", "decided", "dead_letters", "stale")}

    def get(self, path: str) -> str:
        """What its metrics endpoint answers."""
        found = re.search(r'"(http://127\.0\.0\.1:[0-9]+)/metrics"', self.text())
        assert found is not None, self.text()
        with urllib.request.urlopen(found[1] + path, timeout=5) as answer:
            return str(answer.read().decode())

    def text(self) -> str:
        """What it wrote."""
        return self.log.read_text()

    def kill(self) -> None:
        """End it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


_KEPT = ("PATH", "HOME", "ROUTEC_CACHE", "XDG_CACHE_HOME")


@pytest.fixture
def routec(config: Config, tmp_path: Path) -> Iterator[Any]:
    """Starts `routec run`; none outlives the test."""
    started: list[Routec] = []

    def start() -> Routec:
        started.append(Routec(config, tmp_path / f"routec-{len(started)}.log"))
        return started[-1]

    yield start
    for one in started:
        one.kill()


async def until_decided(config: Config, worker: Routec, count: int) -> None:
    """Wait until so many decisions and dead letters are committed, however long it takes."""
    before, news = -1, time.monotonic()
    while (done := sum((await committed(config, PARTITIONS)).values())) < count:
        if done != before:
            before, news = done, time.monotonic()
        assert worker.process.poll() is None, worker.text()
        assert time.monotonic() - news < STALL, (done, worker.text())
        await asyncio.sleep(0.25)


async def test_the_help_desk_decides_real_traffic(
    config: Config, routec: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = attributes_of(compile_file(str(ROOT / POLICY)).program)
    said, origin = texts(EVENTS)
    records = traffic(schema, said)
    await create_topics(config, partitions=PARTITIONS)
    await send_all(config, records)

    # A worker that is stopped in the middle of it, and one that goes on from there.
    first = routec()
    await until_decided(config, first, 2_000)
    counted = first.terminate()
    done = await committed(config, PARTITIONS)
    assert sum(done.values()) == counted["taken"] == counted["decided"] + counted["dead_letters"]
    assert 2_000 <= counted["taken"] < len(records)
    begun = time.monotonic()
    second = routec()
    await until_decided(config, second, len(records))
    seconds = time.monotonic() - begun
    assert json.loads(second.get("/healthz"))["status"] == "ready"
    metrics = second.get("/metrics")
    rest = second.terminate()
    assert rest == {
        "taken": len(records) - counted["taken"],
        "decided": EVENTS - counted["decided"],
        "dead_letters": MALFORMED - counted["dead_letters"],
        "stale": 0,
    }
    assert scraped(metrics, "routec_decisions_total") == rest["decided"]
    assert scraped(metrics, "routec_dead_letters_total") == rest["dead_letters"]

    # One decision for each good event, in the order of its partition, with its key.
    decisions = await read_all(config, config.topics.decisions, PARTITIONS)
    assert len(decisions) == EVENTS
    good = [one for one in records if one.malformed is None]
    events = [orjson.loads(one.value) for one in decisions]
    for partition in range(PARTITIONS):
        wanted = [
            (orjson.loads(one.value)["request_id"], one.key)
            for one in good
            if one.partition == partition
        ]
        found = [
            (event["request_id"], one.key)
            for event, one in zip(events, decisions, strict=True)
            if one.partition == partition
        ]
        assert found == wanted
    assert len({event["decision_id"] for event in events}) == EVENTS
    # All signals were really there: nothing was decided by a failure value.
    assert not [event for event in events if event["failures"]]

    # Each malformed one is a dead letter with its bytes and the reason.
    letters = await read_all(config, config.topics.dlq, PARTITIONS)
    bad = {one.key: one for one in records if one.malformed is not None}
    assert sorted(letter.key for letter in letters) == sorted(bad)
    for letter in letters:
        original = bad[letter.key]
        assert letter.value == original.value
        assert original.malformed is not None
        assert header(letter, "routec.error.code") in CODES[original.malformed]
        assert header(letter, "routec.error.message")
        assert header(letter, "routec.error.topic") == config.topics.requests
        assert header(letter, "routec.error.partition") == str(original.partition)

    routes = Counter(event["route"] or event["reject"]["guard"] for event in events)
    with capsys.disabled():
        print(f"\n  {EVENTS:,} decisions and {MALFORMED} dead letters, {origin}")
        rate = rest["taken"] / seconds
        print(f"  {rest['taken']:,} events in {seconds:.0f} s from start-up: {rate:,.0f} a second")
        print("  " + ", ".join(f"{name} {number:,}" for name, number in routes.most_common()))


def scraped(metrics: str, name: str) -> float:
    """Sum of a metric over all its labels."""
    values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", metrics, re.MULTILINE)
    return sum(map(float, values))
