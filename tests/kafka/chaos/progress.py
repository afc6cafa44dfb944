"""Who has to go on deciding while something is wrong, and how long others may stand still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.kafka.chaos.checker import Problems
from tests.kafka.chaos.scenario import Fault, Scenario

PAUSE = 3.0
"""Seconds without a decision that a partition may have at any time."""
REBALANCE = 4.0
"""Seconds without one while partitions are handed out anew, everybody gives theirs up for it."""
FOLLOWED = 3.0
"""Seconds, beyond the session time-out, until the partitions of a dead worker are another's."""
MOST_LAG = 3.0
"""Seconds that a bound grows by at most on a busy machine."""
DECIDE_TIMEOUT = 3.0
_REPAIRED = 1.0
"""Seconds after a fault within which what comes of it begins."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How long partitions may stand still for a fault.

    Attributes:
        hit: those of whom it hits, seconds.
        others: those of others, seconds.
        after: seconds after its end in which what comes of it may begin.
    """

    hit: float
    others: float
    after: float = _REPAIRED


@dataclass(slots=True)
class Spell:
    """A fault from its first moment to its repair.

    Attributes:
        kind: which, with its detail.
        bound: how long partitions may stand still for it.
        begin, end: on the monotonic clock; no end while it goes on.
        hit: partitions of those whom it hits.
        fired: whether it came to pass.
        longest_hit, longest_others: seconds that partitions did stand still; ``None`` where
            something else was wrong as well.
    """

    kind: str
    bound: Bound
    begin: float
    end: float = float("inf")
    hit: set[int] = field(default_factory=set)
    fired: bool = False
    longest_hit: float | None = None
    longest_others: float | None = None

    @property
    def until(self) -> float:
        """When what comes of it has begun at the latest."""
        return self.end + self.bound.after

    def allowed(self, *, hit: bool) -> float:
        """Seconds that a partition may stand still for it, one of whom it hits or another."""
        may = self.bound.hit if hit else self.bound.others
        # While the broker is away, or everybody is killed, nobody can go on.
        return may + (self.end - self.begin if stops_all(self.kind) else 0.0)

    def take(self, pause: float, *, hit: bool) -> None:
        """A partition of whom it hits, or another, stood still for so many seconds."""
        if hit:
            self.longest_hit = max(pause, self.longest_hit or 0.0)
        else:
            self.longest_others = max(pause, self.longest_others or 0.0)


def bound_of(fault: Fault, scenario: Scenario) -> Bound:
    """How long partitions may stand still for a fault of a worker, or of many."""
    followed = scenario.session + FOLLOWED
    if scenario.workers == 1 and fault.kind != "stop":
        # Nobody is there to follow before it is started again.
        followed = max(scenario.session, scenario.restart) + FOLLOWED
    # Who joins while the group waits for a dead member has everybody wait for it. With a stable
    # name it takes the dead one's place at once, and alone.
    joins_early = scenario.restart < scenario.session and not scenario.static
    changed = scenario.restart + 1.0 + REBALANCE
    match fault.kind, fault.detail:
        case "kill-at", "revoking":
            return Bound(followed + REBALANCE, followed + REBALANCE, scenario.session + changed)
        case "kill-at", "opening" | "opened":
            return Bound(followed + REBALANCE, REBALANCE, scenario.session + changed)
        case (("kill" | "kill-at"), _):
            others = followed if joins_early else REBALANCE
            return Bound(followed, others, scenario.session + changed)
        case "kill-all", _:
            return Bound(followed + 1.0, followed + 1.0, scenario.session + changed)
        case (("stop" | "stop-at"), _) if fault.seconds < 0:
            # Whoever is stopped alone has somebody join, for whom the group waits as for one dead.
            others = REBALANCE if scenario.workers > 1 else followed
            return Bound(followed, others, changed)
        case (("stop" | "stop-at"), _):
            return Bound(PAUSE + fault.seconds, PAUSE)
        case "terminate", _:
            # A member with a stable name that leaves is waited for like one that is dead.
            hit = followed if scenario.static else REBALANCE
            return Bound(hit, REBALANCE, changed + scenario.session)
        case "storm", _:
            return Bound(followed, followed, scenario.session + changed)
        case "steal", _:
            return Bound(REBALANCE, PAUSE)
        case "decider", "hanging":
            hit = DECIDE_TIMEOUT + (followed if scenario.static else REBALANCE)
            return Bound(hit, REBALANCE, changed + scenario.session)
        case "decider", "slow":
            return Bound(PAUSE + fault.number * fault.seconds, PAUSE)
        case "full-disk", "starting":
            return Bound(REBALANCE, REBALANCE, REBALANCE)
        case _:
            return Bound(PAUSE, PAUSE)


def bound_of_broker(scenario: Scenario) -> Bound:
    """How long partitions may stand still once a broker is back that was away.

    The group forms anew, and workers that gave up meanwhile, or died, are followed as at any other
    time.
    """
    seconds = scenario.session + FOLLOWED + REBALANCE
    return Bound(seconds, seconds, seconds)


def stops_all(kind: str) -> bool:
    """Whether a fault may hold everybody up for as long as it lasts."""
    return kind.startswith(("kill-all", "storm", "broker-"))


def check_progress(
    spells: Sequence[Spell],
    seen: Mapping[int, Sequence[tuple[float, Any]]],
    partitions: int,
    begin: float,
    end: float,
    slow: Sequence[tuple[float, float]],
    problems: Problems,
) -> None:
    """Look for partitions that stood still for longer than they may (``no-progress``).

    Where several faults come together that may each stop a partition, there is no bound.

    Args:
        spells: what was wrong, and when; takes how long partitions stood still.
        seen: by partition, when its decisions came.
        partitions: how many there are.
        begin: when all were at work, `end` when the load ended.
        slow: when a request was written, and the seconds until the broker had acknowledged it: what
            a machine that is busy with other things, or its broker, took from everybody. So much
            is added to a bound, where no broker was away.
        problems: takes them.
    """
    alone = [
        one
        for one in spells
        if not any(
            other is not one and other.begin < one.until and one.begin < other.until
            for other in spells
        )
    ]
    for partition in range(partitions):
        inside = [at for at, _ in seen.get(partition, ()) if begin < at < end]
        for last, next_one in pairwise([begin, *inside, end]):
            pause = next_one - last
            around = [one for one in spells if one.begin < next_one and last < one.until]
            if len(around) == 1 and around[0] in alone:
                around[0].take(pause, hit=partition in around[0].hit)
            may = {one.kind: one.allowed(hit=partition in one.hit) for one in around}
            stopping = {kind: seconds for kind, seconds in may.items() if seconds > PAUSE}
            if len([one for one in around if one.kind in stopping]) > 1:
                continue
            allowed = max(stopping.values(), default=PAUSE)
            if not any(one.kind.startswith("broker-") for one in around):
                lags = [lag for at, lag in slow if last - lag < at < next_one]
                allowed += min(MOST_LAG, max(lags, default=0.0))
            if pause > allowed:
                during = " and ".join(sorted(may)) or "nothing"
                hit = any(partition in one.hit for one in around)
                problems.add(
                    "no-progress",
                    f"partition {partition} has no decision for {pause:.1f} s, {allowed:.1f} may be; "
                    f"{'hit by' if hit else 'meanwhile'} {during}",
                )
