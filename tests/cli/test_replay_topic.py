"""`routec replay --from`: requests of a topic beside their decisions, on the embedded broker."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from routec.cli import exits
from routec.cli.programs import compile_file
from routec.runtime.config import Config, Kafka, Runtime
from routec.runtime.deployment import open_deployment
from routec.runtime.embedded import EmbeddedBroker, embedded_broker
from routec.runtime.stream.clients import close, connect, make_consumer

from .support import LIGHT, Result, Run, start

REQUESTS, DECISIONS, DEAD = "routec.requests", "routec.decisions", "routec.dlq"
BAD = (b"{", b"[]", None, b'{"body": 1}')
"""What becomes a dead letter; the third is a tombstone."""


class Cluster:
    """The embedded broker, the requests of a test and a worker that has decided them."""

    def __init__(self, broker: EmbeddedBroker, routec: Run, policy: Path) -> None:
        self.bootstrap = broker.bootstrap
        self.policy = policy
        self._routec = routec
        kafka = Kafka(bootstrap=broker.bootstrap, fetch_max_wait=0.01)
        runtime = Runtime(delivery="at_least_once", batch_size=50, commit_interval=0.02)
        self.config = Config(kafka=kafka, runtime=runtime)

    async def write(self, topic: str, records: list[tuple[int, bytes | None]]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap) as producer:
            for partition, value in records:
                await producer.send(topic, value, key=b"k", partition=partition)

    async def decide(self, count: int) -> None:
        """Run a worker until there are so many decisions and dead letters."""
        compiled = await asyncio.to_thread(compile_file, str(self.policy))
        quiet = msgspec.structs.replace(Config().observability, metrics=False)
        topics = msgspec.structs.replace(Config().topics, policies="", responses="")
        config = msgspec.structs.replace(self.config, observability=quiet, topics=topics)
        with open_deployment(compiled.program, config, hash=compiled.hash) as deployment:
            worker = deployment.worker()
            task = asyncio.create_task(worker.run())
            for _ in range(1500):
                if worker.counts.decided + worker.counts.dead == count:
                    break
                await asyncio.sleep(0.02)
            worker.stop()
            await task

    async def read(self, topic: str) -> list[bytes]:
        """Every value of a topic, partition by partition."""
        consumer = await connect(lambda: make_consumer(self.config, group=False), self.config)
        found: list[Any] = []
        try:
            places = [TopicPartition(topic, number) for number in range(4)]
            consumer.assign(places)
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(one) < ends[one] for one in places]):
                for some in (await consumer.getmany(timeout_ms=50)).values():
                    found += some
        finally:
            await close(consumer)
        return [one.value for one in sorted(found, key=lambda one: (one.partition, one.offset))]

    async def replay(self, *arguments: str | Path, policy: Path | None = None) -> Result:
        return await asyncio.to_thread(
            self._routec,
            *("replay", policy or self.policy, "--bootstrap", self.bootstrap),
            *arguments,
        )

    async def summary(self, *arguments: str | Path, policy: Path | None = None) -> Any:
        result = await self.replay(*arguments, "--summary", "--format", "json", policy=policy)
        assert result.status in (exits.FINE, exits.FOUND), result.err
        return result.json


@pytest.fixture
async def cluster(
    routec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Cluster]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routec.toml").write_text("[kafka]\nfetch_max_wait = '10ms'\n")
    policy = tmp_path / "light.route"
    policy.write_text(LIGHT)
    async with embedded_broker((REQUESTS, DECISIONS, DEAD, "routec.status")) as broker:
        yield Cluster(broker, routec, policy)


def request(n: int) -> bytes:
    texts = ("hello", "asap", "DE89370400440532013000", "hi john@example.com")
    body = {"messages": [{"role": "user", "content": texts[n % 4]}]}
    value = {"request_id": f"r{n}", "attributes": {"tenant": "acme"}, "body": body}
    return json.dumps(value).encode()


def mixed(count: int) -> list[tuple[int, bytes | None]]:
    """Requests over two partitions, every seventh a bad one."""
    return [(n % 2, BAD[n // 7 % 4] if n % 7 == 6 else request(n)) for n in range(count)]


def entries(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.out.splitlines()]


async def test_a_topic_is_replayed_byte_for_byte_beside_its_decisions(cluster: Cluster) -> None:
    await cluster.write(REQUESTS, mixed(120))
    await cluster.decide(120)
    result = await cluster.replay("--from", "earliest")
    assert (result.status, result.err) == (exits.FOUND, "")
    lines = result.out.splitlines()
    decisions = [line for line in lines if "error" not in json.loads(line)]
    assert [line.encode() for line in decisions] == await cluster.read(DECISIONS)
    bad = [one for one in entries(result) if "error" in one]
    assert {one["error"]["code"] for one in bad} == {
        "invalid-json",
        "not-an-object",
        "empty-event",
        "invalid-body",
    }
    assert [(one["partition"], one["offset"]) for one in bad] == sorted(
        (n % 2, n // 2) for n in range(120) if n % 7 == 6
    )
    found = await cluster.summary("--from", "earliest")
    assert found["against"]["changed"] == found["against"]["other_model"] == 0
    assert found["against"]["baseline"] == "recorded"
    good = [sum(n % 7 != 6 and n % 2 == p for n in range(120)) for p in range(4)]
    assert [part["joined"] for part in found["topic"]["partitions"]] == good
    assert found["dead_letters"] == len(bad) == 120 - 103


async def test_a_part_of_it_is_replayed_from_offsets_to_offsets(cluster: Cluster) -> None:
    await cluster.write(REQUESTS, mixed(120))
    await cluster.decide(120)
    everything = await cluster.replay("--from", "earliest")
    first, second = everything.out.splitlines()[:60], everything.out.splitlines()[60:]
    part = await cluster.replay(
        *("--from", "0/20,1/41", "--to", "50", "--partition", "1", "--partition", "0")
    )
    assert part.out.splitlines() == first[20:50] + second[41:50]
    same = await cluster.replay("--from", "55", "--partition", "1")
    assert same.out.splitlines() == second[55:]
    assert (await cluster.replay("--from", "latest")).out == ""
    assert (await cluster.replay("--from", "9", "--to", "3")).out == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--from", "latest", "--to", "5"), "`--from` is offset 20 and `--to` is 5"),
        (("--from", "21"), "`--from` is offset 21 and `--to` is 20"),
    ],
)
async def test_a_range_that_ends_before_it_begins_is_refused(
    cluster: Cluster, arguments: tuple[str, ...], says: str
) -> None:
    await cluster.write(REQUESTS, [(n % 4, request(n)) for n in range(80)])
    result = await cluster.replay(*arguments)
    assert (result.status, result.out) == (exits.UNABLE, "")
    assert "error: the range ends before it begins: in partition 0 of `routec.requests`" in (
        result.err
    )
    assert says in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "latest"),
        ("--from", "20"),
        ("--from", "7", "--to", "7"),
        ("--from", "earliest", "--to", "earliest"),
    ],
)
async def test_an_empty_range_is_none_that_is_reversed(
    cluster: Cluster, arguments: tuple[str, ...]
) -> None:
    await cluster.write(REQUESTS, [(n % 4, request(n)) for n in range(80)])
    result = await cluster.replay(*arguments)
    assert (result.status, result.out) == (exits.FINE, "")


async def test_a_range_that_is_reversed_in_some_partitions_is_read_in_the_others(
    cluster: Cluster,
) -> None:
    await cluster.write(REQUESTS, [(n % 2, request(n)) for n in range(40)])
    await cluster.write(REQUESTS, [(2, request(n)) for n in range(40)])
    found = await cluster.summary("--from", "25", "--to", "latest")
    assert found["events"] == 15


async def test_another_policy_is_compared_with_what_was_recorded(
    cluster: Cluster, tmp_path: Path
) -> None:
    await cluster.write(REQUESTS, [(0, request(n)) for n in range(40)])
    await cluster.decide(40)
    new = tmp_path / "new.route"
    new.write_text(LIGHT.replace('signal urgent = keyword("asap", ', "signal urgent = keyword("))
    found = await cluster.summary("--from", "earliest", policy=new)
    against = found["against"]
    assert (against["both"], against["changed"], against["share"]) == (40, 10, 0.25)
    [move] = against["moves"]
    assert (move["from"], move["to"], move["count"]) == ("reject shouting", "route general", 10)
    assert move["examples"] == ["r1", "r5", "r9", "r13", "r17"]
    assert against["safety"]["now_past"]["shouting"]["count"] == 10
    same = await cluster.summary("--from", "earliest", "--against", cluster.policy, policy=new)
    assert same["against"]["moves"] == against["moves"]


async def test_requests_that_nobody_has_decided_are_decided_now(cluster: Cluster) -> None:
    """Those after the last decision, and a topic of another program without any."""
    await cluster.write(REQUESTS, [(0, request(n)) for n in range(10)])
    await cluster.decide(10)
    await cluster.write(REQUESTS, [(0, request(n)) for n in range(10, 16)])
    found = await cluster.summary("--from", "earliest", "--partition", "0")
    [part] = found["topic"]["partitions"]
    assert (part["requests"], part["joined"], part["without"]["after"]) == (16, 10, 6)
    assert (found["decisions"], found["against"]["only_new"]) == (16, 6)
    await cluster.write("other", [(1, request(n)) for n in range(5)])
    other = await cluster.summary("--from", "earliest", "--topic", "other")
    assert (other["decisions"], other["topic"]["name"]) == (5, "other")
    assert "against" not in other


async def test_what_is_no_decision_among_the_decisions_is_passed_over(cluster: Cluster) -> None:
    await cluster.write(DECISIONS, [(0, b"{"), (0, None), (0, b'{"decision_id": "x"}')])
    await cluster.write(REQUESTS, [(0, request(n)) for n in range(8)])
    await cluster.decide(8)
    found = await cluster.summary("--from", "earliest", "--partition", "0")
    [part] = found["topic"]["partitions"]
    assert (part["joined"], part["unreadable_decisions"]) == (8, 2)


async def test_a_cluster_without_a_topic_of_decisions_is_said(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "routec.toml").write_text("[topics]\ndecisions = 'absent'\n")
    await cluster.write(REQUESTS, [(0, request(n)) for n in range(3)])
    result = await cluster.replay("--from", "earliest")
    assert result.status == exits.FINE
    assert len(entries(result)) == 3
    assert "there is no topic `absent` of decisions" in result.err


async def test_ctrl_c_ends_it_with_what_is_done(cluster: Cluster) -> None:
    count = 4000
    await cluster.write(REQUESTS, [(n % 4, request(n)) for n in range(count)])
    process = start(
        *("replay", str(cluster.policy), "--bootstrap", cluster.bootstrap, "--from", "earliest")
    )
    try:
        assert process.stdout is not None
        # Then its output waits for a reader: it cannot be done.
        first = await asyncio.to_thread(process.stdout.readline)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(process.communicate, timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == exits.INTERRUPTED
    done = [json.loads(line) for line in (first + out).splitlines()]
    assert 0 < len(done) < count
    assert err.decode().startswith("stopped: this is of what was replayed until then")
    assert "Traceback" not in err.decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--topic", "absent"), "the topic `absent` does not exist"),
        (("--partition", "9"), "`routec.requests` has no partition 9"),
        (("--to", "0/5"), "partition 1 of `routec.requests` is named without being replayed"),
    ],
)
async def test_what_is_not_there_is_said(
    cluster: Cluster, arguments: tuple[str, ...], says: str
) -> None:
    result = await cluster.replay("--from", "earliest", *arguments)
    assert (result.status, result.out) == (exits.UNABLE, "")
    assert says in result.err


async def test_a_cluster_that_is_not_there_is_said(
    cluster: Cluster, tmp_path: Path, routec: Run
) -> None:
    (tmp_path / "routec.toml").write_text("[kafka]\nconnect_timeout = '200ms'\n")
    asked = ("replay", cluster.policy, "--bootstrap", "127.0.0.1:1", "--from", "1h")
    result = await asyncio.to_thread(routec, *asked)
    assert result.status == exits.UNABLE
    assert "nothing answers at `127.0.0.1:1`" in result.err
