"""Policies that are replaced while workers decide, on Apache Kafka."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from traffic import committed, read_all, running, until

from routec.compiler.program import Program, digest, dump
from routec.runtime.config import Config, Observability, Policies, Secret
from routec.runtime.deployment import Deployment, open_deployment
from routec.runtime.keys import write_private
from routec.runtime.policies import registry
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.follower import PolicyFollower
from routec.runtime.policies.live import LivePolicy
from routec.runtime.policies.retention import Retention
from routec.runtime.policies.signature import Signer
from routec.runtime.policies.status import decode_status
from routec.runtime.policies.topic import read_compacted
from routec.runtime.service import Memory, open_service
from routec.runtime.stream.clients import close, connect, make_consumer
from tests.runtime.doubles import program

pytestmark = pytest.mark.kafka

PARTITIONS = 4


def version(n: int) -> Program:
    return program(
        f'policy live\nsignal k = keyword("w{n}")\nmodel m {{}}\n'
        f"route r{n} {{ when k to m }}\ndefault route d{n} {{ to m }}"
    )


VERSIONS = [version(n) for n in range(4)]
HASHES = [digest(one) for one in VERSIONS]


def opened(config: Config, started_with: int = 0) -> Deployment:
    config = msgspec.structs.replace(config, observability=Observability(metrics=False))
    return open_deployment(VERSIONS[started_with], config)


async def write_policy(
    config: Config,
    value: bytes | None,
    key: bytes = b"live",
    headers: Sequence[Any] = (),
    partition: int = 0,
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=config.kafka.bootstrap) as producer:
        await producer.send_and_wait(
            config.topics.policies, value, key=key, partition=partition, headers=list(headers)
        )


class Asking:
    """Writes requests, steadily, until told to stop."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.sent = 0
        self._task: asyncio.Task[None] | None = None

    async def _ask(self) -> None:
        event = {"body": {"messages": [{"role": "user", "content": "hello"}]}}
        value = json.dumps(event).encode()
        async with AIOKafkaProducer(bootstrap_servers=self.config.kafka.bootstrap) as producer:
            while True:
                topic = self.config.topics.requests
                await asyncio.gather(
                    *[
                        await producer.send(topic, value, key=b"k", partition=n % PARTITIONS)
                        for n in range(40)
                    ]
                )
                self.sent += 40
                await asyncio.sleep(0.01)

    async def __aenter__(self) -> Asking:
        self._task = asyncio.create_task(self._ask())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


async def decisions(config: Config) -> dict[int, list[str]]:
    """By partition, the hashes of the policies that decided, in order."""
    found: dict[int, list[str]] = {}
    for record in await read_all(config, config.topics.decisions):
        found.setdefault(record.partition, []).append(json.loads(record.value)["policy"]["hash"])
    return found


def runs(hashes: Sequence[str]) -> list[int]:
    """The versions in the order in which they were in force, each stretch once."""
    names = [HASHES.index(one) for one in hashes]
    return [n for at, n in enumerate(names) if at == 0 or names[at - 1] != n]


async def test_swaps_under_load_lose_nothing_and_rise_in_every_partition(ready: Config) -> None:
    with opened(ready) as deployment:
        worker = deployment.worker()
        async with running(worker):
            async with Asking(ready) as asking:
                await until(lambda: worker.counts.decided > 400)
                # Two in a row, then one that is broken, then the first again.
                await write_policy(ready, dump(VERSIONS[1]))
                await write_policy(ready, dump(VERSIONS[2]))
                await until(lambda: deployment.live.policy_hash == HASHES[2])
                await write_policy(ready, b'{"hash":"sha256:0","program":{}}')
                before = worker.counts.decided
                await until(lambda: worker.counts.decided > before + 400)
                assert deployment.live.policy_hash == HASHES[2]
                await write_policy(ready, dump(VERSIONS[3]))
                await until(lambda: deployment.live.policy_hash == HASHES[3])
                before = worker.counts.decided
                await until(lambda: worker.counts.decided > before + 400)
            await until(lambda: worker.counts.decided >= asking.sent)
    found = await decisions(ready)
    ends = await committed(ready)
    assert {partition: len(one) for partition, one in found.items()} == ends
    for hashes in found.values():
        in_order = runs(hashes)
        assert in_order in ([0, 1, 2, 3], [0, 2, 3])
    last = [record for record in await read_all(ready, ready.topics.status) if record.value]
    status = decode_status(last[-1].value)
    assert status is not None
    assert (status.active.hash, status.refused) == (HASHES[3], 1)
    assert [one.code for one in status.failures] == ["invalid-program"]


async def test_a_worker_starts_with_the_newest_policy_and_goes_back_for_a_tombstone(
    ready: Config,
) -> None:
    await write_policy(ready, dump(VERSIONS[1]))
    await write_policy(ready, dump(VERSIONS[2]))
    await write_policy(ready, b"no program")
    with opened(ready) as deployment:
        async with running(deployment.worker()), Asking(ready):
            await until(lambda: deployment.live.policy_hash == HASHES[2])
            await write_policy(ready, None)
            await until(lambda: deployment.live.policy_hash == HASHES[0])
    assert all(runs(one) in ([2], [2, 0], [0]) for one in (await decisions(ready)).values())


async def test_a_partition_that_moves_is_never_decided_by_an_older_policy(ready: Config) -> None:
    with opened(ready) as first, opened(ready) as second:
        async with Asking(ready):
            one = first.worker()
            async with running(one):
                await until(lambda: one.counts.decided > 100)
                other = second.worker()
                async with running(other):
                    await until(lambda: other.counts.decided > 100)
                    await write_policy(ready, dump(VERSIONS[1]))
                    await until(lambda: first.live.policy_hash == HASHES[1])
                # Its partitions are back with the first.
                await write_policy(ready, dump(VERSIONS[2]))
                await until(lambda: first.live.policy_hash == HASHES[2])
                before = one.counts.decided
                await until(lambda: one.counts.decided > before + 400)
    found = await decisions(ready)
    for hashes in found.values():
        names = runs(hashes)
        assert names == sorted(names)
    assert set(await committed(ready)) == set(found)


async def test_with_keys_only_signed_policies_decide(ready: Config) -> None:
    """Whoever may write to the control topic without a key changes nothing, however they try."""
    ours = Signer(Secret(write_private(bytes(32))))
    theirs = Signer(Secret(write_private(bytes(31) + b"\1")))
    config = msgspec.structs.replace(ready, policies=Policies((ours.public,)))
    topic, rogue = config.topics.policies, dump(VERSIONS[3])
    with opened(config) as deployment:
        worker = deployment.worker()

        def result(code: str) -> float | None:
            return deployment.metrics.registry.get_sample_value(
                "routec_policy_records_total", {"result": code}
            )

        async def goes_on() -> None:
            before = worker.counts.decided
            await until(lambda: worker.counts.decided > before + 200)

        async with running(worker):
            async with Asking(config) as asking:
                await registry.deploy(config, VERSIONS[1], ours)
                await until(lambda: deployment.live.policy_hash == HASHES[1])
                (signed,) = await read_all(config, topic)
                await goes_on()
                await write_policy(config, rogue)
                await write_policy(
                    config, rogue, headers=theirs.sign_record(topic, b"live", rogue, (), 2**62)
                )
                await write_policy(config, rogue, headers=signed.headers)
                await write_policy(config, None)
                await write_policy(config, rogue, headers=[("routec.signature", b"\xff\x00")])
                await goes_on()
                assert deployment.live.policy_hash == HASHES[1]
                await registry.deploy(config, VERSIONS[2], ours)
                await until(lambda: deployment.live.policy_hash == HASHES[2])
                await goes_on()
                # What was in force once, exactly as it was written then.
                await write_policy(config, signed.value, headers=signed.headers)
                await until(lambda: result("replayed-policy") == 1)
                await goes_on()
                assert deployment.live.policy_hash == HASHES[2]
            refusals = {
                "unsigned-policy": 2,
                "unknown-key": 1,
                "wrong-signature": 1,
                "malformed-signature": 1,
                "replayed-policy": 1,
            }
            assert {code: result(code) for code in refusals} == refusals
            (status,) = await registry.read_statuses(config)
            assert (status.active.hash, status.active.signed_by) == (HASHES[2], ours.key)
            assert (status.active.sequence or 0) > 0
            # The topic was made without keys, so it is compacted.
            assert [one.code for one in status.problems] == ["compacting-policies"]
            assert sorted(one.code for one in status.failures) == sorted(
                Counter(refusals).elements()
            )
            await until(lambda: worker.counts.decided >= asking.sent)
            # One that starts now sees all of this at once.
            with opened(config) as other:
                async with running(other.worker()):
                    await until(lambda: other.live.policy_hash == HASHES[2])
            back = await registry.roll_back(config, "live", ours)
            assert (back.did, back.hash) == ("restored", HASHES[1])
            await until(lambda: deployment.live.policy_hash == HASHES[1])
    found = await decisions(config)
    assert {partition: len(one) for partition, one in found.items()} == await committed(config)
    assert all(runs(one) in ([0, 1, 2], [1, 2]) for one in found.values())


async def test_header_names_that_are_not_utf8_hide_no_policy(
    ready: Config, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(str):
        def encode(self, *args: object) -> bytes:  # type: ignore[override]
            return b"routec.\xff"

    async def slip() -> None:
        async with AIOKafkaProducer(bootstrap_servers=ready.kafka.bootstrap) as producer:
            batch = producer.create_batch()
            builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 100_000)
            builder.append(0, 1_700_000_000_000, b"other", b"x", [(Odd("x"), b"1")])
            batch._relative_offset += 1
            batch._builder = builder
            for partition in range(PARTITIONS):
                await (await producer.send_batch(batch, ready.topics.policies, partition=partition))

    await slip()
    await registry.deploy(ready, VERSIONS[1])
    await slip()
    with opened(ready) as deployment:
        async with running(deployment.worker()), Asking(ready):
            await until(lambda: deployment.live.policy_hash == HASHES[1])
            await slip()
            await registry.deploy(ready, VERSIONS[2])
            await until(lambda: deployment.live.policy_hash == HASHES[2])
            assert (await registry.roll_back(ready, "live")).hash == HASHES[1]
            await until(lambda: deployment.live.policy_hash == HASHES[1])
    assert "records cannot be read in the usual way" in caplog.text


async def test_a_control_topic_that_may_lose_records_is_a_problem_until_that_is_mended(
    ready: Config,
) -> None:
    topic, problems = ready.topics.policies, dict[str, str]()
    consumer = await connect(lambda: make_consumer(ready, group=False), ready)
    admin = AIOKafkaAdminClient(bootstrap_servers=ready.kafka.bootstrap)
    await admin.start()
    try:
        retention = Retention(topic, problems, lambda: None)
        await retention.look(consumer)
        assert list(problems) == ["compacting-policies"]
        for lasting in (
            {"cleanup.policy": "compact", "min.compaction.lag.ms": str(2**63 - 1)},
            {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"},
        ):
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, lasting)])
            async with asyncio.timeout(20):
                while problems:
                    await retention.look(consumer)
                    await asyncio.sleep(0.1)
            problems["compacting-policies"] = "as before"
    finally:
        await admin.close()
        await close(consumer)


async def test_a_partition_that_the_control_topic_gains_is_read(ready: Config) -> None:
    live = LivePolicy(open_service(VERSIONS[0], Config()))

    def open_here(made: Program, hash: str, memory: Memory | None, *, silent: bool) -> Any:
        return open_service(made, Config(), hash=hash, memory=memory)

    activation = Activation(VERSIONS[0], HASHES[0], live, open_here)
    follower = PolicyFollower(ready, live, activation, look=0.2)
    await registry.deploy(ready, VERSIONS[1])
    await follower.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=ready.kafka.bootstrap)
    await admin.start()
    try:
        assert live.policy_hash == HASHES[1]
        await admin.create_partitions({ready.topics.policies: NewPartitions(PARTITIONS + 3)})
        await write_policy(ready, dump(VERSIONS[2]), partition=PARTITIONS + 2)
        await until(lambda: live.policy_hash == HASHES[2])
        # The newest is what is held, too, though older ones stand in other partitions.
        held = await read_compacted(ready, ready.topics.policies)
        assert held[b"live"].partition == PARTITIONS + 2
    finally:
        await admin.close()
        await follower.stop(2.0)


async def test_without_the_topic_the_policy_stays(config: Config) -> None:
    from routec.runtime.stream import create_topics

    topics = msgspec.structs.replace(config.topics, policies="", status="")
    await create_topics(msgspec.structs.replace(config, topics=topics), partitions=PARTITIONS)
    with opened(config) as deployment:
        worker = deployment.worker()
        async with Asking(config), running(worker):
            await until(lambda: worker.counts.decided > 100)
    assert all(runs(one) == [0] for one in (await decisions(config)).values())


async def test_a_canary_is_deployed_promoted_and_rolled_back_under_load(ready: Config) -> None:
    with opened(ready) as deployment:
        worker = deployment.worker()
        async with running(worker), Asking(ready) as asking:
            await until(lambda: worker.counts.decided > 100)
            await registry.deploy(ready, VERSIONS[1])
            await until(lambda: deployment.live.policy_hash == HASHES[1])
            before = worker.counts.decided
            await until(lambda: worker.counts.decided > before + 200)
            await registry.try_candidate(ready, VERSIONS[2], 1.0)
            await until(lambda: deployment.live.tried > 200)
            (status,) = await registry.read_statuses(ready)
            assert status.candidate is not None
            assert (status.active.hash, status.candidate.hash) == (HASHES[1], HASHES[2])
            await registry.promote(ready, "live")
            await until(lambda: deployment.live.policy_hash == HASHES[2])
            await until(lambda: deployment.live.in_force.canary is None)
            before = worker.counts.decided
            await until(lambda: worker.counts.decided > before + 200)
            change = await registry.roll_back(ready, "live")
            assert (change.did, change.hash) == ("restored", HASHES[1])
            await until(lambda: deployment.live.policy_hash == HASHES[1])
            before = worker.counts.decided
            await until(lambda: worker.counts.decided > before + 200)
        sent = asking.sent
        assert sent > 0
    found = await decisions(ready)
    assert {partition: len(one) for partition, one in found.items()} == await committed(ready)
    # The canary had all of the requests, so promoting it changed nothing for them.
    assert [runs(one) for one in found.values()] == [[0, 1, 2, 1]] * PARTITIONS


async def test_a_shadow_decides_nothing_and_its_differences_are_written(ready: Config) -> None:
    with opened(ready) as deployment:
        worker = deployment.worker()
        async with running(worker):
            await registry.try_candidate(ready, VERSIONS[1], None)
            await until(lambda: deployment.live.in_force.shadow is not None)
            async with Asking(ready) as asking:
                comparer = deployment.live.comparer
                assert comparer is not None
                await until(lambda: comparer.differing > 100)
            await until(lambda: worker.counts.decided >= asking.sent)
            await asyncio.sleep(1.0)
    found = await decisions(ready)
    assert {partition: len(one) for partition, one in found.items()} == await committed(ready)
    assert all(runs(one) == [0] for one in found.values())
    told = [json.loads(one.value) for one in await read_all(ready, ready.topics.differences)]
    assert len(told) >= 100
    assert {one["in_force"]["route"] for one in told} == {"d0"}
    assert {one["shadow"]["route"] for one in told} == {"d1"}
    ids = [one["decision_id"] for one in told]
    assert len(ids) == len(set(ids))
