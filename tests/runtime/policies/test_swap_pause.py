"""A swap takes one step, whatever the policy before had learnt, and loses nothing.

What this prevents: answers of a dropped category that are still served while they are freed, or
that are never freed; decisions that wait for a model to be loaded, or for a large cache to be
dropped.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routec.compiler.program import Program, digest, dump
from routec.runtime.config import Config
from routec.runtime.policies import live as live_module
from routec.runtime.policies.activation import Activation
from routec.runtime.policies.live import InForce, LivePolicy
from routec.runtime.records import Decided, Record
from routec.runtime.service import Memory, PolicyService, open_service
from routec.safety.embed import minilm
from routec.semcache.shelf import Shelf
from tests.runtime.doubles import program

POLICY = """policy live
request {{ tenant: string }}
signal k = keyword("order")
model m {{}}
category orders {{ when k, ttl: {ttl}h, scope: tenant }}
category others {{ when not k, ttl: 1h, scope: tenant }}
route r{n} {{ when k to m }}
default route d {{ to m }}
"""
PLAIN = program("policy live\nmodel m {}\ndefault route d { to m }")
SIMILAR = """policy live
request {{ tenant: string }}
signal s = similarity {{ examples: ["where is my order", "track my parcel"] }}
signal l = language
model m {{}}
category orders {{ when s > 0.1, similarity: 0.8, ttl: {ttl}h, scope: tenant }}
route r {{ when s > 0.6 and l == "en" to m }}
default route d {{ to m }}
"""

PREPARED = """
import sys
from msgspec import _utils
from routec.compiler.program import dump
from routec.runtime.config import Config
from routec.runtime.policies.ahead import prepare_to_follow
from routec.runtime.policies.instruction import Instruction, read_instruction
from routec.runtime.records import Record
from routec.runtime.service import open_service
from tests.runtime.doubles import program

made = []
def watch(frame, event, _):
    if event == "call" and frame.f_code is _utils.get_class_annotations.__code__:
        made.append(frame.f_locals["obj"].__name__)

sys.setprofile(watch)
own, new = map(program, sys.argv[1:])
open_service(own, Config()).close()
prepare_to_follow(own)
assert "Program" in made, made
made.clear()
before = set(sys.modules)
found = read_instruction(Record("c", 0, 0, 0, b"live", dump(new), ()), "live")
assert isinstance(found, Instruction), found
open_service(found.program, Config()).close()
roots = {name.partition(".")[0] for name in set(sys.modules) - before}
assert not roots & {"onnxruntime", "tokenizers"}, roots
assert made == [], made
"""


def version(n: int, ttl: int = 1) -> Program:
    return program(POLICY.format(n=n, ttl=ttl))


def question(offset: int, text: str) -> Record:
    event = {
        "attributes": {"tenant": "acme"},
        "body": {"messages": [{"role": "user", "content": text}]},
    }
    return Record("requests", 0, offset, 1_000_000, None, json.dumps(event).encode())


def answer(decision: str, content: str = "soon") -> Record:
    body = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
    event = {"decision_id": decision, "model": "m", "body": body, "ok": True, "latency_ms": 5}
    return Record("responses", 0, 0, 2000, None, json.dumps(event).encode())


def said(event: dict[str, Any]) -> str:
    """What a cached answer says."""
    content: str = event["cache"]["response"]["choices"][0]["message"]["content"]
    return content


def control(offset: int, made: Program) -> Record:
    return Record("routec.policies", 0, offset, 0, b"live", dump(made), ())


def open_here(made: Program, hash: str, memory: Memory | None, *, silent: bool) -> PolicyService:
    return open_service(made, Config(), hash=hash, memory=memory)


def start(made: Program) -> tuple[LivePolicy, Activation]:
    live = LivePolicy(open_service(made, Config()))
    return live, Activation(made, digest(made), live, open_here)


async def decide(live: LivePolicy, *asked: Record) -> list[dict[str, Any]]:
    live.begin_batch()
    outcomes = await live.decide(asked)
    live.end_batch()
    assert len(outcomes) == len(asked)
    return [json.loads(one.value) for one in outcomes if isinstance(one, Decided)]


async def learn(live: LivePolicy, count: int, word: str = "order") -> None:
    events = await decide(live, *(question(n, f"my {word} {n}") for n in range(count)))
    live.learn([answer(event["decision_id"]) for event in events])


def held(live: LivePolicy) -> tuple[int, int]:
    """Answers in the cache in force, and those dropped from it that are not freed yet."""
    cache = live.in_force.active.memory.cache
    assert cache is not None
    stats = cache.stats()
    return stats.entries, stats.unfreed


async def all_freed(cache: Any) -> None:
    async with asyncio.timeout(10):
        while cache.release(0):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.fixture
def freed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Answers freed by each step, from now on."""
    steps: list[int] = []
    release = Shelf.release

    def note(self: Shelf, limit: int) -> int:
        steps.append(release(self, limit))
        return steps[-1]

    monkeypatch.setattr(Shelf, "release", note)
    return steps


async def test_what_a_swap_drops_is_freed_in_slices_though_nobody_asks(
    monkeypatch: pytest.MonkeyPatch, freed: list[int]
) -> None:
    monkeypatch.setattr(live_module, "SLICE", 10)
    live, _ = start(version(0))
    await learn(live, 95)
    await learn(live, 20, "parcel")
    assert held(live) == (115, 0)
    new = open_service(version(1, ttl=2), Config(), memory=live.in_force.active.memory)
    await live.swap(InForce(new))
    assert freed == []
    assert held(live) == (20, 95)
    cache = new.memory.cache
    await all_freed(cache)
    assert held(live) == (20, 0)
    assert (max(freed), sum(freed)) == (10, 95)
    live.close()


async def test_the_cache_of_a_policy_that_is_replaced_is_freed_in_slices(
    monkeypatch: pytest.MonkeyPatch, freed: list[int]
) -> None:
    monkeypatch.setattr(live_module, "SLICE", 10)
    live, activation = start(version(0))
    await learn(live, 95)
    cache = live.in_force.active.memory.cache
    assert cache is not None
    await activation.apply([control(0, PLAIN)])
    assert live.policy_hash == digest(PLAIN)
    async with asyncio.timeout(10):
        while cache.stats().entries or cache.stats().unfreed:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert (max(freed), sum(freed)) == (10, 95)
    # Back again: nothing of it is found.
    await activation.apply([control(1, version(0))])
    (again,) = await decide(live, question(200, "my order 3"))
    assert again["outcome"] == "route"
    live.close()


async def test_swaps_in_a_row_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SLICE", 3)
    live, activation = start(version(0))
    caches = []
    for n in range(6):
        await learn(live, 40)
        caches.append(live.in_force.active.memory.cache)
        await activation.apply([control(n, PLAIN if n % 3 == 2 else version(n, ttl=2 + n))])
        if n % 3 == 2:
            await activation.apply([control(n, version(n))])
    async with asyncio.timeout(10):
        while any(cache is not None and cache.stats().unfreed for cache in caches):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert held(live)[1] == 0
    live.close()


async def test_a_swap_does_not_wait_for_what_the_policy_before_does_in_the_background(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live, activation = start(version(0))
    begun, ended = threading.Event(), threading.Event()
    where: list[threading.Thread] = []

    def slow(self: PolicyService) -> None:
        where.append(threading.current_thread())
        begun.set()
        ended.wait(10)

    monkeypatch.setattr(PolicyService, "close", slow)
    await activation.apply([control(0, PLAIN)])
    assert await asyncio.to_thread(begun.wait, 10)
    assert threading.main_thread() not in where
    (event,) = await decide(live, question(0, "my order"))
    assert event["policy"]["hash"] == digest(PLAIN)
    ended.set()
    live.close()


async def test_a_worker_that_ends_closes_what_its_swaps_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[PolicyService] = []
    monkeypatch.setattr(PolicyService, "close", lambda self: closed.append(self))
    live, _ = start(version(0))
    old, new = live.in_force.active, open_service(PLAIN, Config())
    await live.swap(InForce(new))
    live.close()
    assert set(closed) == {old, new}


@settings(max_examples=25, deadline=None)
@given(
    swaps=st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=5),
    size=st.integers(1, 12),
    slice=st.sampled_from([1, 7, 1000]),
)
def test_under_load_every_request_is_decided_once_by_the_policy_its_batch_began_with(
    swaps: list[int], size: int, slice: int
) -> None:
    """And an answer is served only by a policy on whose terms it was kept."""
    programs = [version(0, ttl=1), version(1, ttl=1), version(2, ttl=2), PLAIN]

    def terms(live: LivePolicy) -> str:
        return str([category.ttl for category in live.in_force.active.program.categories])

    async def batch(live: LivePolicy, first: int) -> None:
        records = [question(first + n, f"my order {n}") for n in range(size)]
        live.begin_batch()
        try:
            active, kept = live.policy_hash, terms(live)
            await asyncio.sleep(0)
            outcomes = await live.decide(records)
            await asyncio.sleep(0)
            assert live.policy_hash == active
            events = [json.loads(one.value) for one in outcomes if isinstance(one, Decided)]
            names = [f"requests-0-{first + n}" for n in range(size)]
            assert [event["request_id"] for event in events] == names
            assert {event["policy"]["hash"] for event in events} == {active}
            for event in events:
                if event["outcome"] == "cached":
                    assert said(event) == kept
            live.learn([answer(event["decision_id"], kept) for event in events])
        finally:
            live.end_batch()

    async def run() -> None:
        live, activation = start(programs[0])
        done = asyncio.Event()

        async def ask() -> None:
            first = 0
            while not done.is_set():
                await batch(live, first)
                first += size
                await asyncio.sleep(0)

        asking = asyncio.create_task(ask())
        for offset, n in enumerate(swaps):
            await activation.apply([control(offset, programs[n])])
            assert live.policy_hash == digest(programs[n])
            await asyncio.sleep(0.002)
        done.set()
        await asking
        assert activation.refused == 0
        live.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_module, "SLICE", slice)
        asyncio.run(asyncio.wait_for(run(), 20))


async def test_the_policies_of_a_swap_share_embedder_language_model_and_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live, activation = start(program(SIMILAR.format(ttl=1)))
    old = live.in_force.active
    sessions = []
    session = minilm._session
    monkeypatch.setattr(minilm, "_session", lambda *given: sessions.append(1) or session(*given))
    new = program(SIMILAR.format(ttl=2))
    await learn(live, 4)
    embedder = old.memory.embedder
    assert isinstance(embedder, minilm.MiniLM)
    before = embedder.counts
    await activation.apply([control(0, new)])
    memory = live.in_force.active.memory
    assert memory is old.memory
    assert memory.embedder is embedder
    # What was embedded for the policy before is known to the new one, its examples included.
    await decide(live, *(question(10 + n, f"my order {n}") for n in range(4)))
    assert embedder.counts.embedded == before.embedded
    # A policy that shares no cache has an embedder of its own, over the same model.
    shadow = open_service(new, Config(), pending=0)
    assert shadow.memory.embedder is not embedder
    assert sessions == []
    loads = [one._engine.services.load for one in (old, live.in_force.active)]
    assert loads[0] is loads[1] is memory.load
    live.close()
    shadow.close()


def test_nothing_is_made_or_imported_for_the_first_policy_that_comes() -> None:
    """In a process of its own, as what is made once stays."""
    own, new = "policy live\nmodel m {}\ndefault route d { to m }", SIMILAR.format(ttl=1)
    subprocess.run([sys.executable, "-c", PREPARED, own, new], check=True)


async def test_programs_are_opened_off_the_loop() -> None:
    threads: list[threading.Thread] = []

    def opening(made: Program, hash: str, memory: Memory | None, *, silent: bool) -> PolicyService:
        threads.append(threading.current_thread())
        return open_here(made, hash, memory, silent=silent)

    live = LivePolicy(open_service(version(0), Config()))
    activation = Activation(version(0), digest(version(0)), live, opening)
    await activation.apply([control(0, version(1))])
    assert threads
    assert threading.main_thread() not in threads
    live.close()
