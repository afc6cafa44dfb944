"""One seed from its topics to its verdict."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from routec.runtime.policies.registry import try_candidate
from routec.runtime.stream import create_topics
from tests.kafka.chaos.board import IDLE
from tests.kafka.chaos.faults import strike
from tests.kafka.chaos.fight import Fight
from tests.kafka.chaos.final import check_all, until_done
from tests.kafka.chaos.nursery import Nursery
from tests.kafka.chaos.policy import CANARY, SHADOW, compile_policy
from tests.kafka.chaos.progress import Spell
from tests.kafka.chaos.scenario import SHARE, Scenario

_LONGEST = 150.0
"""Seconds that a seed may take."""
_RECOVERY = 20.0
_COMPLAINTS = ("was never retrieved", "Task was destroyed", "was never awaited")

Result = dict[str, Any]
Sky = Callable[[Fight], Awaitable[None]]
"""Is asked by a seed that is at work; returns when its weather is over."""


async def run_seed(
    scenario: Scenario, bootstrap: str, nursery: Nursery, folder: Path, sky: Sky | None = None
) -> Result:
    """Run a seed.

    Args:
        scenario: what happens.
        bootstrap: the broker.
        nursery: starts the workers.
        folder: for the files of the workers; kept only where something is wrong.
        sky: the weather, where there is some.

    Returns:
        JSON data: ``problems`` by kind (none, if all is well), ``fired``, ``records`` and more.
    """
    begun = time.monotonic()
    label = f"chaos-{scenario.seed}-{uuid.uuid4().hex[:6]}"
    fight = Fight(scenario, bootstrap, nursery, folder / label, label)
    records: dict[str, int] = {}
    try:
        async with asyncio.timeout(_LONGEST):
            records = await _run(fight, sky)
    except TimeoutError:
        fight.problems.add("hangs", f"not over after {_LONGEST:g} s: {traceback.format_exc()}")
    except Exception:
        fight.problems.add("harness", traceback.format_exc())
    finally:
        await fight.clean_up()
    _listen(fight)
    try:
        await _delete_topics(fight)
    except Exception:
        fight.problems.add("harness", traceback.format_exc())
    if not fight.problems.counts:
        shutil.rmtree(fight.folder, ignore_errors=True)
    return {
        "seed": scenario.seed,
        "seconds": round(time.monotonic() - begun, 2),
        "problems": dict(fight.problems.counts),
        "said": fight.problems.said,
        "fired": [dataclasses.asdict(one) for one in fight.fired],
        "missed": fight.missed,
        "spells": [_spell(one) for one in fight.spells if one.fired],
        "records": records,
        "unsure": fight.loader.unsure,
        "workers": len(fight.members),
        "scenario": dataclasses.asdict(scenario),
    }


async def _run(fight: Fight, sky: Sky | None) -> dict[str, int]:
    scenario = fight.scenario
    await create_topics(fight.config, partitions=scenario.partitions)
    await _try_candidate(fight)
    await fight.loader.start()
    await fight.responder.start()
    await fight.tail.start()
    loading = asyncio.create_task(fight.loader.run())
    try:
        fight.keep()
        await _at_work(fight)
        at_work = time.monotonic()
        async with asyncio.TaskGroup() as group:
            if sky is not None:
                group.create_task(_coroutine(sky, fight))
            begun = time.monotonic()
            for fault in scenario.faults:
                await asyncio.sleep(max(0.0, begun + fault.at - time.monotonic()))
                group.create_task(strike(fight, fault))
        deadline = time.monotonic() + _RECOVERY
        # Until whoever was hurt is followed; the load goes on for that long.
        while not fight.time_recoveries() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        if not fight.time_recoveries():
            fight.problems.add("no-progress", f"partitions stood still for {_RECOVERY:g} s")
        await _newest_decides(fight, deadline)
        await _all_decide(fight, deadline)
        await asyncio.sleep(0.3)
    finally:
        fight.loader.end()
        await loading
    fight.watch_progress(at_work)
    await until_done(fight)
    await fight.end()
    fight.settle_alone()
    records = await check_all(fight)
    if not records["decisions"]:
        fight.problems.add("harness", "nothing was decided, so nothing was tested")
    if scenario.policy != "classifier" and not records["compiled"]:
        fight.problems.add("harness", "the compiled path decided nothing, so it was not tested")
    return records


async def _try_candidate(fight: Fight) -> None:
    """Have a candidate be tried from the start."""
    scenario = fight.scenario
    if scenario.candidate == "none":
        return
    canary = scenario.candidate == "canary"
    program = compile_policy(scenario.policy, CANARY if canary else SHADOW)
    await try_candidate(fight.config, program, SHARE if canary else None)


async def _all_decide(fight: Fight, deadline: float) -> None:
    """Wait until each partition had a decision after all was over; the load goes on for that."""
    over = time.monotonic()
    while not fight.tail.all_since(over):
        if time.monotonic() > deadline:
            fight.problems.add("no-progress", f"not every partition decides within {_RECOVERY:g} s")
            return
        await asyncio.sleep(0.05)


def _spell(spell: Spell) -> dict[str, Any]:
    return {
        "kind": spell.kind,
        "hit": sorted(spell.hit),
        "seconds": round(spell.end - spell.begin, 2),
        "longest_hit": spell.longest_hit,
        "longest_others": spell.longest_others,
        "may_hit": spell.allowed(hit=True),
        "may_others": spell.allowed(hit=False),
    }


async def _coroutine(sky: Sky, fight: Fight) -> None:
    await sky(fight)


async def _at_work(fight: Fight) -> None:
    """Wait until every partition is some worker's, and its lane is open."""
    async with asyncio.timeout(30.0):
        while True:
            held = [at for one in fight.alive for at in one.board.held()]
            idle = all(
                one.board.lanes[at] >= IDLE for one in fight.alive for at in one.board.held()
            )
            started = len(fight.alive) == fight.scenario.workers
            if started and idle and sorted(held) == list(range(fight.scenario.partitions)):
                return
            await asyncio.sleep(0.02)


async def _newest_decides(fight: Fight, deadline: float) -> None:
    """Wait until the policy that was deployed last has decided something."""
    version = fight.versions[-1]
    if version not in fight.deployed:
        return
    newest = fight.hashes[-1]
    while newest not in fight.tail.policies:
        if time.monotonic() > deadline:
            fight.problems.add("policy-ignored", f"version {version} decides nothing")
            return
        await asyncio.sleep(0.1)


def _listen(fight: Fight) -> None:
    """Look for what asyncio says of tasks that nobody looks after."""
    for log in sorted(fight.folder.glob("*.log")):
        text = log.read_text(errors="replace")
        for what in _COMPLAINTS:
            if what in text:
                at = text.index(what)
                said = text[max(0, at - 300) : at + 600]
                fight.problems.add("complaint", f"{log.name}: {said}")


async def _delete_topics(fight: Fight) -> None:
    topics = fight.config.topics
    admin = AIOKafkaAdminClient(bootstrap_servers=fight.config.kafka.bootstrap)
    await admin.start()
    try:
        names = [getattr(topics, field) for field in topics.__struct_fields__]
        await admin.delete_topics([name for name in names if name])
    finally:
        await admin.close()
