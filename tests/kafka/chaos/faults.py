"""What can be done to workers, one function a kind; all are bounded and repair what they broke."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from routec.runtime.policies.registry import deploy
from routec.runtime.stream import StreamError
from routec.runtime.stream.clients import transactional_id
from tests.kafka.chaos.board import CLASSIFIER_MOODS, DECIDER_MOODS, JUMP, KILL, STOP
from tests.kafka.chaos.fight import UNDER_WAY, Fight, Member
from tests.kafka.chaos.final import look_at_rest
from tests.kafka.chaos.policy import compile_policy
from tests.kafka.chaos.progress import Spell, bound_of
from tests.kafka.chaos.scenario import Fault
from tests.kafka.chaos.victim import fill_disk

_PATIENCE = 8.0
"""Seconds that a point may take to be met."""
_DECIDES = 20.0
"""Seconds that a worker whose disk is full may take to decide, whatever befalls other workers."""
_IN_FLIGHT = 1.0
"""Seconds after which a decision that is seen cannot have been made before."""


async def strike(fight: Fight, fault: Fault) -> None:
    """Do it."""
    spell = Spell(
        f"{fault.kind} {fault.detail}".strip(), bound_of(fault, fight.scenario), time.monotonic()
    )
    fight.spells.append(spell)
    UNDER_WAY.set(spell)
    try:
        await _KINDS[fault.kind](fight, fault)
    finally:
        spell.end = time.monotonic()


async def _someone(fight: Fight, fault: Fault, *, to_arm: bool = False) -> Member | None:
    """A worker that has partitions, and is to be armed by nobody else."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        ready = [one for one in fight.alive if one.board.held() and not (to_arm and one.armed)]
        if ready:
            one = ready[fault.whom % len(ready)]
            one.armed |= to_arm
            return one
        await asyncio.sleep(0.02)
    fight.missed.append(f"{fault.kind} {fault.detail}".strip())
    return None


async def _until_fired(fight: Fight, member: Member, what: str) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while not member.board.fired:
        if time.monotonic() > deadline or (member.child.ended.done() and not member.board.fired):
            member.board.action = 0
            if not member.board.fired:
                fight.missed.append(what)
                member.armed = False
                return False
        await asyncio.sleep(0.005)
    member.armed = False
    return True


async def _kill_at(fight: Fight, fault: Fault) -> None:
    what = f"kill-at {fault.detail}"
    arm = (KILL, fault.detail, fault.number)
    joiner = None
    if fault.detail in ("opening", "opened"):
        member = await fight.spawn(arm=arm)
        member.armed = True
    else:
        found = await _someone(fight, fault, to_arm=True)
        if found is None:
            return
        member = found
        member.board.arm(*arm)
        if fault.detail == "revoking":
            joiner = await fight.spawn()
    if await _until_fired(fight, member, what):
        member.hurt = True
        # One that was still opening its lanes has taken them from those who wrote before.
        fight.note(what, member, at=member.board.fired_at, ends=True)
    elif fault.detail in ("opening", "opened"):
        await fight.dismiss([member])
    if joiner is not None:
        await asyncio.sleep(1.0)
        await fight.dismiss([joiner])


async def _kill(fight: Fight, fault: Fault) -> None:
    member = await _someone(fight, fault)
    if member is not None:
        # What it was at when it was killed is on its board then.
        member.signal(signal.SIGKILL)
        at = time.monotonic()
        await member.child.ended
        fight.note("kill", member, at=at, ends=True)


async def _kill_all(fight: Fight, fault: Fault) -> None:
    if await _someone(fight, fault) is None:
        return
    await fight.hold_back()
    try:
        hit = [one for one in fight.members if not one.child.ended.done()]
        for one in hit:
            one.signal(signal.SIGKILL)
        at = time.monotonic()
        for one in hit:
            await one.child.ended
        fight.note("kill-all", *hit, at=at)
        await look_at_rest(fight)
    finally:
        fight.go_on()


async def _stop(fight: Fight, fault: Fault) -> None:
    member = await _someone(fight, fault, to_arm=bool(fault.detail))
    if member is None:
        return
    past = {-1.0: "session", -2.0: "transaction"}.get(fault.seconds, "nothing")
    place = f" at {fault.detail}" if fault.detail else ""
    what = f"stop past {past}{place}"
    if fault.detail:
        member.board.arm(STOP, fault.detail, fault.number)
        if not await _until_fired(fight, member, what):
            return
        member.stopped = True
        at = member.board.fired_at
    else:
        member.signal(signal.SIGSTOP)
        at = time.monotonic()
        await asyncio.sleep(0.01)
    fired = fight.note(what, member, at=at, ends=past != "nothing")
    # To a worker that wakes, its decider has taken all that time.
    fight.may_end.add("decider-stuck")
    scenario = fight.scenario
    longest = max(scenario.session, scenario.transaction) + 2.0
    seconds = {"session": scenario.session + 1.0, "transaction": longest}.get(past, fault.seconds)
    # Somebody has to be there to take its partitions.
    other = await fight.spawn() if past != "nothing" and not fight.alive else None
    await asyncio.sleep(seconds)
    member.signal(signal.SIGCONT)
    fired.woken = time.monotonic()
    if other is not None:
        await asyncio.sleep(1.0)
        await fight.dismiss([other])


async def _terminate(fight: Fight, fault: Fault) -> None:
    member = await _someone(fight, fault)
    if member is not None:
        fight.note("terminate", member)
        await fight.dismiss([member])


async def _storm(fight: Fight, fault: Fault) -> None:
    rng = random.Random(f"storm {fight.scenario.seed} {fault.at}")
    guests: list[Member] = []
    for _ in range(fault.number):
        fight.note("storm join")
        guests.append(await fight.spawn())
        await asyncio.sleep(fault.seconds)
        if rng.random() < 0.5:
            gone = guests.pop(rng.randrange(len(guests)))
            if rng.random() < 0.5:
                fight.note("storm kill", gone)
                gone.signal(signal.SIGKILL)
            else:
                fight.note("storm leave", gone)
                gone.signal(signal.SIGTERM)
        await asyncio.sleep(fault.seconds)
    await fight.dismiss([one for one in fight.members if one.hurt and not one.child.ended.done()])
    await fight.dismiss(guests)


async def _steal(fight: Fight, fault: Fault) -> None:
    if await _someone(fight, fault) is None:
        return
    config = fight.config
    partition = TopicPartition(config.topics.requests, fault.whom % fight.scenario.partitions)
    for _ in range(fault.number):
        thief = AIOKafkaProducer(
            bootstrap_servers=config.kafka.bootstrap,
            transactional_id=transactional_id(config, partition),
            transaction_timeout_ms=5000,
        )
        try:
            async with asyncio.timeout(8.0):
                await thief.start()
                owners = [one for one in fight.alive if partition.partition in one.board.held()]
                fight.note("steal", *owners[:1])
                spell = UNDER_WAY.get()
                assert spell is not None
                spell.hit = {partition.partition}
                await thief.begin_transaction()
                # It is never committed, so nobody may see it.
                await thief.send_and_wait(
                    config.topics.decisions, b'{"stolen": true}', partition=partition.partition
                )
        except (KafkaError, TimeoutError):
            pass  # it was shut out before
        finally:
            await _end_thief(thief)
        await asyncio.sleep(0.5)


async def _end_thief(thief: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(3.0):
            await thief.stop()
    except (KafkaError, TimeoutError):
        await thief.client.close()


async def _decider(fight: Fight, fault: Fault) -> None:
    member = await _someone(fight, fault)
    if member is None:
        return
    what = f"decider {fault.detail}"
    if fault.detail == "hanging":
        # Deciding that takes too long ends the worker, which says so.
        fight.may_end.add("decider-stuck")
    board = member.board
    board.slow, board.decider = fault.seconds, DECIDER_MOODS.index(fault.detail)
    board.decider_left = fault.number
    await _until_used(fight, member, what, "decider_left", fault.number)
    if fault.detail == "hanging" and await fight.until_ended(member, 12.0):
        member.hurt = True
    board.decider_left = 0


async def _classifier(fight: Fight, fault: Fault) -> None:
    member = await _someone(fight, fault)
    if member is None:
        return
    board = member.board
    board.slow, board.classifier = fault.seconds, CLASSIFIER_MOODS.index(fault.detail)
    board.classifier_left = fault.number
    await _until_used(fight, member, f"classifier {fault.detail}", "classifier_left", fault.number)


async def _until_used(fight: Fight, member: Member, what: str, left: str, number: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while getattr(member.board, left) == number:
        if time.monotonic() > deadline or not member.alive:
            fight.missed.append(what)
            return
        await asyncio.sleep(0.01)
    fight.note(what, member)
    while getattr(member.board, left) and member.alive and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _worker_clock(fight: Fight, fault: Fault) -> None:
    member = await _someone(fight, fault, to_arm=bool(fault.detail))
    if member is None:
        return
    what = f"worker-clock {'ahead' if fault.number > 0 else 'back'}"
    if fault.detail:
        what += " at a point"
        member.board.jump = float(fault.number)
        member.board.arm(JUMP, fault.detail, int(fault.seconds))
        if not await _until_fired(fight, member, what):
            return
        fight.note(what, member, at=member.board.fired_at)
    else:
        fight.note(what, member)
        member.board.clock = float(fault.number)
    await asyncio.sleep(1.5)
    member.board.clock = 0.0


async def _full_disk(fight: Fight, fault: Fault) -> None:
    """From now on, or from its start on, a worker can write no file: it has to decide all the
    same, to its end."""
    what, starting = f"full-disk {fault.detail}", fault.detail == "starting"
    member = await fight.spawn(full_disk=True) if starting else await _someone(fight, fault)
    if member is None:
        return
    since = time.monotonic()
    if not starting:
        try:
            fill_disk(member.child.pid)
        except ProcessLookupError:
            fight.missed.append(what)
            return
        since += _IN_FLIGHT
    # It has come to pass when the worker has decided since.
    while not fight.tail.has_decided(member.name, since):
        if not member.alive or (fight.crowded and not member.board.held()):
            # Something else has ended it, or there is nothing for it to decide.
            fight.missed.append(what)
            break
        if time.monotonic() > max(since, fight.with_broker_since) + _DECIDES:
            held = member.board.held()
            fight.problems.add("no-progress", f"{what}: {member.name} decides nothing of {held}")
            break
        await asyncio.sleep(0.02)
    else:
        fight.note(what, member)
    if starting:
        await fight.dismiss([member])


async def _event_clock(fight: Fight, fault: Fault) -> None:
    fight.note("event-clock", *fight.alive)
    fight.loader.clock = float(fault.number)
    await asyncio.sleep(1.0)
    fight.loader.clock = 0.0


async def _swap(fight: Fight, fault: Fault) -> None:
    async with fight.deploying:
        for at in range(fault.number):
            if at:
                await asyncio.sleep(fault.seconds)
            version = len(fight.versions)
            fight.note("policy swap", *fight.alive)
            # Before it is written: a broker that dies may have it though nobody says so.
            fight.versions.append(version)
            try:
                await deploy(fight.config, compile_policy(fight.scenario.policy, version))
                fight.deployed.add(version)
            except StreamError as error:
                if not fight.scenario.weather:
                    fight.problems.add("not-deployed", f"{error.code}: {error.message}")


_KINDS: dict[str, Callable[[Fight, Fault], Awaitable[None]]] = {
    "kill-at": _kill_at,
    "kill": _kill,
    "kill-all": _kill_all,
    "stop-at": _stop,
    "stop": _stop,
    "terminate": _terminate,
    "storm": _storm,
    "steal": _steal,
    "swap": _swap,
    "decider": _decider,
    "classifier": _classifier,
    "worker-clock": _worker_clock,
    "event-clock": _event_clock,
    "full-disk": _full_disk,
}
