"""Whatever the control topic holds, each batch is decided by the newest valid program."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler.program import Program, digest, dump
from routec.runtime.config import Config
from routec.runtime.engine import ServiceError
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.instruction import read_instruction
from routec.runtime.policies.live import LivePolicy
from routec.runtime.records import Decided, Record
from routec.runtime.service import Memory, PolicyService, open_service
from tests.runtime.doubles import program


def version(n: int) -> Program:
    return program(
        f'policy live\nsignal k = keyword("w{n}")\nmodel m {{}}\n'
        f"route r{n} {{ when k to m }}\ndefault route d{n} {{ to m }}"
    )


VERSIONS = [version(n) for n in range(4)]
HASHES = [digest(one) for one in VERSIONS]
UNOPENABLE = HASHES[3]
"""Its services cannot be opened here."""


def control(offset: int, value: bytes | None, key: bytes = b"live", **headers: bytes) -> Record:
    return Record("routec.policies", 0, offset, 0, key, value, tuple(headers.items()))


def request(offset: int, text: str = "hello", **more: Any) -> Record:
    event = {"body": {"messages": [{"role": "user", "content": text}]}}
    return Record("requests", 0, offset, 1000, None, json.dumps(event).encode())


def open_here(made: Program, hash: str, memory: Memory | None, *, silent: bool) -> PolicyService:
    if hash == UNOPENABLE:
        raise ServiceError("not-installed", "the model is not installed", "install it")
    return open_service(made, Config(), hash=hash, memory=memory)


def start() -> tuple[LivePolicy, Activation]:
    live = LivePolicy(open_service(VERSIONS[0], Config()))
    return live, Activation(VERSIONS[0], HASHES[0], live, open_here)


def hashes(outcomes: list[Any]) -> set[str]:
    assert all(isinstance(one, Decided) for one in outcomes)
    return {json.loads(one.value)["policy"]["hash"] for one in outcomes}


GOOD = [dump(one) for one in VERSIONS]
BAD: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"hash":"x","program":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    GOOD[1].replace(b"sha256:", b"sha256:0", 1),
    GOOD[1].replace(b'"schema":2', b'"schema":99'),
    GOOD[1][:-20],
    dump(program("policy other\nmodel m {}\ndefault route d { to m }")),
    GOOD[3],
]
STEP = st.one_of(
    st.sampled_from([("good", n) for n in range(3)]),
    st.sampled_from([("bad", n) for n in range(len(BAD))]),
    st.just(("tombstone", 0)),
    st.just(("elsewhere", 0)),
    st.just(("batch", 0)),
    st.just(("poll", 0)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=14))
def test_each_batch_is_decided_by_the_newest_valid_program(steps: list[tuple[str, int]]) -> None:
    async def follow() -> None:
        live, activation = start()
        newest, polled, refusals = HASHES[0], [], 0
        for offset, (what, n) in enumerate([*steps, ("poll", 0), ("batch", 0)]):
            match what:
                case "good":
                    polled.append(control(offset, GOOD[n]))
                case "bad":
                    polled.append(control(offset, BAD[n]))
                case "tombstone":
                    polled.append(control(offset, None))
                case "elsewhere":
                    polled.append(control(offset, GOOD[1], b"other"))
                case "poll":
                    await activation.apply(polled)
                    for record in polled:
                        if record.key == b"live":
                            if record.value is None:
                                newest = HASHES[0]
                            elif record.value in GOOD[:3]:
                                newest = HASHES[GOOD.index(record.value)]
                    # One that cannot be opened is tried only while nothing newer is good.
                    refusals += sum(one.value in BAD[:-1] for one in polled)
                    polled = []
                case "batch":
                    live.begin_batch()
                    assert live.policy_hash == newest
                    assert hashes(await live.decide([request(0), request(1)])) == {newest}
                    live.end_batch()
            assert activation.active.hash == live.policy_hash
        assert activation.refused >= refusals
        live.close()

    asyncio.run(follow())


async def test_a_swap_waits_for_the_end_of_the_batch_and_no_longer() -> None:
    live, activation = start()
    live.begin_batch()
    following = asyncio.create_task(activation.apply([control(0, GOOD[1])]))
    for _ in range(50):
        await asyncio.sleep(0.002)
        assert live.policy_hash == HASHES[0]
    assert hashes(await live.decide([request(0)])) == {HASHES[0]}
    live.end_batch()
    assert live.policy_hash == HASHES[1]
    await following
    assert (activation.active.hash, activation.active.offset) == (HASHES[1], 0)


async def test_two_swaps_in_a_row_end_with_the_newer_one() -> None:
    live, activation = start()
    await activation.apply([control(0, GOOD[1])])
    await activation.apply([control(1, GOOD[2])])
    assert live.policy_hash == HASHES[2]


async def test_an_older_program_written_again_is_the_newest_record() -> None:
    live, activation = start()
    await activation.apply([control(0, GOOD[1]), control(1, GOOD[2])])
    await activation.apply([control(2, GOOD[1])])
    assert (live.policy_hash, activation.active.offset) == (HASHES[1], 2)


async def test_a_tombstone_goes_back_to_the_program_the_worker_was_started_with() -> None:
    live, activation = start()
    await activation.apply([control(0, GOOD[1])])
    await activation.apply([control(1, None)])
    assert (live.policy_hash, activation.active.offset) == (HASHES[0], None)


@pytest.mark.parametrize("bad", range(len(BAD)))
async def test_what_fails_is_reported_and_changes_nothing(bad: int) -> None:
    live, activation = start()
    await activation.apply([control(0, GOOD[1])])
    await activation.apply([control(1, BAD[bad])])
    assert live.policy_hash == HASHES[1]
    (failure,) = activation.failures
    assert (failure.refusal.offset, activation.refused) == (1, 1)
    assert failure.refusal.code in {
        "invalid-program", "hash-mismatch", "unsupported-schema", "wrong-name", "not-installed",
    }  # fmt: skip


async def test_a_swap_that_is_given_up_leaves_what_is_in_force() -> None:
    live, activation = start()
    live.begin_batch()
    following = asyncio.create_task(activation.apply([control(0, GOOD[1])]))
    await asyncio.sleep(0.2)
    following.cancel()
    await asyncio.wait([following])
    live.end_batch()
    assert live.policy_hash == HASHES[0]
    await activation.apply([control(1, GOOD[2])])
    assert live.policy_hash == HASHES[2]


async def test_what_fails_unexpectedly_is_refused_and_costs_no_other_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live, activation = start()
    real = PolicyService.take_over

    def fails_for_one(self: PolicyService) -> None:
        if self.policy_hash == HASHES[2]:
            raise RuntimeError("a bug")
        real(self)

    monkeypatch.setattr(PolicyService, "take_over", fails_for_one)
    await activation.apply([control(0, GOOD[1]), control(1, GOOD[2])])
    assert (live.policy_hash, activation.active.offset) == (HASHES[1], 0)
    (failure,) = activation.failures
    assert (failure.refusal.code, failure.refusal.offset) == ("internal-error", 1)
    assert failure.refusal.hash == HASHES[2]


async def test_a_record_that_fails_while_it_is_read_costs_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live, activation = start()

    def fails_for_one(record: Record, *rest: Any) -> Any:
        if record.offset == 1:
            raise RuntimeError("a bug")
        return read_instruction(record, *rest)

    monkeypatch.setattr("routec.runtime.policies.activation.read_instruction", fails_for_one)
    await activation.apply([control(0, GOOD[1]), control(1, GOOD[2])])
    assert live.policy_hash == HASHES[1]
    assert [one.refusal.code for one in activation.failures] == ["internal-error"]


async def test_what_nobody_can_be_told_is_in_force_all_the_same() -> None:
    live, activation = start()

    def deaf() -> None:
        raise RuntimeError("a bug")

    activation.changed = deaf
    await activation.apply([control(0, GOOD[1]), control(1, GOOD[2])])
    assert (live.policy_hash, activation.refused) == (HASHES[2], 0)


CACHED = """policy live
request {{ tenant: string }}
signal k = keyword("order")
model m {{ latency: {latency} }}
category kept {{ when k, ttl: 1h, scope: tenant }}
category moved {{ when not k, ttl: {ttl}, scope: tenant }}
route r {{ when k to m }}
default route d {{ to m }}
"""


async def test_answers_are_kept_where_the_terms_of_their_category_agree() -> None:
    def question(offset: int, text: str) -> Record:
        event = {
            "attributes": {"tenant": "acme"},
            "body": {"messages": [{"role": "user", "content": text}]},
        }
        return Record("requests", 0, offset, 1_000_000, None, json.dumps(event).encode())

    def answer(decision: str) -> Record:
        body = {"choices": [{"message": {"content": "soon"}, "finish_reason": "stop"}]}
        event = {"decision_id": decision, "model": "m", "body": body, "ok": True, "latency_ms": 5}
        return Record("responses", 0, 0, 2000, None, json.dumps(event).encode())

    async def ask(first: int) -> list[Any]:
        found = await live.decide([question(first, "my order"), question(first + 1, "hello")])
        return [json.loads(one.value) for one in found if isinstance(one, Decided)]

    old = program(CACHED.format(latency="1s", ttl="1h"))
    new = program(CACHED.format(latency="1s", ttl="2h"))
    live = LivePolicy(open_service(old, Config()))
    activation = Activation(old, digest(old), live, open_here)
    first, second = await ask(0)
    live.learn([answer(first["decision_id"])])
    late = second["decision_id"]
    await activation.apply([control(0, dump(new))])
    assert live.policy_hash == digest(new)
    # A response to a decision of the policy before is still learnt.
    kept, moved = await ask(10)
    assert (kept["outcome"], moved["outcome"]) == ("cached", "route")
    live.learn([answer(late)])
    assert [one["outcome"] for one in await ask(20)] == ["cached", "cached"]
    # Back again: the category whose terms change is empty.
    await activation.apply([control(1, None)])
    assert [one["outcome"] for one in await ask(30)] == ["cached", "route"]
    # Another policy without categories, and back: nothing is left.
    await activation.apply([control(2, GOOD[1])])
    await activation.apply([control(3, None)])
    assert [one["outcome"] for one in await ask(40)] == ["route", "route"]
    live.close()
