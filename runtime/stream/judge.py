"""Asking the decider, so that no record and no bug in it stops the stream by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from routec.runtime.config import Runtime
from routec.runtime.records import Dead, Decider, Outcome, Record
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.take import as_record
from routec.runtime.stream.unit import headers_size

log = logging.getLogger(__name__)


class Judge:
    """Gives every consumed record an outcome.

    Args:
        decider: decides.
        limits: `max_event_bytes`, `decide_timeout` and `max_internal_errors` are used.
    """

    def __init__(self, decider: Decider, limits: Runtime) -> None:
        self._decider = decider
        self._limits = limits
        self._failed_in_a_row = 0

    async def outcomes(self, consumed: Sequence[Any], known: Mapping[int, Dead]) -> list[Outcome]:
        """One outcome a record, in order.

        Args:
            consumed: consumed records.
            known: outcomes that are settled already, by index.

        Raises:
            StreamError: deciding takes too long, or keeps failing inside.
        """
        limit = self._limits.max_event_bytes
        settled: dict[int, Outcome] = dict(known)
        for at, one in enumerate(consumed):
            size = 0 if one.value is None else len(one.value)
            if one.headers:
                size += headers_size(one.headers)
            if size > limit and at not in settled:
                settled[at] = Dead(
                    "event-too-large",
                    f"the event has {size} bytes with its headers; `runtime.max_event_bytes` is "
                    f"{limit}",
                )
        if not settled:
            return await self._decide([as_record(one) for one in consumed])
        asked = [as_record(one) for at, one in enumerate(consumed) if at not in settled]
        answers = iter(await self._decide(asked) if asked else [])
        return [settled[at] if at in settled else next(answers) for at in range(len(consumed))]

    async def _decide(self, records: list[Record]) -> list[Outcome]:
        try:
            outcomes = await self._ask(records, self._deadline())
        except StreamError:
            raise
        except Exception:
            log.exception("deciding a batch failed; its events are decided one by one")
            until = self._deadline()
            return [await self._decide_alone(record, until) for record in records]
        self._failed_in_a_row = 0
        return outcomes

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._limits.decide_timeout

    async def _decide_alone(self, record: Record, until: float) -> Outcome:
        try:
            outcome = (await self._ask([record], until))[0]
        except StreamError:
            raise
        except Exception as error:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= self._limits.max_internal_errors:
                raise StreamError(
                    "decider-failing",
                    f"{self._failed_in_a_row} events in a row failed inside the engine, "
                    f"last with {type(error).__name__}",
                    "see the log; the events are not lost and are decided after a restart",
                ) from error
            return Dead("internal-error", f"the engine failed with {type(error).__name__}")
        self._failed_in_a_row = 0
        return outcome

    async def _ask(self, records: list[Record], until: float) -> list[Outcome]:
        try:
            async with asyncio.timeout_at(until) as timer:
                outcomes = await self._decider.decide(records)
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise StreamError(
                "decider-stuck",
                f"deciding a batch took more than {self._limits.decide_timeout:g} s",
                "raise `runtime.decide_timeout` or lower `runtime.batch_size`",
            ) from error
        if len(outcomes) != len(records):
            raise RuntimeError(f"{len(records)} records gave {len(outcomes)} outcomes")
        return outcomes
