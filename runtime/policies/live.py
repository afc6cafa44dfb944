"""The policy in force, which is replaced between two batches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from routec.runtime.policies.canary import Canary
from routec.runtime.policies.shadow import Comparer
from routec.runtime.records import Dead, Outcome, Record
from routec.runtime.service import PolicyService
from routec.semcache.cache import SemanticCache

log = logging.getLogger(__name__)

SLICE = 128
"""Answers dropped by a swap that are freed at once: decisions wait for so many, 0.2 to 1 ms."""
REST = 3.0
"""Time between two slices, in times of what the one before took."""
CANARY_REST = 10.0
"""Time for which a canary that did not answer is not asked, in times of what it was waited for."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What decides a batch, from its start to its end.

    Attributes:
        active: the policy in force.
        canary: a policy that decides some requests in its place.
        shadow: a policy whose decisions are only compared.
    """

    active: PolicyService
    canary: Canary | None = None
    shadow: PolicyService | None = None

    def services(self) -> list[PolicyService]:
        """Everything that is open."""
        canary = None if self.canary is None else self.canary.service
        return [one for one in (self.active, canary, self.shadow) if one is not None]


class LivePolicy:
    """A `Decider` whose policy can be replaced; one is always in force.

    A batch is decided by what was in force when it began, to its last event. Between
    `begin_batch` and `end_batch` a replacement waits; it is one assignment, made at the next of
    them, or at once where no batch is being decided.

    What a replacement leaves behind, dropped answers and policies that decide no more, is freed
    a slice at a time beside the decisions that follow.

    A canary that does not answer in time decides nothing for some time, so that it holds the
    requests of a partition up for a tenth of the time at most.

    Args:
        first: the policy to begin with.
        patience: seconds for which a canary is waited for, so much less than a batch may take that
            the policy in force can decide in its place; for ever if ``None``.

    Attributes:
        tried: requests that canaries decided.
        fallen_back: requests of a canary that it could not decide, so the policy in force did.
        comparer: compares with a shadow; without one a shadow is idle.
    """

    def __init__(self, first: PolicyService, patience: float | None = None) -> None:
        self._state = InForce(first)
        self._patience = patience
        self._resting: tuple[PolicyService, float] | None = None
        self._in_batch = False
        self.tried = 0
        self.fallen_back = 0
        self.comparer: Comparer | None = None
        self._staged: tuple[InForce, asyncio.Future[None]] | None = None
        self._leaving: list[PolicyService] = []
        self._clearing: asyncio.Task[None] | None = None

    @property
    def in_force(self) -> InForce:
        """What decides now."""
        return self._state

    @property
    def policy_hash(self) -> str:
        """Hash of the policy in force, ``sha256:…``."""
        return self._state.active.policy_hash

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """Decide a batch by what is in force now: one outcome a record, in order."""
        state = self._state
        if state.canary is None:
            outcomes = await state.active.decide(records)
            if state.shadow is not None and self.comparer is not None:
                self.comparer.offer(state.active, state.shadow, records, outcomes)
            return outcomes
        return await self._decide_both(state.active, state.canary, records)

    async def _decide_both(
        self, active: PolicyService, canary: Canary, records: Sequence[Record]
    ) -> list[Outcome]:
        """Decide a batch; what the canary fails at, or finds undecidable, is the other's."""
        settled: dict[int, Outcome] = {}
        chosen = canary.chosen(records, active)
        if chosen:
            answers = await self._ask(canary.service, [records[at] for at in chosen])
            settled = {
                at: answer
                for at, answer in zip(chosen, answers, strict=False)
                if not isinstance(answer, Dead)
            }
            self.tried += len(settled)
            self.fallen_back += len(chosen) - len(settled)
        rest = [at for at in range(len(records)) if at not in settled]
        answers = await active.decide([records[at] for at in rest]) if rest else []
        settled.update(zip(rest, answers, strict=True))
        return [settled[at] for at in range(len(records))]

    async def _ask(self, canary: PolicyService, records: Sequence[Record]) -> list[Outcome]:
        """What the canary decides; nothing where it fails, is too slow or rests for that."""
        if self._resting is not None:
            resting, until = self._resting
            if resting is canary and time.monotonic() < until:
                return []
            self._resting = None
        try:
            async with asyncio.timeout(self._patience) as timer:
                return await canary.decide(records)
        except Exception:
            if self._patience is not None and timer.expired():
                self._resting = (canary, time.monotonic() + CANARY_REST * self._patience)
                log.error(
                    "the canary does not answer; for some time the policy in force decides",
                    extra={"hash": canary.policy_hash, "seconds": self._patience},
                )
            else:
                log.exception("the canary failed; the policy in force decides its requests")
            return []

    def learn(self, responses: Sequence[Record]) -> None:
        """Take in response events."""
        active, canary = self._state.active, self._state.canary
        own = canary is not None and canary.service.memory is not active.memory
        active.learn(responses, canary.service if canary is not None and own else None)

    def begin_batch(self) -> None:
        """A batch begins; what waits is put in force for it."""
        self._apply()
        self._in_batch = True

    def end_batch(self) -> None:
        """The batch is decided; what waits is put in force."""
        self._in_batch = False
        self._apply()

    async def swap(self, new: InForce) -> None:
        """Put something else in force, and wait until it is; one caller at a time.

        Raises:
            CacheError: the new terms do not fit the cache; what was in force stays.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._staged = (new, done)
        if not self._in_batch:
            self._apply()
        try:
            await done
        except asyncio.CancelledError:
            self._staged = None
            raise

    def close(self) -> None:
        """Stop what the policies do in the background, those included that were replaced."""
        if self._clearing is not None and not self._clearing.done():
            self._clearing.cancel()
        leaving, self._leaving = self._leaving, []
        for service in (*self._state.services(), *leaving):
            service.close()

    def _apply(self) -> None:
        if self._staged is None:
            return
        (new, done), self._staged = self._staged, None
        if done.done():
            return
        old = self._state
        if new.active is not old.active:
            try:
                new.active.take_over()
            except Exception as error:
                done.set_exception(error)
                return
        self._state = new
        kept = {id(service.memory) for service in new.services()}
        for service in old.services():
            if id(service.memory) not in kept:
                kept.add(id(service.memory))
                self._leaving.append(service)
        if self._clearing is None or self._clearing.done():
            self._clearing = asyncio.create_task(self._clear(), name="routec-clearing")
        done.set_result(None)

    async def _clear(self) -> None:
        """Free what swaps left behind, until nothing is left."""
        while True:
            if self._leaving:
                service = self._leaving[0]
                # A graph being built ends at its next step, which takes up to a second.
                await asyncio.to_thread(service.close)
                if service in self._leaving:
                    self._leaving.remove(service)
                cache = service.memory.cache
                if cache is not None:
                    cache.clear()
            else:
                held = [service.memory.cache for service in self._state.services()]
                cache = next((one for one in held if one is not None and one.release(0)), None)
                if cache is None:
                    return
            if cache is not None:
                await _free(cache)


async def _free(cache: SemanticCache) -> None:
    """Free what was dropped from a cache, a slice at a time."""
    while True:
        begun = time.perf_counter()
        if not cache.release(SLICE):
            return
        await asyncio.sleep(REST * (time.perf_counter() - begun))
