"""One worker or pass-through, in a process of its own.

    python -m streaming.candidate SPEC      # SPEC as JSON, see `Spec`

It runs until ``count`` events are committed, or until SIGTERM, and then prints its tally.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import msgspec
import uvloop

from routec.cli.bench.stream_loop import BareLoop
from routec.runtime.config import Config, Kafka, Runtime, Topics
from routec.runtime.records import Decider
from routec.runtime.stream import Worker
from routec.runtime.stream.process import spare_the_stream
from streaming.answer import answer
from streaming.deciders import Gated, NullDecider, Stalling, taught, taught_by_hand
from streaming.setting import Delivery
from streaming.tally import Tally


class Spec(msgspec.Struct, frozen=True):
    """What to run.

    Attributes:
        kind: ``worker``, ``pass-through``, or ``by-hand``: a worker with the policy of the target
            written by hand.
        delivery: as `runtime.delivery`.
        bootstrap: the broker.
        group: the consumer group.
        requests: where from.
        decisions: where to.
        dlq: where what cannot be decided goes.
        batch: as `runtime.batch_size`.
        partitions: of the requests.
        policy: a policy file; ``None`` decides with no policy.
        count: events to decide, at least; ``None`` goes on until SIGTERM.
        stall: when the decider stands still and for how long, seconds; ``None`` for never.
    """

    kind: str
    delivery: Delivery
    bootstrap: str
    group: str
    requests: str
    decisions: str
    dlq: str
    batch: int
    partitions: int
    policy: str | None = None
    count: int | None = None
    stall: tuple[float, float] | None = None


def spec(config: Config, kind: str, partitions: int, **others: object) -> dict[str, object]:
    """The specification of a candidate on a configuration's topics."""
    return {
        "kind": kind,
        "delivery": config.runtime.delivery,
        "bootstrap": config.kafka.bootstrap,
        "group": config.kafka.group,
        "requests": config.topics.requests,
        "decisions": config.topics.decisions,
        "dlq": config.topics.dlq,
        "batch": config.runtime.batch_size,
        "partitions": partitions,
        **others,
    }


def _config(given: Spec) -> Config:
    topics = dict.fromkeys(Topics.__struct_fields__, "")
    topics |= {"requests": given.requests, "decisions": given.decisions, "dlq": given.dlq}
    return Config(
        kafka=Kafka(bootstrap=given.bootstrap, group=given.group),
        topics=Topics(**topics),
        runtime=Runtime(batch_size=given.batch, delivery=given.delivery),
    )


async def _make(given: Spec, tally: Tally) -> Worker | BareLoop:
    config = _config(given)
    if given.kind == "pass-through":
        return BareLoop(config, given.partitions, answer, tally.committed)
    decider: Decider = NullDecider()
    if given.kind == "by-hand":
        decider = taught_by_hand()
    elif given.policy is not None:
        decider = await taught(given.policy)
    if given.stall is not None:
        decider = Stalling(decider, *given.stall)
    return Worker(config, Gated(decider, tally), tally)


async def run(given: Spec) -> None:
    """Run it and print its tally."""
    tally = Tally(given.count)
    candidate = await _make(given, tally)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, tally.done.set)
    # As `routec run` does; the pass-through has it easier as well.
    spare_the_stream()
    running = asyncio.create_task(candidate.run())
    waiting = asyncio.create_task(tally.done.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    report = tally.report()
    candidate.stop()
    await running
    waiting.cancel()
    print(msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(run(msgspec.json.decode(sys.argv[1], type=Spec)))
