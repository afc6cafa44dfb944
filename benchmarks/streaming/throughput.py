"""Events per second and CPU of the worker against pass-throughs that do the same transactions."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streaming import deciders, traffic
from streaming.candidate import spec
from streaming.processes import candidate, tally
from streaming.setting import Delivery, drop_topics, fresh, load, make_topics, new_config

HERE = Path(__file__).resolve().parents[1]
POLICY = HERE / "stream.route"
KEYWORDS = HERE / "stream_keywords.route"
BY_HAND = "worker-eos-by-hand"
"""The worker with what `POLICY` says written by hand."""
NODES = range(18, 27)
"""What some twenty decision nodes are."""
HITS = (0.25, 0.35)
"""Share of the requests that the cache of `POLICY` must answer."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took.

    Attributes:
        rate: events per second, from a fifth of all committed to the last commit.
        cpu_us: microseconds of the candidate's CPU time per event, meanwhile.
        grouped: events per transaction; at least once, per write to a partition.
    """

    rate: float
    cpu_us: float
    grouped: float


@dataclass(frozen=True, slots=True)
class Who:
    """A candidate: its kind, how it delivers, by what it decides."""

    kind: str
    delivery: Delivery
    policy: str | None = None


Runs = dict[str, list[Run]]


def title_of(policy: str | Path) -> str:
    """The name of the worker that decides by a policy."""
    return f"worker-eos-{Path(policy).stem}"


def candidates(policies: list[str]) -> dict[str, Who]:
    """By name; policies are run exactly once."""
    found = {
        "pass-through-alo": Who("pass-through", "at_least_once"),
        "pass-through-eos": Who("pass-through", "exactly_once"),
        "worker-alo-null": Who("worker", "at_least_once"),
        "worker-eos-null": Who("worker", "exactly_once"),
        BY_HAND: Who("by-hand", "exactly_once"),
    }
    for file in policies:
        found[title_of(file)] = Who("worker", "exactly_once", file)
    return found


async def check_policy() -> dict[str, Any]:
    """That the policy of the target is what the target speaks of."""
    nodes, share = deciders.nodes(str(POLICY)), await deciders.hit_share(str(POLICY))
    if nodes not in NODES:
        raise SystemExit(f"{POLICY.name} has {nodes} decision nodes, not some twenty")
    if not HITS[0] <= share <= HITS[1]:
        raise SystemExit(f"the cache of {POLICY.name} answers {share:.0%} of the requests")
    return {"nodes": nodes, "hit_share": share}


async def measure(
    bootstrap: str,
    who: dict[str, Who],
    events: int,
    rounds: int,
    batch: int,
    policy_events: int | None = None,
) -> tuple[Runs, float]:
    """Alternate the candidates; the first round, which warms up the broker, does not count.

    Args:
        bootstrap: the broker.
        who: the candidates.
        events: requests to decide; many times what may be in flight at once.
        rounds: that count.
        batch: most events a batch.
        policy_events: how many of them a worker with a policy decides; all unless given.

    Returns:
        Their runs, and the mean size of the events in bytes.
    """
    config = new_config(bootstrap, batch)
    await make_topics(config)
    size = await load(config, events)
    runs: Runs = {name: [] for name in who}
    for number in range(rounds + 1):
        for name, one in who.items():
            count = events if one.policy is None else policy_events or events
            given = spec(
                fresh(config, one.delivery),
                one.kind,
                traffic.PARTITIONS,
                policy=one.policy,
                count=count,
            )
            async with candidate(given) as process:
                found = await tally(process)
            if found["events"] < count:
                raise RuntimeError(f"{name} committed {found['events']} of {count} events")
            if number:
                runs[name].append(Run(found["rate"], found["cpu_us"], found["grouped"]))
    await drop_topics(config)
    return runs, size


def middle(runs: list[Run]) -> Run:
    """Median of each figure."""
    return Run(
        statistics.median(one.rate for one in runs),
        statistics.median(one.cpu_us for one in runs),
        statistics.median(one.grouped for one in runs),
    )
