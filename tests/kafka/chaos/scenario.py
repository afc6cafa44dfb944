"""What happens in a seed: everything is drawn here, before anything runs."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

from tests.kafka.chaos.board import CLASSIFIER_MOODS, DECIDER_MOODS, POINTS
from tests.kafka.chaos.policy import KINDS as POLICIES
from tests.kafka.chaos.policy import Kind

BROKER_EVERY = 5
"""One seed in so many is in the weather."""
BLOCK = 25
"""So many seeds, one after the other, share their weather: what befalls the broker they share."""

KINDS = (
    "kill-at",
    "kill",
    "kill-all",
    "stop-at",
    "stop",
    "terminate",
    "storm",
    "steal",
    "swap",
    "decider",
    "classifier",
    "worker-clock",
    "event-clock",
    "full-disk",
)
_WEIGHTS = (8, 2, 2, 4, 2, 2, 2, 3, 3, 3, 3, 3, 2, 3)
_STOP_POINTS = (
    "fetched",
    "decided",
    "before-begin",
    "begun",
    "sent",
    "acknowledged",
    "offsets-sent",
)
_JUMP_POINTS = (*_STOP_POINTS, "committed")
EXTRAS = ("responses", "status", "differences")
"""Topics that a worker can do without; each is there in most seeds."""
SHARE = 0.3
"""Of the requests that a canary decides."""
Candidate = Literal["none", "shadow", "canary"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        at: seconds after all workers are at work.
        kind: one of `KINDS`.
        detail: the point, the mood, what a stop outlasts (``session`` or ``transaction``), or
            when the disk is full (``starting`` or ``running``).
        number: how often a point is met before, calls that are answered wrongly, members of a
            storm, thefts, policies, or seconds of a clock's jump.
        seconds: how slow, the pause between the members of a storm or two policies, or how often
            the point is met before at which a worker's clock jumps.
        whom: index of the worker or partition, modulo how many there are.
    """

    at: float
    kind: str
    detail: str
    number: int
    seconds: float
    whom: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """A seed's traffic, workers and faults.

    Attributes:
        seed: the seed.
        partitions: of each topic.
        workers: how many are kept alive; one that ends is followed after `restart` seconds.
        static: whether each has a stable name in the group.
        session, transaction: the time-outs, seconds.
        batch: most events decided at once, and `pause` the seconds that each batch takes at least.
        in_flight: most events in flight.
        backlog: events that are there before the workers, and `rate` a second after that.
        bad: share of malformed events; `giant` share of those too large for an event.
        faults: in order of time.
        weather: whether the broker is hurt, too.
        policy: what kind of policy decides.
        candidate: what is tried beside it from the start.
        extras: which topics there are that a worker can do without.
    """

    seed: int
    partitions: int
    workers: int
    static: bool
    session: float
    transaction: float
    restart: float
    batch: int
    pause: float
    in_flight: int
    backlog: int
    rate: int
    bad: float
    giant: float
    faults: tuple[Fault, ...]
    weather: bool
    policy: Kind
    candidate: Candidate
    extras: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weather:
    """One thing that befalls the broker: killed or stopped in order, and down for a while."""

    at: float
    kind: str
    down: float


def draw(seed: int) -> Scenario:
    """The scenario of a seed; the same each time."""
    rng = random.Random(f"chaos {seed}")
    weather = seed % BROKER_EVERY == BROKER_EVERY - 1
    # Many have one fault alone, so that its recovery can be timed.
    count = rng.choice((0, 1, 2)) if weather else rng.choice((1, 1, 1, 2, 3, 4, 5))
    at, faults = rng.uniform(0.1, 1.0), []
    for _ in range(count):
        fault = _fault(rng, at)
        # With everybody dead the topics are read, for which the broker must be there.
        if not (weather and fault.kind == "kill-all"):
            faults.append(fault)
        at += rng.choice((0.0, 0.2, rng.uniform(0.5, 2.0), rng.uniform(2.0, 4.0)))
    kind, candidate, extras = _parts(seed)
    if kind == "plain":
        # It asks no classifier, so none can be ill; the cache passes to the next policy instead.
        faults = [_instead(one) if one.kind == "classifier" else one for one in faults]
    scenario = Scenario(
        seed=seed,
        policy=kind,
        candidate=candidate,
        extras=extras,
        partitions=rng.choice((1, 2, 3, 4, 6, 8)),
        workers=rng.choice((1, 2, 2, 3)),
        static=rng.random() < 0.2,
        session=rng.choice((1.5, 2.0, 3.0)),
        transaction=rng.choice((3.0, 4.0, 5.0)),
        restart=rng.choice((0.0, 0.2, 0.5)),
        batch=rng.choice((5, 20, 50, 200)),
        pause=rng.choice((0.0, 0.002, 0.01, 0.03)),
        in_flight=rng.choice((50, 300, 2000)),
        backlog=rng.choice((0, 50, 300)),
        rate=rng.choice((60, 120, 200)),
        bad=rng.choice((0.0, 0.02, 0.1)),
        giant=rng.choice((0.0, 0.002, 0.01)),
        faults=tuple(faults),
        weather=weather,
    )
    if (
        [one.kind for one in faults] in (["kill"], ["kill-at"])
        and scenario.workers > 1
        and seed % 4
    ):
        # The one that is killed is not followed before the group knows that it is gone: until then
        # the others have to go on.
        return replace(scenario, restart=scenario.session + 1.0)
    return scenario


def _parts(seed: int) -> tuple[Kind, Candidate, tuple[str, ...]]:
    rng = random.Random(f"parts {seed}")
    kind = rng.choice(POLICIES)
    candidate: Candidate = rng.choice(("none", "shadow", "shadow", "canary"))
    return kind, candidate, tuple(one for one in EXTRAS if rng.random() < 0.85)


def _instead(fault: Fault) -> Fault:
    return replace(fault, kind="swap", detail="", number=2, seconds=0.1)


def draw_weather(seed: int) -> tuple[Weather, ...]:
    """The weather of a seed's block."""
    rng = random.Random(f"weather {seed // BLOCK}")
    found, at = [], rng.uniform(0.5, 2.0)
    for _ in range(rng.choice((1, 2, 2))):
        found.append(Weather(at, rng.choice(("broker-kill", "broker-stop")), rng.uniform(0.0, 3.0)))
        at += rng.uniform(3.0, 6.0)
    return tuple(found)


def _fault(rng: random.Random, at: float) -> Fault:
    kind = rng.choices(KINDS, _WEIGHTS)[0]
    detail, number, seconds = "", 1, 0.0
    if kind == "kill-at":
        detail = rng.choice(POINTS)
        number = rng.randint(1, 6) if detail not in ("opening", "opened", "revoking") else 1
    elif kind == "stop-at":
        detail, number = rng.choice(_STOP_POINTS), rng.randint(1, 6)
        seconds = rng.choice((0.3, -1.0, -2.0))
    elif kind == "stop":
        seconds = rng.choice((0.3, -1.0, -2.0))
    elif kind == "storm":
        number, seconds = rng.randint(3, 8), rng.choice((0.1, 0.3, 0.6))
    elif kind == "steal":
        number = rng.randint(1, 2)
    elif kind == "swap":
        number, seconds = 2, rng.choice((0.0, 0.1, 0.5))
    elif kind == "decider":
        detail, number = rng.choice(DECIDER_MOODS[1:]), rng.randint(1, 5)
        seconds = rng.choice((0.2, 1.0))
        number = 1 if detail == "hanging" else number
    elif kind == "classifier":
        detail, number = rng.choice(CLASSIFIER_MOODS[1:]), rng.randint(2, 20)
        seconds = rng.choice((0.05, 0.2, 0.5))
    elif kind == "full-disk":
        detail = rng.choice(("starting", "running", "running"))
    elif kind.endswith("clock"):
        # Brokers refuse what is more than an hour ahead.
        number = rng.choice((-10 * 365 * 86_400, -86_400, -60, 60, 3000))
        if kind == "worker-clock" and rng.random() < 0.5:
            detail, seconds = rng.choice(_JUMP_POINTS), float(rng.randint(1, 6))
    return Fault(at, kind, detail, number, seconds, rng.randrange(1000))
