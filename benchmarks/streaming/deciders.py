"""What decides in a worker under test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import orjson

from routec.cli.programs import compile_file
from routec.runtime.records import Decided, Decider, Outcome, Record
from routec.runtime.service import PolicyService, open_service
from streaming import traffic
from streaming.answer import answer
from streaming.by_hand import ByHand
from streaming.tally import Tally

_GREETING = "You will find it under Settings, then Members; ask an owner to approve it."


class NullDecider:
    """Decides with no policy at all."""

    policy_hash = "sha256:null"

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """One decision a record."""
        return [
            Decided(answer(record.value or b"", record.topic, record.partition, record.offset), ())
            for record in records
        ]

    def learn(self, responses: Sequence[Record]) -> None:
        """Nothing to learn."""


class Gated:
    """A decider that decides nothing before all partitions are open.

    So all of them take part from the first batch on, as in a pass-through.

    Args:
        decider: decides.
        tally: knows when.
    """

    def __init__(self, decider: Decider, tally: Tally) -> None:
        self._decider = decider
        self._tally = tally

    @property
    def policy_hash(self) -> str:
        """That of the decider."""
        return self._decider.policy_hash

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """As the decider decides."""
        if not self._tally.opened.is_set():
            await self._tally.opened.wait()
        return await self._decider.decide(records)

    def learn(self, responses: Sequence[Record]) -> None:
        """As the decider learns."""
        self._decider.learn(responses)


class Stalling:
    """A decider that stands still once, for a while, as behind a classifier that does not answer.

    Args:
        decider: decides.
        after: seconds from the first batch to the stall.
        lasts: seconds of it.
    """

    def __init__(self, decider: Decider, after: float, lasts: float) -> None:
        self._decider = decider
        self._after, self._lasts = after, lasts
        self._first: float | None = None

    @property
    def policy_hash(self) -> str:
        """That of the decider."""
        return self._decider.policy_hash

    async def decide(self, records: Sequence[Record]) -> list[Outcome]:
        """As the decider decides, after the stall."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
        begin = self._first + self._after
        if begin <= now < begin + self._lasts:
            await asyncio.sleep(begin + self._lasts - now)
        return await self._decider.decide(records)

    def learn(self, responses: Sequence[Record]) -> None:
        """As the decider learns."""
        self._decider.learn(responses)


def nodes(file: str) -> int:
    """Decision nodes in a policy's plan, as `routec compile --explain-plan` counts them."""
    return len(compile_file(file).program.plan.vertices)


async def taught(file: str) -> PolicyService:
    """A policy's service; where its cache answers only the very same request, it has been taught
    the questions that everybody asks.
    """
    compiled = compile_file(file)
    service = open_service(compiled.program, compiled.config)
    categories = compiled.program.categories
    if not categories or any(one.similarity is not None for one in categories):
        return service
    asked = _questions()
    outcomes = await service.decide(asked)
    responses = []
    for record, outcome in zip(asked, outcomes, strict=True):
        assert isinstance(outcome, Decided), outcome
        responses.append(_record(record.offset, _response(orjson.loads(outcome.value))))
    service.learn(responses)
    return service


def taught_by_hand() -> ByHand:
    """The policy of the target by hand, taught the same questions."""
    decider, response = ByHand(), orjson.dumps(_body(""))
    for record in _questions():
        assert record.value is not None
        decider.teach(record.value, response)
    return decider


def _questions() -> list[Record]:
    return [
        _record(at, traffic.question(number, tenant, f"q-{number}-{tenant}"))
        for at, (number, tenant) in enumerate(
            (number, tenant)
            for number in range(traffic.QUESTIONS)
            for tenant in range(traffic.TENANTS)
        )
    ]


async def hit_share(file: str, count: int = 5000) -> float:
    """The share of the first requests that the taught cache answers.

    Raises:
        AssertionError: the policy by hand decides one of them otherwise.
    """
    service, by_hand = await taught(file), taught_by_hand()
    records = [_record(at, value) for at, value in enumerate(traffic.requests(count))]
    hits = 0
    decided = zip(await service.decide(records), await by_hand.decide(records), strict=True)
    for outcome, other in decided:
        assert isinstance(outcome, Decided), outcome
        assert isinstance(other, Decided), other
        event, same = orjson.loads(outcome.value), orjson.loads(other.value)
        for member in ("outcome", "route", "model", "fallbacks", "reject", "tags", "category"):
            assert event[member] == same[member], (member, event, same)
        assert (event["selection"] or {}) == (same["selection"] or {}), (event, same)
        hits += event["outcome"] == "cached"
    service.close()
    return hits / count


def _record(offset: int, value: bytes) -> Record:
    return Record("questions", 0, offset, 0, None, value)


def _body(name: object) -> dict[str, object]:
    message = {"role": "assistant", "content": f"{name}: {_GREETING}"}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def _response(decision: dict[str, object]) -> bytes:
    return orjson.dumps(
        {
            "decision_id": decision["decision_id"],
            "ok": True,
            "model": decision["model"],
            "latency_ms": 800,
            "body": _body(decision["request_id"]),
        }
    )
