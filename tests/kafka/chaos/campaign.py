"""Many seeds on one broker: side by side, those in the same weather together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tests.kafka.chaos.fight import Fight
from tests.kafka.chaos.nursery import Nursery
from tests.kafka.chaos.progress import Spell, bound_of_broker
from tests.kafka.chaos.scenario import BLOCK, Weather, draw, draw_weather
from tests.kafka.chaos.seed import Result, run_seed

_GATHER = 40.0


class Broker(Protocol):
    """The broker that is hurt; its calls block."""

    bootstrap: str

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """Stop it in order."""

    def kill(self) -> None:
        """Kill it."""


class SharedWeather:
    """The weather of seeds that run at the same time: it comes when all are at work.

    Args:
        broker: what is hurt.
        weather: how.
        seeds: how many seeds there are.
    """

    def __init__(self, broker: Broker, weather: Sequence[Weather], seeds: int) -> None:
        self._broker, self._weather = broker, weather
        self._missing = seeds
        self._fights: list[Fight] = []
        self._over = asyncio.Event()
        self._gathered = asyncio.Event()

    async def over(self, fight: Fight) -> None:
        """A seed is at work; returns when the weather is over."""
        # Who is to end, or to start, while there is no broker, may say so.
        fight.may_end |= {"drain-timeout", "kafka-unreachable", "policies-unreadable"}
        self._fights.append(fight)
        self.one_less()
        await self._over.wait()

    def one_less(self) -> None:
        """A seed is at work, or will never be."""
        self._missing -= 1
        if self._missing == 0:
            self._gathered.set()

    async def run(self) -> None:
        """Have it happen."""
        try:
            await asyncio.wait_for(self._gathered.wait(), _GATHER)
            begun = time.monotonic()
            for one in self._weather:
                await asyncio.sleep(max(0.0, begun + one.at - time.monotonic()))
                spells = []
                for fight in self._fights:
                    fight.note(one.kind, *fight.alive)
                    bound = bound_of_broker(fight.scenario)
                    spell = Spell(one.kind, bound, time.monotonic(), fired=True)
                    fight.spells.append(spell)
                    spells.append(spell)
                hurt = self._broker.kill if one.kind == "broker-kill" else self._broker.stop
                await asyncio.to_thread(hurt)
                await asyncio.sleep(one.down)
                await asyncio.to_thread(self._broker.start)
                for spell in spells:
                    spell.end = time.monotonic()
            await asyncio.sleep(1.0)
        finally:
            self._over.set()


async def run_campaign(
    seeds: Sequence[int],
    broker: Broker,
    folder: Path,
    side_by_side: int,
    done: Callable[[Result], None],
) -> None:
    """Run seeds.

    Args:
        seeds: which.
        broker: a running broker.
        folder: for files of workers.
        side_by_side: seeds that run at the same time; more than that only in bad weather.
        done: told of each result.
    """
    async with Nursery() as nursery:
        calm = [seed for seed in seeds if not draw(seed).weather]
        room = asyncio.Semaphore(side_by_side)

        async def one(seed: int) -> None:
            async with room:
                done(await run_seed(draw(seed), broker.bootstrap, nursery, folder))

        await asyncio.gather(*map(one, calm))
        rough = [seed for seed in seeds if draw(seed).weather]
        for block in sorted({seed // BLOCK for seed in rough}):
            together = [seed for seed in rough if seed // BLOCK == block]
            await _in_weather(together, broker, nursery, folder, done)


async def _in_weather(
    seeds: Sequence[int],
    broker: Broker,
    nursery: Nursery,
    folder: Path,
    done: Callable[[Result], None],
) -> None:
    sky = SharedWeather(broker, draw_weather(seeds[0]), len(seeds))
    weather = asyncio.create_task(sky.run())

    async def one(seed: int) -> None:
        done(await run_seed(draw(seed), broker.bootstrap, nursery, folder, sky.over))

    try:
        await asyncio.gather(*map(one, seeds))
    finally:
        await weather
