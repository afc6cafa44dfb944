"""From records of the control topic to the policy in force."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from routec.compiler.program import Program, ProgramError
from routec.runtime.engine.open import ServiceError
from routec.runtime.policies.canary import Canary
from routec.runtime.policies.instruction import Instruction, Refusal, Role, read_instruction
from routec.runtime.policies.live import InForce, LivePolicy
from routec.runtime.policies.order import Order, by_sequence
from routec.runtime.policies.signature import Admission
from routec.runtime.records import Record
from routec.runtime.service import Memory, PolicyService, cached_alike
from routec.semcache.errors import CacheError

log = logging.getLogger(__name__)

MOST_FAILURES = 10
"""Failures that are remembered for the status, the newest."""


class Open(Protocol):
    """Opens a program; called in a thread, so it may take its time."""

    def __call__(
        self, program: Program, hash: str, memory: Memory | None, *, silent: bool
    ) -> PolicyService:
        """Open it.

        Args:
            program: the program.
            hash: its hash.
            memory: what it may go on with.
            silent: nobody is to hear of what it does, and it learns nothing.

        Raises:
            ServiceError: something it needs cannot be opened.
            ProgramError: the program cannot run here.
        """
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Where something in force comes from.

    Attributes:
        hash: hash of the program.
        since: when it was put in force, seconds since the epoch.
        partition: of its record in the control topic; ``None`` for what the worker started with.
        offset: its offset there.
        share: of a canary, 0 of a shadow; ``None`` for the policy in force.
        signed_by: id of the key that signed the record, where signatures are asked for.
        sequence: sequence number of the record that was followed, where signatures are asked for,
            also of a tombstone; -1 where none was.
    """

    hash: str
    since: float
    partition: int | None = None
    offset: int | None = None
    share: float | None = None
    signed_by: str | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A program that was not put in force.

    Attributes:
        refusal: why.
        time: when, seconds since the epoch.
    """

    refusal: Refusal
    time: float


class Observer(Protocol):
    """Is told what becomes of records of the control topic."""

    def activated(self, name: str, hash: str) -> None:
        """A program is in force."""

    def refused(self, role: Role, code: str) -> None:
        """A program is not put in force."""


class Activation:
    """Validates, opens and puts in force what the control topic says; used by one task at a time.

    Whatever fails, the last good policy stays. A tombstone puts the program in force that the
    worker was started with.

    Args:
        own: the program that the worker was started with.
        own_hash: its hash.
        live: where programs are put in force.
        open: opens programs.
        observer: is told what happens.
        changed: called after each change of the attributes.
        admission: knows whose records count; without it all do.

    Attributes:
        active: what is in force.
        candidate: what is tried beside it.
        failures: what was refused, oldest first, the last `MOST_FAILURES`.
        refused: how many were refused.
        problems: what is wrong now though nothing was refused: by stable code, in words.
    """

    def __init__(
        self,
        own: Program,
        own_hash: str,
        live: LivePolicy,
        open: Open,
        observer: Observer | None = None,
        changed: Callable[[], None] = lambda: None,
        admission: Admission | None = None,
    ) -> None:
        self._own = own
        self._own_hash = own_hash
        self._live = live
        self._open = open
        self._observer = observer
        self.changed = changed
        self._admission = admission
        self._order = Order()
        sequence = None if admission is None else -1
        self.active = Standing(own_hash, time.time(), sequence=sequence)
        self.candidate: Standing | None = None
        self._trial: Instruction | None = None
        self.failures: deque[Failure] = deque(maxlen=MOST_FAILURES)
        self.refused = 0
        self.problems: dict[str, str] = {}

    @property
    def policy(self) -> str:
        """Name of the policy."""
        return self._own.name

    @property
    def tried(self) -> tuple[int, int]:
        """Requests that canaries decided, and those they had to leave to the policy in force."""
        return self._live.tried, self._live.fallen_back

    @property
    def shadowed(self) -> tuple[int, int, int]:
        """Events compared with a shadow, those that differed, and those skipped."""
        comparer = self._live.comparer
        return (
            (0, 0, 0)
            if comparer is None
            else (comparer.compared, comparer.differing, comparer.skipped)
        )

    async def apply(self, records: Sequence[Record]) -> None:
        """Follow records of the control topic, in order: the newest that can be is put in force.

        Returns when it is in force, at the latest when the batch being decided has ended. Older
        ones of the same call are opened only where newer ones fail.
        """
        wanted: dict[Role, list[Instruction]] = {"active": [], "candidate": []}
        # In a thread: a large program takes as long to read as a batch takes to be decided.
        for found in await asyncio.to_thread(self._read, records):
            if isinstance(found, Refusal):
                self._refuse(found)
            elif found is not None and self._goes_on(found):
                wanted[found.role].append(found)
        candidates = wanted["candidate"]
        for instruction in reversed(wanted["active"]):
            if await self._followed(instruction, self._activate(instruction, candidates)):
                break
        if candidates and self._trial is not None:
            # If none of the new ones can be opened, the one before stays.
            candidates = [self._trial, *candidates]
        for instruction in reversed(candidates):
            if await self._followed(instruction, self._try(instruction)):
                break

    def _read(self, records: Sequence[Record]) -> list[Instruction | Refusal | None]:
        if self._admission is not None:
            records = by_sequence(records)
        return [self._read_one(record) for record in records]

    def _goes_on(self, found: Instruction) -> bool:
        """Whether it is newer than what was followed; those that are signed say so themselves."""
        key, place = found.role.encode(), (found.partition, found.time_ms)
        return self._admission is not None or self._order.goes_on(key, *place)

    def _read_one(self, record: Record) -> Instruction | Refusal | None:
        try:
            return read_instruction(record, self.policy, self._admission)
        except Exception as error:
            # It says nothing of the others, which must not be lost with it.
            log.exception("a record of the control topic cannot be read")
            role: Role = "active" if record.key == self.policy.encode() else "candidate"
            reason = f"reading failed with {type(error).__name__}"
            return Refusal(role, "internal-error", reason, record.partition, record.offset)

    async def _followed(self, wanted: Instruction, following: Awaitable[bool]) -> bool:
        """Whether an instruction is followed; whatever fails on the way is its refusal.

        The records are read once: what is raised here would lose those that are still to come.
        """
        try:
            return await following
        except Exception as error:
            log.exception("a record of the control topic cannot be followed")
            self._fail(wanted, "internal-error", f"following failed with {type(error).__name__}")
            return False

    async def _try(self, wanted: Instruction) -> bool:
        """Put a candidate beside the policy in force, or take it away."""
        if self._trial == wanted and self.candidate is not None:
            return True
        active = self._live.in_force.active
        new: InForce | None = InForce(active)
        if wanted.program is not None and wanted.hash != active.policy_hash:
            new = await self._beside(wanted, active)
        if new is None or not await self._swap(wanted, new):
            return False
        self._trial = None if wanted.program is None else wanted
        self._stand(wanted, new)
        self._tell()
        return True

    async def _beside(self, wanted: Instruction, active: PolicyService) -> InForce | None:
        """A policy in force with a candidate beside it; ``None`` if that cannot be opened."""
        assert wanted.program is not None
        if not wanted.share:
            open_already = self._live.in_force.shadow
            if open_already is not None and open_already.policy_hash == wanted.hash:
                return InForce(active, None, open_already)
            shadow = await self._opened(wanted, wanted.program, wanted.hash, None, silent=True)
            return None if shadow is None else InForce(active, None, shadow)
        # On other terms it would find answers that are not its own: then it has its own cache.
        shared = active.memory if cached_alike(wanted.program, active.program) else None
        opened = await self._opened(wanted, wanted.program, wanted.hash, shared)
        return None if opened is None else InForce(active, Canary(opened, wanted.share))

    def _stand(self, wanted: Instruction, new: InForce) -> None:
        if new.canary is None and new.shadow is None:
            self.candidate = None
            return
        self.candidate = Standing(
            wanted.hash,
            time.time(),
            wanted.partition,
            wanted.offset,
            wanted.share,
            wanted.signed_by,
            wanted.sequence,
        )
        log.info(
            "a candidate is tried",
            extra={"policy": self.policy, "hash": wanted.hash, "share": wanted.share},
        )

    async def _activate(self, wanted: Instruction, coming: Sequence[Instruction]) -> bool:
        program, hash = wanted.program, wanted.hash
        if program is None:
            program, hash = self._own, self._own_hash
        if hash != self._live.policy_hash:
            memory = self._live.in_force.active.memory
            opened = await self._opened(wanted, program, hash, memory)
            if opened is None:
                return False
            # A candidate is opened anew beside it, as it may share its cache.
            new, trial = InForce(opened), self._trial
            if trial is not None and trial.hash != hash and not coming:
                new = await self._beside(trial, opened) or new
            if not await self._swap(wanted, new):
                return False
            if trial is not None:
                self._stand(trial, new)
        tombstone = wanted.program is None
        self.active = Standing(
            hash,
            time.time(),
            None if tombstone else wanted.partition,
            None if tombstone else wanted.offset,
            signed_by=None if tombstone else wanted.signed_by,
            sequence=wanted.sequence,
        )
        log.info(
            "a policy is in force",
            extra={
                "policy": self.policy,
                "hash": hash,
                "offset": wanted.offset,
                "signed_by": wanted.signed_by,
            },
        )
        self._tell(lambda observer: observer.activated(self.policy, hash))
        return True

    async def _swap(self, wanted: Instruction, new: InForce) -> bool:
        old = self._live.in_force
        try:
            await self._live.swap(new)
        except CacheError as error:
            self._discard(new, old)
            self._fail(wanted, error.code, error.message)
            return False
        except BaseException:
            self._discard(new, old)
            raise
        return True

    def _discard(self, new: InForce, old: InForce) -> None:
        """Close what was opened and is not in force."""
        kept = {
            id(service.memory) for service in (*old.services(), *self._live.in_force.services())
        }
        for service in new.services():
            if id(service.memory) not in kept:
                service.close()

    async def _opened(
        self,
        wanted: Instruction,
        program: Program,
        hash: str,
        memory: Memory | None,
        *,
        silent: bool = False,
    ) -> PolicyService | None:
        try:
            return await asyncio.to_thread(self._open, program, hash, memory, silent=silent)
        except (ServiceError, ProgramError) as error:
            self._fail(wanted, error.code, error.message)
        except Exception as error:
            log.exception("a program cannot be opened")
            self._fail(wanted, "internal-error", f"opening failed with {type(error).__name__}")
        return None

    def _fail(self, wanted: Instruction, code: str, message: str) -> None:
        place = (wanted.partition, wanted.offset)
        self._refuse(Refusal(wanted.role, code, message, *place, wanted.hash or None))

    def _refuse(self, refusal: Refusal) -> None:
        self.failures.append(Failure(refusal, time.time()))
        self.refused += 1
        log.warning(
            "a policy is refused; what is in force stays",
            extra={
                "policy": self.policy,
                "code": refusal.code,
                "reason": refusal.message,
                "partition": refusal.partition,
                "offset": refusal.offset,
            },
        )
        self._tell(lambda observer: observer.refused(refusal.role, refusal.code))

    def _tell(self, tell: Callable[[Observer], None] = lambda observer: None) -> None:
        """Tell of a change; that nobody can be told does not undo it."""
        try:
            if self._observer is not None:
                tell(self._observer)
            self.changed()
        except Exception:
            log.exception("what became of a policy cannot be told")
