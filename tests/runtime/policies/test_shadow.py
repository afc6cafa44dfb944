"""A shadow is told apart from the policy in force, decides nothing and takes bounded room."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from routec.compiler.program import Program, digest, dump
from routec.runtime.config import Config
from routec.runtime.policies import shadow as shadow_module
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.live import LivePolicy
from routec.runtime.policies.shadow import MOST_BYTES, MOST_EVENTS, SLICE, Comparer
from routec.runtime.records import Decided, Record
from routec.runtime.service import Memory, PolicyService, open_service
from tests.runtime.doubles import program

POLICY = """policy live
request {{ tier: enum(free, pro) = free }}
signal urgent = keyword("{word}")
signal order = keyword("order")
model m {{}}
category orders {{ when order, ttl: 1h, scope: tier }}
guard stop {{ when urgent reject 429 "later" }}
default route d {{ to m }}
"""
OLD = program(POLICY.format(word="asap"))
NEW = program(POLICY.format(word="now"))


def open_here(made: Program, hash: str, memory: Memory | None, *, silent: bool) -> PolicyService:
    return open_service(made, Config(), hash=hash, memory=memory, pending=0 if silent else 10)


def asked(n: int, text: str) -> Record:
    event = {"request_id": f"r-{n}", "body": {"messages": [{"role": "user", "content": text}]}}
    return Record("requests", 0, n, 1_000_000, b"k-%d" % n, json.dumps(event).encode())


class Shadowed:
    """A policy in force with a shadow beside it, and what is told of it."""

    def __init__(self) -> None:
        self.told: list[tuple[bytes, dict[str, Any]]] = []
        self.live = LivePolicy(open_service(OLD, Config()))
        self.activation = Activation(OLD, digest(OLD), self.live, open_here)
        self.comparer = Comparer(lambda key, value: self.told.append((key, json.loads(value))))
        self.live.comparer = self.comparer

    async def tried(self, made: Program | None) -> None:
        value = None if made is None else dump(made)
        headers = (("routec.candidate.mode", b"shadow"),)
        await self.activation.apply([Record("p", 0, 0, 0, b"live/candidate", value, headers)])

    async def settled(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.comparer.compared + self.comparer.skipped < count:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@pytest.fixture
async def shadowed(monkeypatch: pytest.MonkeyPatch) -> Any:
    one = Shadowed()
    await one.tried(NEW)
    yield one
    await one.comparer.stop()


async def test_what_it_would_decide_otherwise_is_told_and_nothing_else(shadowed: Shadowed) -> None:
    shadowed.comparer.start()
    records = [asked(0, "hello"), asked(1, "asap"), asked(2, "now"), asked(3, "asap now")]
    outcomes = await shadowed.live.decide(records)
    hashes = {json.loads(o.value)["policy"]["hash"] for o in outcomes if isinstance(o, Decided)}
    assert hashes == {digest(OLD)}
    await shadowed.settled(4)
    told = {one["request_id"]: (key, one) for key, one in shadowed.told}
    assert set(told) == {"r-1", "r-2"}
    key, one = told["r-1"]
    assert key == b"k-1"
    assert (one["in_force"]["outcome"], one["shadow"]["outcome"]) == ("reject", "route")
    assert one["in_force"]["hash"] == digest(OLD)
    assert one["shadow"]["hash"] == digest(NEW)
    assert shadowed.activation.shadowed == (4, 2, 0)


async def test_it_stores_nothing_and_answers_from_the_cache_are_not_compared(
    shadowed: Shadowed,
) -> None:
    shadowed.comparer.start()
    (first,) = await shadowed.live.decide([asked(0, "my order")])
    await shadowed.settled(1)
    shadow = shadowed.live.in_force.shadow
    assert shadow is not None
    assert not shadow.memory.pending
    assert isinstance(first, Decided)
    body = {"choices": [{"message": {"content": "soon"}, "finish_reason": "stop"}]}
    name = json.loads(first.value)["decision_id"]
    response = {"decision_id": name, "model": "m", "body": body, "ok": True}
    shadowed.live.learn([Record("responses", 0, 0, 2000, None, json.dumps(response).encode())])
    (again,) = await shadowed.live.decide([asked(1, "my order")])
    assert isinstance(again, Decided)
    assert json.loads(again.value)["outcome"] == "cached"
    await shadowed.live.decide([asked(2, "hello")])
    await shadowed.settled(2)
    assert shadowed.activation.shadowed == (2, 0, 0)
    assert shadow.memory.cache is not None
    assert shadow.memory.cache.stats().entries == 0


async def test_what_waits_is_bounded_in_events_and_in_bytes(shadowed: Shadowed) -> None:
    # It has not started, so everything waits.
    for start in range(0, MOST_EVENTS + 200, 200):
        await shadowed.live.decide([asked(start + n, "hello") for n in range(200)])
    assert shadowed.comparer.skipped == 200
    large = Shadowed()
    await large.tried(NEW)
    await large.live.decide([asked(n, "x" * 1_000_000) for n in range(12)])
    assert large.comparer.skipped == 12 - MOST_BYTES // 1_001_000


async def test_it_decides_a_slice_at_a_time(
    shadowed: Shadowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow = shadowed.live.in_force.shadow
    assert shadow is not None
    sizes: list[int] = []
    decide = shadow.decide

    async def counting(records: Any) -> Any:
        sizes.append(len(records))
        return await decide(records)

    monkeypatch.setattr(shadow, "decide", counting)
    monkeypatch.setattr(shadow_module, "REST", 0.0)
    await shadowed.live.decide([asked(n, "hello") for n in range(3 * SLICE + 1)])
    shadowed.comparer.start()
    await shadowed.settled(3 * SLICE + 1)
    assert sizes == [SLICE, SLICE, SLICE, 1]


async def test_one_that_fails_is_counted_and_disturbs_nobody(
    shadowed: Shadowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(records: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(shadowed.live.in_force.shadow, "decide", fail)
    shadowed.comparer.start()
    outcomes = await shadowed.live.decide([asked(0, "asap")])
    assert isinstance(outcomes[0], Decided)
    await shadowed.settled(1)
    assert shadowed.activation.shadowed == (0, 0, 1)


async def test_withdrawn_or_in_force_it_is_no_shadow_any_more(shadowed: Shadowed) -> None:
    assert shadowed.activation.candidate is not None
    await shadowed.tried(None)
    assert shadowed.live.in_force.shadow is None
    assert shadowed.activation.candidate is None
    await shadowed.tried(NEW)
    await shadowed.activation.apply([Record("p", 0, 1, 0, b"live", dump(NEW))])
    assert shadowed.live.in_force.shadow is None
    assert shadowed.live.policy_hash == digest(NEW)
