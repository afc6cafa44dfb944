"""Among several partitions the newest record of a key counts, whichever is read first."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaProducer
from hypothesis import given
from hypothesis import strategies as st

from routec.compiler.program import digest, dump
from routec.runtime.config import Config, Kafka, Secret
from routec.runtime.embedded import embedded_broker
from routec.runtime.keys import write_private
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.live import LivePolicy
from routec.runtime.policies.order import Order, by_sequence
from routec.runtime.policies.signature import Signer, open_admission
from routec.runtime.policies.topic import read_compacted
from routec.runtime.records import Record
from routec.runtime.service import Memory, PolicyService, open_service
from tests.runtime.doubles import program

VERSIONS = [program(f"policy live\nmodel m {{}}\ndefault route d{n} {{ to m }}") for n in range(3)]
HASHES = [digest(one) for one in VERSIONS]
TOPIC = "routec.policies"
OURS = Signer(Secret(write_private(bytes(range(32)))))


def open_here(made: object, hash: str, memory: Memory | None, *, silent: bool) -> PolicyService:
    return open_service(made, Config(), hash=hash, memory=memory)  # type: ignore[arg-type]


def record(version: int, partition: int, time_ms: int, sequence: int | None = None) -> Record:
    value = dump(VERSIONS[version])
    headers = () if sequence is None else OURS.sign_record(TOPIC, b"live", value, (), sequence)
    return Record(TOPIC, partition, 0, time_ms, b"live", value, headers)


OLD, NEW = record(1, 3, 1_000), record(2, 0, 2_000)


@pytest.mark.parametrize("calls", [[[OLD, NEW]], [[NEW, OLD]], [[OLD], [NEW]], [[NEW], [OLD]]])
@pytest.mark.parametrize("signed", [False, True])
async def test_the_newest_decides_in_whichever_order_partitions_are_read(
    calls: list[list[Record]], signed: bool
) -> None:
    live = LivePolicy(open_service(VERSIONS[0], Config()))
    admission = open_admission([OURS.public]) if signed else None
    activation = Activation(VERSIONS[0], HASHES[0], live, open_here, admission=admission)
    for some in calls:
        if signed:
            # Times say nothing then: the numbers are signed, they are not.
            some = [record(1, 3, 9_000, 5) if one is OLD else record(2, 0, 0, 6) for one in some]
        await activation.apply(some)
    assert live.policy_hash == HASHES[2]
    # Read at once, the older one is no attack.
    if len(calls) == 1:
        assert activation.refused == 0


def test_within_a_partition_the_later_is_the_newer_whatever_the_clocks() -> None:
    order = Order()
    assert [order.goes_on(b"k", 0, time) for time in (5_000, 1_000, 3_000)] == [True] * 3
    # And it is as new as what came before it.
    assert not order.goes_on(b"k", 1, 4_000)
    assert order.goes_on(b"other", 1, 0)
    assert order.goes_on(b"k", 1, 6_000)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 6))))
def test_numbers_order_partitions_and_leave_each_as_it_is(steps: list[tuple[int, int]]) -> None:
    records = [
        Record(TOPIC, partition, offset, 0, b"live", None, (("routec.sequence", b"%d" % n),))
        for offset, (partition, n) in enumerate(steps)
    ]
    found = by_sequence(records)
    assert sorted(one.offset for one in found) == list(range(len(records)))
    for partition in range(3):
        offsets = [one.offset for one in found if one.partition == partition]
        assert offsets == sorted(offsets)
    if len({partition for partition, _ in steps}) <= 1:
        assert found == records
    numbers = [n for _, n in steps]
    if numbers and numbers == sorted(set(numbers)):
        assert found == records


async def test_what_is_held_is_the_newest_of_all_partitions() -> None:
    async with embedded_broker((TOPIC,)) as broker:
        config = Config(kafka=Kafka(bootstrap=broker.bootstrap, fetch_max_wait=0.01))
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            for partition, time_ms in ((2, 5_000), (0, 1_000), (3, 2_000)):
                value = b"%d" % time_ms
                await producer.send_and_wait(
                    TOPIC, value, key=b"live", partition=partition, timestamp_ms=time_ms
                )
        held = await read_compacted(config, TOPIC)
    assert held[b"live"].value == b"5000"
