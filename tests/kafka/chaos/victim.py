"""The worker under fire: the real one, with the real engine, hurt from within at named points."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from aiokafka import TopicPartition

from routec.compiler.program import Program
from routec.runtime.config import load_config
from routec.runtime.policies.live import LivePolicy
from routec.runtime.records import Decided, Outcome, Record
from routec.runtime.stream import Point, StreamError, Worker, run_until_signalled
from routec.runtime.stream.observer import Silent
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
from tests.kafka.chaos.policy import follow

BY = "chaos-by"
"""Header of a decision that names the worker that made it."""
FULL_DISK = "CHAOS_FULL_DISK"
"""Variable of a worker that finds every disk full when it starts."""


class Moody:
    """The policy in force; as a whole it may be slow, hang, fail, or miscount."""

    def __init__(self, inner: LivePolicy, board: Board, name: str, pause: float) -> None:
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


class Watching(Silent):
    """Notes the partitions that were given up."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def released(self, topic: str, partition: int) -> None:
        self._board.lanes[partition] = AWAY


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


def work(program: Program, folder: Path, name: str, environment: dict[str, str]) -> int:
    """Be a worker until signalled; the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(relativeCreated)d %(message)s")
    board = open_board(folder / f"{name}.board")
    real = time.time
    time.time = lambda: real() + board.clock
    if FULL_DISK in environment:
        _find_disk_full()
    config = load_config(folder / "routec.toml", environment)
    pause = json.loads((folder / "scenario.json").read_text())["pause"]
    live, follower = follow(program, config, board)
    decider = Moody(live, board, name, pause)
    worker = Worker(config, decider, Watching(board), Fire(board), control=follower)
    code = ""
    try:
        asyncio.run(run_until_signalled(worker))
    except StreamError as error:
        code = error.code
        logging.warning("%s: %s", error.code, error.message)
    finally:
        _clear_disk()  # what follows is the suite's own
    counts = worker.counts
    ended = {"code": code, "decided": counts.decided, "dead": counts.dead, "stale": counts.stale}
    (folder / f"{name}.ended").write_text(json.dumps(ended))
    return 2 if code else 0
