"""A seed at work: its workers, kept alive, and what was done to them."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from routec.runtime.config import Classifier, Config, Kafka, Observability, Runtime, Topics
from tests.kafka.chaos.board import Board, open_board
from tests.kafka.chaos.checker import Problems
from tests.kafka.chaos.events import MAX_EVENT_BYTES
from tests.kafka.chaos.nursery import Child, Nursery
from tests.kafka.chaos.policy import hash_of
from tests.kafka.chaos.progress import DECIDE_TIMEOUT, Spell, check_progress
from tests.kafka.chaos.responder import Responder
from tests.kafka.chaos.scenario import Scenario
from tests.kafka.chaos.victim import FULL_DISK
from tests.kafka.chaos.watch import Loader, Tail

UNDER_WAY: ContextVar[Spell | None] = ContextVar("UNDER_WAY", default=None)
"""The fault that this task is at."""


@dataclass(slots=True, eq=False)
class Member:
    """A worker.

    Attributes:
        name: no two of a seed have the same.
        child: its process.
        board: what it shares with us.
        hurt: whether it was told to end, in whatever way.
        stopped: whether it is stopped now, and is to be woken.
        armed: whether it is to hurt itself at a point.
    """

    name: str
    child: Child
    board: Board
    hurt: bool = False
    stopped: bool = False
    armed: bool = False

    @property
    def alive(self) -> bool:
        """Whether it is there, and not about to go."""
        return not (self.child.ended.done() or self.hurt or self.stopped)

    def signal(self, which: signal.Signals) -> None:
        """Send it a signal."""
        if which in (signal.SIGKILL, signal.SIGTERM):
            self.hurt = True
        if which in (signal.SIGSTOP, signal.SIGCONT):
            self.stopped = which == signal.SIGSTOP
        self.child.signal(which)


@dataclass(slots=True)
class Fired:
    """A fault that came to pass.

    Attributes:
        kind: which, with its detail.
        at: when, on the monotonic clock.
        worker: whom it hit; empty where it was several.
        held: partitions that it had.
        open: transactions open in the clients that were hit, `with_records` those of which the
            broker had answered for records.
        ends: whether the worker's partitions have to pass to another.
        woken: when a stopped worker was woken; it may then have its partitions again.
        within: seconds until the first decision of another in those partitions.
        within_all: seconds until the last of them had one.
        alone: whether nothing else happened meanwhile.
    """

    kind: str
    at: float
    worker: str = ""
    held: tuple[int, ...] = ()
    open: int = 0
    with_records: int = 0
    ends: bool = False
    woken: float | None = None
    within: float | None = None
    within_all: float | None = None
    alone: bool = False


class Fight:
    """Everything of one seed while it runs."""

    def __init__(
        self, scenario: Scenario, bootstrap: str, nursery: Nursery, folder: Path, label: str
    ) -> None:
        self.scenario = scenario
        self.config = _config(scenario, bootstrap, label)
        self.folder = folder
        self.problems = Problems()
        self.members: list[Member] = []
        self.fired: list[Fired] = []
        self.missed: list[str] = []
        self.changes: list[float] = []
        self.loader = Loader(scenario, self.config)
        self.responder = Responder(scenario, self.config)
        self.tail = Tail(self.config, scenario.partitions, self.responder.take)
        self.spells: list[Spell] = []
        self.may_end: set[str] = set()
        self.versions = [0]
        self.deployed: set[int] = set()
        self.deploying = asyncio.Lock()
        self._nursery = nursery
        self._born = 0
        self._keepers: list[asyncio.Task[None]] = []
        self._held_back = asyncio.Event()
        self._held_back.set()
        self._bearing = asyncio.Lock()
        self._looked: list[Member] = []
        self._ending = False
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "routec.toml").write_text(_toml(self.config))
        told = {"pause": scenario.pause, "policy": scenario.policy}
        (folder / "scenario.json").write_bytes(msgspec.json.encode(told))

    @property
    def alive(self) -> list[Member]:
        """The workers that are there, and not about to go."""
        return [one for one in self.members if one.alive]

    @property
    def crowded(self) -> bool:
        """Whether there are more workers than partitions, so that some have none."""
        there = [one for one in self.members if not one.child.ended.done()]
        return len(there) > self.scenario.partitions

    @property
    def with_broker_since(self) -> float:
        """When the broker was there again, on the monotonic clock; 0 if it was never away."""
        ends = [one.end for one in self.spells if one.kind.startswith("broker-")]
        return min(max(ends, default=0.0), time.monotonic())

    async def spawn(
        self,
        slot: str = "",
        arm: tuple[int, str, int] | None = None,
        *,
        full_disk: bool = False,
    ) -> Member:
        """Start a worker.

        Args:
            slot: its stable name in the group, where the seed has such.
            arm: what it does to itself, at which point, at which time.
            full_disk: whether it can write no file from its start on.
        """
        await self._held_back.wait()
        name = f"w{self._born}"
        self._born += 1
        board = open_board(self.folder / f"{name}.board")
        if arm is not None:
            board.arm(*arm)
        environment = {}
        if self.scenario.static and slot:
            environment["ROUTEC_KAFKA__INSTANCE_ID"] = slot
        if full_disk:
            environment[FULL_DISK] = "1"
        async with self._bearing:
            child = await self._nursery.spawn(self.folder, name, environment)
            member = Member(name, child, board)
            self.members.append(member)
        self.changes.append(time.monotonic())
        return member

    def keep(self) -> None:
        """Keep as many workers alive as the seed has."""
        self._keepers = [
            asyncio.create_task(self._keep(f"slot-{at}")) for at in range(self.scenario.workers)
        ]

    async def _keep(self, slot: str) -> None:
        while not self._ending:
            member = await self.spawn(slot)
            await asyncio.shield(member.child.ended)
            self._look(member)
            await asyncio.sleep(self.scenario.restart)

    async def hold_back(self) -> None:
        """Start no more workers; whoever was about to be started is a member then."""
        self._held_back.clear()
        async with self._bearing:
            return

    def go_on(self) -> None:
        """Start workers again."""
        self._held_back.set()

    def note(self, kind: str, *hit: Member, at: float | None = None, ends: bool = False) -> Fired:
        """A fault came to pass."""
        fired = Fired(
            kind,
            time.monotonic() if at is None else at,
            hit[0].name if len(hit) == 1 else "",
            tuple(hit[0].board.held()) if len(hit) == 1 else (),
            sum(one.board.open() for one in hit),
            sum(one.board.with_records() for one in hit),
            ends and len(hit) == 1,
        )
        self.fired.append(fired)
        spell = UNDER_WAY.get()
        if spell is not None:
            spell.fired = True
            spell.kind = "storm" if kind.startswith("storm") else kind
            spell.begin = min(spell.begin, fired.at)
            spell.hit.update(at for one in hit for at in one.board.held())
        return fired

    async def until_ended(self, member: Member, seconds: float) -> bool:
        """Wait until a worker has ended; whether it did."""
        done, _ = await asyncio.wait([member.child.ended], timeout=seconds)
        return bool(done)

    async def dismiss(self, members: list[Member]) -> None:
        """Have workers end in order, and look at how they did."""
        for one in members:
            if one.stopped:
                one.signal(signal.SIGCONT)
            # A second signal would have it leave at once.
            if not one.hurt:
                one.signal(signal.SIGTERM)
        for one in members:
            if not await self.until_ended(one, self.config.runtime.drain_timeout + 8.0):
                self.problems.add("hangs", f"{one.name} does not end after SIGTERM")
                one.signal(signal.SIGKILL)
                await one.child.ended
            self._look(one)

    async def end(self) -> None:
        """Have all workers end in order."""
        self._ending = True
        await self.hold_back()
        for keeper in self._keepers:
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        await self.dismiss([one for one in self.members if not one.child.ended.done()])
        for one in self.members:
            self._look(one)

    async def clean_up(self) -> None:
        """Kill what still runs, whatever happened."""
        self._ending = True
        await self.hold_back()
        for keeper in self._keepers:
            keeper.cancel()
        for one in self.members:
            if not one.child.ended.done():
                one.child.signal(signal.SIGKILL)
                await one.child.ended
        await self.tail.stop()
        await self.responder.stop()
        await self.loader.stop()

    def _look(self, member: Member) -> None:
        """Whether a worker ended as it may; looked at once."""
        if member in self._looked:
            return
        self._looked.append(member)
        status = member.child.ended.result()
        ended = self._ended(member)
        for what in ("committed", "dead"):
            if ended.get(f"shown_{what}", 0) != ended.get(what, 0):
                self.problems.add("wrong-metrics", f"{member.name} ({what}): {ended}")
        if status in (0, -signal.SIGKILL):
            if status == 0 and not member.hurt:
                self.problems.add("gave-up", f"{member.name} ended by itself")
            return
        if status == -signal.SIGTERM and member.hurt and not member.board.held():
            return  # it was told to end before it had begun to listen
        code = str(ended.get("code", ""))
        if code not in self.may_end:
            log = (self.folder / f"{member.name}.log").read_text(errors="replace")
            what = f"{member.name} ended with status {status} {code}: {log[-600:]}"
            self.problems.add("gave-up", what)

    def _ended(self, member: Member) -> dict[str, Any]:
        file = self.folder / f"{member.name}.ended"
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return found

    @property
    def hashes(self) -> list[str]:
        """Of the policies, in the order in which they were put in force."""
        return [hash_of(self.scenario.policy, version) for version in self.versions]

    def watch_progress(self, begin: float) -> None:
        """Look for partitions that stood still, from when all were at work until the load ended."""
        loader, partitions = self.loader, self.scenario.partitions
        seen = self.tail.seen
        check_progress(
            self.spells, seen, partitions, begin, loader.until, loader.slow, self.problems
        )

    def time_recoveries(self) -> bool:
        """Time what has not been timed; whether all recoveries are over."""
        open_ones = False
        for fired in self.fired:
            if not fired.ends or not fired.held or fired.within_all is not None:
                continue
            times = [
                self.tail.first_by_another(at, fired.worker, fired.at, fired.woken)
                for at in fired.held
            ]
            found = [at for at in times if at is not None]
            if found:
                fired.within = min(found) - fired.at
            if len(found) == len(times):
                fired.within_all = max(found) - fired.at
            else:
                open_ones = True
        return not open_ones

    def settle_alone(self) -> None:
        """Tell which faults had their recovery to themselves."""
        limit = self.config.kafka.session_timeout + 2.0
        for fired in self.fired:
            if not fired.ends or fired.within is None:
                continue
            begin, end = fired.at - limit, fired.at + max(limit, fired.within)
            others = [one.at for one in self.fired if one is not fired and begin < one.at < end]
            # The one that follows it is no change of its own.
            joined = [at for at in self.changes if fired.at < at < end]
            fired.alone = not others and len(joined) <= 1
            if fired.alone and fired.within > limit:
                what = f"{fired.kind}: {fired.within:.1f} s, session {limit - 2.0:g} s"
                self.problems.add("slow-recovery", what)


_SECTIONS = ("kafka", "topics", "runtime", "observability")


def _config(scenario: Scenario, bootstrap: str, label: str) -> Config:
    names = ("requests", "decisions", "dlq", "policies", *scenario.extras)
    topics: dict[str, str] = dict.fromkeys(Topics.__struct_fields__, "")
    topics |= {name: f"{label}.{name}" for name in names}
    return Config(
        kafka=Kafka(
            bootstrap=bootstrap,
            group=label,
            session_timeout=scenario.session,
            heartbeat_interval=0.3,
            rebalance_timeout=5.0,
            request_timeout=8.0,
            transaction_timeout=scenario.transaction,
            fetch_max_wait=0.05,
        ),
        topics=Topics(**topics),
        runtime=Runtime(
            batch_size=scenario.batch,
            max_event_bytes=MAX_EVENT_BYTES,
            max_in_flight_events=scenario.in_flight,
            decide_timeout=DECIDE_TIMEOUT,
            drain_timeout=10.0,
        ),
        classifiers={"feeling": Classifier("exemplars", Path("feeling.jsonl"))},
        observability=Observability(port=0, log_level="warning", log_format="console"),
    )


def _toml(config: Config) -> str:
    lines = []
    sections = {name: getattr(config, name) for name in _SECTIONS}
    sections |= {f"classifiers.{name}": one for name, one in config.classifiers.items()}
    for section, struct in sections.items():
        lines.append(f"[{section}]")
        for key in struct.__struct_fields__:
            value = getattr(struct, key)
            value = str(value) if isinstance(value, Path) else value
            if isinstance(value, str | bool | int | float):
                lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"
