"""A canary decides a share of the requests, the same ones each time, and loses none."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from routec.compiler.program import digest, dump
from routec.runtime.config import Config
from routec.runtime.engine import ServiceError
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.instruction import Refusal, read_instruction
from routec.runtime.policies.live import LivePolicy
from routec.runtime.records import Dead, Decided, Record
from routec.runtime.service import Memory, PolicyService, open_service
from tests.runtime.doubles import program

OLD = program("policy live\nmodel m {}\ndefault route old { to m }")
NEW = program("policy live\nmodel m {}\ndefault route new { to m }")
STRICT = program("policy live\nrequest { tenant: string }\nmodel m {}\ndefault route s { to m }")
COUNT = 4_000


def open_here(made: Any, hash: str, memory: Memory | None, *, silent: bool) -> PolicyService:
    return open_service(made, Config(), hash=hash, memory=memory)


def start() -> tuple[LivePolicy, Activation]:
    live = LivePolicy(open_service(OLD, Config()))
    return live, Activation(OLD, digest(OLD), live, open_here)


def canary(offset: int, made: Any, share: bytes = b"0.25", mode: bytes = b"canary") -> Record:
    headers = (("routec.candidate.mode", mode), ("routec.candidate.share", share))
    value = None if made is None else dump(made)
    return Record("routec.policies", 0, offset, 0, b"live/candidate", value, headers)


def deployed(offset: int, made: Any) -> Record:
    value = None if made is None else dump(made)
    return Record("routec.policies", 0, offset, 0, b"live", value)


def asked(n: int, key: bytes | None = None, id: str | None = None) -> Record:
    event: dict[str, Any] = {"body": {"messages": [{"role": "user", "content": "hello"}]}}
    if id is not None:
        event["request_id"] = id
    return Record("requests", 0, n, 1000, key, json.dumps(event).encode())


async def routes(live: LivePolicy, records: list[Record]) -> list[str]:
    outcomes = await live.decide(records)
    found = []
    for one in outcomes:
        assert isinstance(one, Decided)
        event = json.loads(one.value)
        assert event["policy"]["hash"] in (digest(OLD), digest(NEW), digest(STRICT))
        found.append(event["route"])
    return found


async def test_it_decides_its_share_by_the_key_whatever_the_place() -> None:
    live, activation = start()
    await activation.apply([canary(0, NEW)])
    keyed = [asked(n, b"user-%d" % n) for n in range(COUNT)]
    first = await routes(live, keyed)
    # Five standard deviations of a share of a quarter.
    assert abs(first.count("new") / COUNT - 0.25) < 5 * (0.25 * 0.75 / COUNT) ** 0.5
    again = await routes(live, [asked(COUNT - n, one.key) for n, one in enumerate(keyed)][::-1])
    assert again[::-1] == first
    assert live.tried == 2 * first.count("new")


async def test_without_a_key_the_request_id_tells() -> None:
    live, activation = start()
    await activation.apply([canary(0, NEW)])
    ids = [asked(n, None, f"user-{n}") for n in range(500)]
    keys = [asked(n, b"user-%d" % n) for n in range(500)]
    assert await routes(live, ids) == await routes(live, keys)


async def test_a_larger_share_has_all_of_the_smaller() -> None:
    live, activation = start()
    records = [asked(n, b"user-%d" % n) for n in range(500)]
    chosen = []
    for offset, share in enumerate((b"0.05", b"0.5", b"1")):
        await activation.apply([canary(offset, NEW, share)])
        found = await routes(live, records)
        chosen.append({n for n, route in enumerate(found) if route == "new"})
    assert chosen[0] < chosen[1] < chosen[2] == set(range(500))


async def test_what_it_cannot_decide_the_policy_in_force_does() -> None:
    live, activation = start()
    await activation.apply([canary(0, STRICT, b"1")])
    assert await routes(live, [asked(n, b"k") for n in range(10)]) == ["old"] * 10
    assert (live.tried, live.fallen_back) == (0, 10)
    (dead,) = await live.decide([Record("requests", 0, 0, 0, b"k", b"{")])
    assert isinstance(dead, Dead)


async def test_one_that_fails_inside_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    live, activation = start()
    await activation.apply([canary(0, NEW, b"1")])
    tried = live.in_force.canary
    assert tried is not None

    async def fail(records: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(tried.service, "decide", fail)
    assert await routes(live, [asked(n, b"k") for n in range(10)]) == ["old"] * 10
    assert live.fallen_back == 10


async def test_one_that_hangs_is_not_waited_for_and_then_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = LivePolicy(open_service(OLD, Config()), patience=0.05)
    activation = Activation(OLD, digest(OLD), live, open_here)
    await activation.apply([canary(0, NEW, b"1")])
    tried = live.in_force.canary
    assert tried is not None
    asked_for, real = 0, tried.service.decide

    async def hang(records: Any) -> Any:
        nonlocal asked_for
        asked_for += 1
        await asyncio.Event().wait()

    monkeypatch.setattr(tried.service, "decide", hang)
    async with asyncio.timeout(20):
        for _ in range(2):
            assert await routes(live, [asked(n, b"k") for n in range(10)]) == ["old"] * 10
    assert (live.tried, live.fallen_back, asked_for) == (0, 20, 1)
    # Once it has rested, or another one is tried in its place, it is asked again.
    monkeypatch.setattr(tried.service, "decide", real)
    monkeypatch.setattr("time.monotonic", lambda now=time.monotonic: now() + 0.5)
    assert await routes(live, [asked(0, b"k")]) == ["new"]


async def test_promoted_it_decides_all_and_withdrawn_nothing() -> None:
    live, activation = start()
    await activation.apply([canary(0, NEW)])
    records = [asked(n, b"user-%d" % n) for n in range(200)]
    assert set(await routes(live, records)) == {"old", "new"}
    assert activation.candidate is not None
    assert activation.candidate.share == 0.25
    await activation.apply([canary(1, None)])
    assert set(await routes(live, records)) == {"old"}
    assert activation.candidate is None
    await activation.apply([canary(2, NEW)])
    await activation.apply([deployed(3, NEW), canary(4, None)])
    assert set(await routes(live, records)) == {"new"}
    assert (live.in_force.canary, activation.candidate) == (None, None)


async def test_it_stays_beside_a_new_policy_in_force_and_a_bad_one_changes_nothing() -> None:
    live, activation = start()
    records = [asked(n, b"user-%d" % n) for n in range(200)]
    await activation.apply([canary(0, NEW)])
    before = await routes(live, records)
    other = program("policy live\nmodel m {}\ndefault route other { to m }")
    await activation.apply([deployed(1, other)])
    outcomes = [json.loads(one.value)["route"] for one in await live.decide(records)]  # type: ignore[union-attr]
    assert outcomes == ["new" if one == "new" else "other" for one in before]
    await activation.apply([canary(2, NEW, b"7")])
    assert live.in_force.canary is not None
    assert [one.refusal.code for one in activation.failures] == ["invalid-candidate"]
    # The policy in force becomes the same: then there is nothing to try.
    await activation.apply([deployed(3, NEW)])
    assert live.in_force.canary is None


@pytest.mark.parametrize("share", [b"", b"0", b"-0.1", b"1.01", b"nan", b"inf", b"x", b"\xff"])
def test_a_share_that_is_none_is_refused(share: bytes) -> None:
    found = read_instruction(canary(0, NEW, share), "live")
    assert isinstance(found, Refusal)
    assert found.code == "invalid-candidate"


def test_a_candidate_without_a_known_mode_is_refused() -> None:
    found = read_instruction(canary(0, NEW, mode=b"both"), "live")
    assert isinstance(found, Refusal)


CACHED = """policy live
request {{ tenant: string }}
signal k = keyword("order")
model m {{}}
category orders {{ when k, ttl: {ttl}, scope: tenant }}
default route {name} {{ to m }}
"""


@pytest.mark.parametrize(("ttl", "shared"), [("1h", True), ("2h", False)])
async def test_it_shares_the_cache_on_the_same_terms_only_and_learns_either_way(
    ttl: str, shared: bool
) -> None:
    old = program(CACHED.format(ttl="1h", name="old"))
    new = program(CACHED.format(ttl=ttl, name="new"))
    live = LivePolicy(open_service(old, Config()))
    activation = Activation(old, digest(old), live, open_here)
    await activation.apply([canary(0, new, b"0.5")])

    def question(n: int, user: bytes) -> Record:
        event = {
            "attributes": {"tenant": "acme"},
            "body": {"messages": [{"role": "user", "content": "my order"}]},
        }
        return Record("requests", 0, n, 1_000_000, user, json.dumps(event).encode())

    users = [b"user-%d" % n for n in range(20)]
    decided = await live.decide([question(n, user) for n, user in enumerate(users)])
    events = [json.loads(one.value) for one in decided if isinstance(one, Decided)]
    mine = next(n for n, one in enumerate(events) if one["route"] == "new")
    other = next(n for n, one in enumerate(events) if one["route"] == "old")
    body = {"choices": [{"message": {"content": "soon"}, "finish_reason": "stop"}]}
    response = {"decision_id": events[mine]["decision_id"], "model": "m", "body": body, "ok": True}
    live.learn([Record("responses", 0, 0, 2000, None, json.dumps(response).encode())])
    again = await live.decide([question(50, users[mine]), question(51, users[other])])
    found = [json.loads(one.value)["outcome"] for one in again if isinstance(one, Decided)]
    assert found == ["cached", "cached" if shared else "route"]
    live.close()


async def test_where_the_new_one_cannot_be_opened_the_canary_before_stays() -> None:
    def open_some(made: Any, hash: str, memory: Memory | None, *, silent: bool) -> PolicyService:
        if hash == digest(STRICT):
            raise ServiceError("not-installed", "the model is not installed", "install it")
        return open_service(made, Config(), hash=hash, memory=memory)

    live = LivePolicy(open_service(OLD, Config()))
    activation = Activation(OLD, digest(OLD), live, open_some)
    await activation.apply([canary(0, NEW, b"1")])
    other = program("policy live\nmodel m {}\ndefault route other { to m }")
    await activation.apply([deployed(1, other), canary(2, STRICT, b"1")])
    assert await routes(live, [asked(0, b"k")]) == ["new"]
    assert live.policy_hash == digest(other)
    assert [one.refusal.code for one in activation.failures] == ["not-installed"]
