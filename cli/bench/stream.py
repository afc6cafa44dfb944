"""What the stream costs: the worker against a bare loop on a Kafka broker, in topics of its own."""

from __future__ import annotations

import asyncio
import statistics
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from routec.cli.bench.result import Disagreement, LeftOut, Outcome, Result, Target
from routec.cli.bench.stream_side import Delivery, Side, Spec
from routec.cli.bench.stream_topics import Decisions, Told, load, throwaway_topics
from routec.cli.bench.timing import in_child
from routec.cli.interrupts import patient, silence_clients
from routec.runtime.config import Config
from routec.runtime.stream import StreamError

_LOOP = "a loop that makes the same transactions and nothing else (cli/bench/stream_loop.py)"
_NOTE = "no policy: the stream alone; by the clock, medians of rounds, sides in turns"
_CPU = "no policy: the stream alone; medians of rounds, sides in turns"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        events: requests that each run decides; several times what may be in flight at once.
        rounds: that count; one before them warms up, and is compared.
        seconds: that one run may take.
    """

    events: int
    rounds: int
    seconds: float


QUICK = Size(50_000, 1, 60.0)
WHOLE = Size(300_000, 3, 120.0)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where it is measured.

    Attributes:
        config: the cluster.
        file: where its configuration was read, for the processes that are measured.
    """

    config: Config
    file: str | None = None


@dataclass(slots=True)
class _Runs:
    """The figures of one side's rounds."""

    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


Sides = dict[tuple[Side, Delivery], _Runs]
_SIDES: tuple[tuple[Side, Delivery], ...] = (
    ("bare", "exactly_once"),
    ("worker", "exactly_once"),
    ("bare", "at_least_once"),
    ("worker", "at_least_once"),
)


def measure(
    quick: bool, cluster: Cluster | None = None, told: Told = lambda what: None
) -> Iterator[Outcome]:
    """The figures of the stream.

    Args:
        quick: fewer events, and one round.
        cluster: where; without one nothing is measured.
        told: is told what goes on.

    Raises:
        StreamError: the cluster cannot be reached, or refuses.
        Disagreement: the two sides do not decide the same.
    """
    if cluster is None:
        yield LeftOut("stream", "it is measured on a Kafka broker: name one with `--bootstrap`")
        return
    silence_clients()
    size = QUICK if quick else WHOLE
    prefix = f"routec-bench-{uuid.uuid4().hex[:12]}"
    with patient(quiet=True), throwaway_topics(cluster.config, prefix, told) as own:
        told(f"writing {size.events:,} requests")
        asyncio.run(load(own, size.events))
        sides = _alternate(own, prefix, cluster.file, size, told)
    for result in _results(sides):
        # One short round is a first look, and no measure of what was promised.
        yield replace(result, targets=()) if quick else result


def _results(sides: Sides) -> Iterator[Result]:
    rate = {who: statistics.median(runs.rates) for who, runs in sides.items()}
    cpu = {who: statistics.median(runs.cpu_us) for who, runs in sides.items()}
    deliveries: tuple[Delivery, ...] = ("exactly_once", "at_least_once")
    for one in deliveries:
        # The targets are of what is used by default.
        bounds = (Target(">=", 0.7, "ratio"),) if one == "exactly_once" else ()
        name = f"stream/{_words(one)}"
        mine, bare = rate["worker", one], rate["bare", one]
        yield Result(name, mine, "events/s", bare, _LOOP, bounds, _NOTE)
    yield Result(
        "stream/exactly once, of at least once",
        rate["worker", "exactly_once"],
        "events/s",
        rate["worker", "at_least_once"],
        "the same worker at least once",
        (Target(">=", 0.88, "ratio"),),
        _NOTE,
    )
    for one in deliveries:
        bounds = (Target("<=", 1.5, "ratio"),) if one == "exactly_once" else ()
        name = f"stream/CPU per event, {_words(one)}"
        yield Result(name, cpu["worker", one], "µs", cpu["bare", one], _LOOP, bounds, _CPU)


def _words(delivery: Delivery) -> str:
    return delivery.replace("_", " ")


def _alternate(config: Config, prefix: str, file: str | None, size: Size, told: Told) -> Sides:
    sides: Sides = {who: _Runs() for who in _SIDES}
    decisions, decided = Decisions(config), None
    for number in range(size.rounds + 1):
        for (side, delivery), runs in sides.items():
            words = _words(delivery)
            phase = f"round {number} of {size.rounds}" if number else "warming up"
            told(f"{phase}: {'the worker' if side == 'worker' else 'the bare loop'}, {words}")
            spec = Spec(
                side,
                delivery,
                file,
                config.kafka.bootstrap,
                prefix,
                f"{prefix}-{uuid.uuid4().hex[:8]}",
                size.events,
            )
            found = _one(spec, size.seconds)
            if number:
                runs.rates.append(found["rate"])
                runs.cpu_us.append(found["cpu_us"])
                continue
            same = asyncio.run(decisions.of_a_run(size.events))
            if decided is not None and same != decided:
                raise Disagreement(f"the {side} side decides other than those before, {words}")
            decided = same
    return sides


def _one(spec: Spec, seconds: float) -> dict[str, float]:
    found: dict[str, Any] = in_child("stream", msgspec.json.encode(spec).decode(), seconds=seconds)
    if "error" in found:
        message, help = found["error"]
        raise StreamError("stream-not-measured", message, help)
    return found
