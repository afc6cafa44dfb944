"""Recorded requests under two policies: how many change outcome, and what that costs.

Each event is decided by both, by the engine. Scan and light signals are computed; the values of
costlier ones are those that the event's member ``signals`` has, in the form in which decisions
record them. They were measured as the old policy declares its signals: one that the new policy
defines otherwise has no recorded value there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from routec.cli.corpus import LINE_BYTES, read_events, recorded_values
from routec.cli.errors import CommandError
from routec.cli.offline import COSTLY, Answer, Offline
from routec.cli.programs import Compiled
from routec.compiler.diff import ENDING, OVERFLOW, Difference, Doing, Facts, Side
from routec.compiler.lower import Unavailable, lower
from routec.compiler.program import Program, Signal, digest
from routec.runtime.config import Config
from routec.runtime.events.decision import Decision
from routec.runtime.events.decode import Decoder, Limits
from routec.runtime.events.request import Request
from routec.runtime.records import Dead, Record
from routec.runtime.replay import dollars
from routec.safety.text import NORMALISER_VERSION

BATCH = 256
"""Events that are decided together."""

REFUSED = "no valid request"


@dataclass(slots=True)
class Recorded:
    """What recorded requests say of two policies.

    Attributes:
        total: events that at least one of the policies takes.
        changed: those of which some outcome differs.
        undecided: those that need a value which is neither recorded nor cheap to compute.
        unread: lines that neither policy takes.
        first: the first such line's number, and what is wrong with it.
        moves: how often requests ended otherwise, by the old and the new outcome.
        old_cost: dollars that the requests cost under the old policy, as far as prices are known.
        new_cost: the same under the new one.
        priced: decided requests whose cost is known under both.
    """

    total: int = 0
    changed: int = 0
    undecided: int = 0
    unread: int = 0
    first: tuple[int, str] | None = None
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    old_cost: float = 0.0
    new_cost: float = 0.0
    priced: int = 0

    @property
    def decided(self) -> int:
        """Requests whose outcomes are known."""
        return self.total - self.undecided

    @property
    def share(self) -> float | None:
        """The share of decided requests that change; ``None`` where none was decided."""
        return self.changed / self.decided if self.decided else None

    @property
    def cost_delta(self) -> float | None:
        """Dollars more that the requests cost now; ``None`` where no cost is known."""
        return self.new_cost - self.old_cost if self.priced else None


def measure(difference: Difference, file: str) -> Recorded:
    """Decide the events of a file by both policies.

    Args:
        difference: the comparison of the two.
        file: request events, one a line.

    Raises:
        CommandError: the file cannot be read, or a policy uses what cannot run here.
    """
    return asyncio.run(_measure(difference, file))


async def _measure(difference: Difference, file: str) -> Recorded:
    union = difference.union
    old = _Policy(union.old, union.old, difference.doing[0])
    new = _Policy(union.new, union.old, difference.doing[1])
    found = Recorded()
    names = {
        (facet.name, outcome.key): outcome.label
        for facet in difference.facets
        for outcome in facet.outcomes.values()
    }
    batch: list[tuple[int, bytes]] = []
    for numbered in read_events(file):
        batch.append(numbered)
        if len(batch) == BATCH:
            await _add(found, old, new, batch, names)
            batch = []
    await _add(found, old, new, batch, names)
    return found


async def _add(
    found: Recorded,
    old: _Policy,
    new: _Policy,
    batch: Sequence[tuple[int, bytes]],
    names: Mapping[tuple[str, Any], str],
) -> None:
    befores, afters = await old.decide(batch), await new.decide(batch)
    for (number, _), before, after in zip(batch, befores, afters, strict=True):
        if isinstance(before, str) and isinstance(after, str):
            found.unread += 1
            found.first = found.first or (number, before)
            continue
        found.total += 1
        if before is None or after is None:
            found.undecided += 1
            continue
        one = {} if isinstance(before, str) else dict(before.does)
        other = {} if isinstance(after, str) else dict(after.does)
        found.changed += one != other
        ends = [_end(does, names) for does in (one, other)]
        if ends[0] != ends[1]:
            found.moves[ends[0], ends[1]] += 1
        costs = [0.0 if isinstance(b, str) else b.cost for b in (before, after)]
        if costs[0] is not None and costs[1] is not None:
            found.priced += 1
            found.old_cost += costs[0]
            found.new_cost += costs[1]


def _end(does: Mapping[str, Any], names: Mapping[tuple[str, Any], str]) -> str:
    for facet in (OVERFLOW, ENDING):
        if facet in does:
            return names[facet, does[facet]]
    return REFUSED


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one policy does to a request, and dollars that its model costs (`None`: unknown)."""

    does: Mapping[str, Any]
    cost: float | None


class _Policy:
    """One of the two policies, ready to decide."""

    def __init__(self, side: Side, measured: Side, doing: Doing) -> None:
        try:
            program = lower(side.policy, normaliser=NORMALISER_VERSION)
        except Unavailable as error:
            missing = error.findings[0]
            raise CommandError(
                f"recorded requests cannot be decided: {missing.message}", missing.help
            ) from error
        self._doing = doing
        self._program = program
        self._models = {model.name: model for model in program.models}
        self._decoder = Decoder(program.fields, Limits(bytes=LINE_BYTES))
        self._offline = Offline(
            Compiled(side.policy, program, digest(program), Config(), sources={})
        )
        self._costly = _recorded_as(side, measured, program)

    async def decide(self, batch: Sequence[tuple[int, bytes]]) -> list[_Outcome | str | None]:
        """For each event the outcome, why there is no request in it, or ``None``: not decided."""
        read = [self._read(number, event) for number, event in batch]
        good = [one for one in read if not isinstance(one, str)]
        answers = iter(await self._offline.decide([r for r, _ in good], [p for _, p in good]))
        requests = iter(request for request, _ in good)
        return [
            one if isinstance(one, str) else self._outcome(next(requests), next(answers))
            for one in read
        ]

    def _read(self, number: int, event: bytes) -> tuple[Request, Mapping[str, object]] | str:
        request = self._decoder.decode(Record("recorded", 0, number, 0, None, event))
        if isinstance(request, Dead):
            return request.message
        pins = recorded_values(event, self._costly)
        return pins if isinstance(pins, str) else (request, pins)

    def _outcome(self, request: Request, answer: Answer) -> _Outcome | None:
        if answer.missing:
            return None
        decision = answer.decision
        return _Outcome(self._doing.of(_facts(decision)), dollars(self._models, request, decision))


def _recorded_as(side: Side, measured: Side, program: Program) -> dict[str, Signal]:
    """The costly signals of a policy that may be recorded, as they are named there."""
    names = {binding.name: name for name, binding in measured.bindings.items()}
    found: dict[str, Signal] = {}
    for signal in program.signals:
        written = names.get(side.bindings[signal.name].name)
        if signal.stage in COSTLY and written is not None:
            found[signal.name] = _renamed(signal, written)
    return found


def _renamed(signal: Signal, name: str) -> Signal:
    from msgspec.structs import replace

    return replace(signal, name=name)


def _facts(decision: Decision) -> Facts:
    reject = decision.reject
    overflow = reject is not None and reject.guard is None
    return Facts(
        None if reject is None or overflow else (reject.status, reject.reason),
        overflow,
        decision.route,
        decision.category,
        frozenset(span.kind for span in decision.redacted),
        frozenset(decision.tags),
        decision.headers,
    )
