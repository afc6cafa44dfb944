"""The worker under fire: what `routec run` runs, hurt from within at named points."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition
from prometheus_client import generate_latest

from routec.cli.errors import CommandError
from routec.cli.worker import run_worker
from routec.runtime import deployment
from routec.runtime.config import Config, load_config
from routec.runtime.native import NativePath
from routec.runtime.native.path import Answer
from routec.runtime.observe import Metrics
from routec.runtime.records import Decided, Decider, Outcome, Record
from routec.runtime.stream import Observed, Point, Worker
from routec.runtime.stream.worker import Control
from tests.kafka.chaos import clocks
from tests.kafka.chaos.board import (
    AWAY,
    DECIDER_MOODS,
    JUMP,
    KILL,
    LANE_AT,
    POINTS,
    Board,
    open_board,
)
from tests.kafka.chaos.policy import bind_classifier, compile_policy

BY = "chaos-by"
"""Header of a decision that names the worker that made it."""
FULL_DISK = "CHAOS_FULL_DISK"
"""Variable of a worker that finds every disk full when it starts."""


class Moody:
    """What decides; as a whole it may be slow, hang, fail, or miscount."""

    def __init__(self, inner: Decider, board: Board, name: str, pause: float) -> None:
        self._inner, self._board = inner, board
        self._by = (BY, name.encode())
        self._pause = pause

    @property
    def policy_hash(self) -> str:
        return self._inner.policy_hash

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        if self._pause:
            await asyncio.sleep(self._pause)
        mood = self._mood(len(records))
        if mood == "slow":
            await asyncio.sleep(self._board.slow)
        elif mood == "hanging":
            await asyncio.sleep(600)
        elif mood == "raising":
            raise MemoryError("made up")
        outcomes = [self._signed(one) for one in await self._inner.decide(records)]
        if mood == "wrong-sized":
            return outcomes[1:] if len(outcomes) % 2 else [*outcomes, outcomes[0]]
        return outcomes

    def learn(self, responses: Sequence[Record]) -> None:
        self._inner.learn(responses)

    def _signed(self, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Decided):
            return outcome
        return Decided(outcome.value, (*outcome.headers, self._by))

    def _mood(self, size: int) -> str:
        board = self._board
        mood = DECIDER_MOODS[board.decider]
        # An event that is asked alone is decided, so that none may end as a dead letter.
        if not board.decider_left or (mood in ("raising", "wrong-sized") and size < 2):
            return "fine"
        board.decider_left -= 1
        return mood


class Fire:
    """Notes what every lane is at; ends or stops the process, or has its clock jump, when told."""

    def __init__(self, board: Board) -> None:
        self._board = board

    async def reach(self, point: Point, partition: TopicPartition | None) -> None:
        board = self._board
        if partition is not None and point in LANE_AT:
            board.lanes[partition.partition] = LANE_AT[point]
        if board.action and POINTS[board.point] == point:
            board.countdown -= 1
            if board.countdown == 0:
                action, board.action = board.action, 0
                board.fired_at = time.monotonic()
                board.fired = 1
                if action == JUMP:
                    board.clock = board.jump
                    return
                os.kill(os.getpid(), signal.SIGKILL if action == KILL else signal.SIGSTOP)


class Watching:
    """Notes the partitions that were given up, and hands on all that is told.

    Attributes:
        inner: what it is handed to.
    """

    def __init__(self, inner: Observed, board: Board) -> None:
        self.inner = inner
        self._board = board

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def released(self, topic: str, partition: int) -> None:
        self._board.lanes[partition] = AWAY
        self.inner.released(topic, partition)


def fill_disk(pid: int) -> None:
    """Have every file refuse to grow, for a process and wherever the file is (EFBIG).

    Raises:
        ProcessLookupError: the process has ended.
    """
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))


def _clear_disk() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def _find_disk_full() -> None:
    """Fill the disk, and make sure that it is."""
    fill_disk(os.getpid())
    try:
        os.write(2, b"there is room\n")
    except OSError:
        return
    raise AssertionError("the disk was to be full")


def _count_compiled(board: Board) -> None:
    """Have the compiled path note on the board what it decides."""
    decide = NativePath.decide

    def counted(
        self: NativePath, records: Sequence[Record], latest_s: float
    ) -> tuple[list[Answer], float]:
        answers, latest = decide(self, records, latest_s)
        board.compiled += sum(type(one) is Decided for one in answers)
        return answers, latest

    NativePath.decide = counted  # type: ignore[method-assign]


class _Made:
    """Makes the worker that a deployment asks for, and has it hurt."""

    def __init__(self, board: Board, name: str, pause: float) -> None:
        self._board, self._name, self._pause = board, name, pause
        self.worker: Worker | None = None
        self.metrics: Metrics | None = None

    def __call__(
        self, config: Config, decider: Decider, observer: Observed, *, control: Control | None
    ) -> Worker:
        board = self._board
        decider = Moody(decider, board, self._name, self._pause)
        self.metrics = observer._metrics
        self.worker = Worker(
            config, decider, Watching(observer, board), Fire(board), control=control
        )
        return self.worker


def work(folder: Path, name: str, environment: dict[str, str]) -> int:
    """Be a worker until signalled; the exit status."""
    board = open_board(folder / f"{name}.board")
    clocks.set_by(lambda: board.clock)
    if FULL_DISK in environment:
        _find_disk_full()
    config = load_config(folder / "routec.toml", environment)
    scenario = json.loads((folder / "scenario.json").read_text())
    bind_classifier(board)
    _count_compiled(board)
    made = _Made(board, name, scenario["pause"])
    deployment.Worker = made  # type: ignore[assignment,misc]
    code, said, status = "", "", 0
    try:
        status = run_worker(compile_policy(scenario["policy"]), config)
    except CommandError as error:
        code = getattr(error.__cause__, "code", type(error.__cause__).__name__)
        said, status = f"{code}: {error.message}\n", 2
    finally:
        _clear_disk()  # what follows is the suite's own
    os.write(2, said.encode())
    (folder / f"{name}.ended").write_text(json.dumps(_told(made, code)))
    return status


def _told(made: _Made, code: str) -> dict[str, Any]:
    """How it ended: its own counts, and what its metrics show of them."""
    told: dict[str, Any] = {"code": code}
    if made.worker is not None and made.metrics is not None:
        counts = made.worker.counts
        told |= {"committed": counts.decided + counts.dead, "dead": counts.dead}
        page = generate_latest(made.metrics.registry).decode()
        for shown, metric in (
            ("committed", "routec_committed_events_total"),
            ("dead", "routec_dead_letters_total"),
        ):
            values = [
                float(line.rsplit(" ", 1)[1])
                for line in page.splitlines()
                if line.startswith((f"{metric} ", f"{metric}{{"))
            ]
            told[f"shown_{shown}"] = int(sum(values))
    return told
