"""Show which policy each worker decides by, since when, and what was refused.

Read from the status topic, which workers write to at every change and twice a minute. A worker
without a record for longer than that is shown as lost; one that stopped in order is not shown.

The exit status is 0 where every worker is there, its newest program was put in force, and all that
ask for signatures follow the same records, else 1.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from routec.cli import exits
from routec.cli.arguments import add_bootstrap, add_format
from routec.cli.errors import CommandError
from routec.cli.interrupts import run_client
from routec.cli.programs import read_config, with_bootstrap
from routec.cli.text import visible

if TYPE_CHECKING:
    from routec.cli.render.styled import Line
    from routec.runtime.config import Config
    from routec.runtime.policies.status import ProgramStatus, WorkerStatus

EXAMPLES = """\
  routec status --bootstrap localhost:9092
  routec status --config /etc/routec/routec.toml --format json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec status``."""
    add_bootstrap(parser)
    parser.add_argument(
        "--config", metavar="FILE", help="the configuration (default: routec.toml in this folder)"
    )
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Read the status topic to its end and show it."""
    config = read_config("routec.toml", options.config)
    if not config.topics.status:
        raise CommandError("there is no status topic to read", "set `topics.status` in routec.toml")
    config = with_bootstrap(config, options.bootstrap)
    return run_client(_show(config, options.format), quiet=options.format == "json")


async def _show(config: Config, format: str) -> int:
    from routec.runtime.policies.registry import read_statuses

    statuses = await read_statuses(config)
    now = time.time()
    if format == "json":
        from routec.cli.render.json import write_json

        write_json(document(statuses, now))
    else:
        from routec.cli.render.styled import write

        write(full(statuses, now))
    fine = all(healthy(one, now) for one in statuses) and not divided(statuses, now)
    return exits.FINE if fine else exits.FOUND


def lost(one: WorkerStatus, now: float) -> bool:
    """Whether the worker's record is older than it may be."""
    from routec.runtime.policies.status import STALE

    return now - one.time > STALE


def healthy(one: WorkerStatus, now: float) -> bool:
    """Whether the worker is there, without a problem, and nothing was refused since its policy
    came into force.
    """
    refused = any(failure.time >= _newest(one) for failure in one.failures)
    return not (lost(one, now) or one.problems or refused)


def divided(statuses: list[WorkerStatus], now: float) -> list[str]:
    """Policies whose workers follow different signed records, though none is new; by name.

    Such workers did not find the same in the control topic: records of it were removed, or one
    was not read.
    """
    from routec.runtime.policies.status import INTERVAL

    followed: dict[str, set[tuple[int | None, ...]]] = {}
    since: dict[str, float] = {}
    for one in statuses:
        if lost(one, now) or one.active.sequence is None:
            continue
        candidate = None if one.candidate is None else one.candidate.sequence
        followed.setdefault(one.policy, set()).add((one.active.sequence, candidate))
        since[one.policy] = max(since.get(one.policy, 0.0), _newest(one))
    # What is new may not have come to all of them.
    return sorted(
        policy
        for policy, records in followed.items()
        if len(records) > 1 and now - since[policy] > INTERVAL
    )


def _newest(one: WorkerStatus) -> float:
    """When what the worker decides by changed last."""
    return max(one.active.since, 0.0 if one.candidate is None else one.candidate.since)


def document(statuses: list[WorkerStatus], now: float) -> dict[str, Any]:
    """The object of ``--format json``, every key always there; ages are in seconds."""
    from msgspec.structs import asdict

    workers = []
    for one in statuses:
        told = {
            "active": asdict(one.active),
            "candidate": None if one.candidate is None else asdict(one.candidate),
            "failures": [asdict(failure) for failure in one.failures],
            "problems": [asdict(problem) for problem in one.problems],
            "host": one.host or None,
            "age": round(max(0.0, now - one.time), 3),
            "lost": lost(one, now),
            "healthy": healthy(one, now),
        }
        workers.append(asdict(one) | told)
    return {"version": 1, "workers": workers, "divided": divided(statuses, now)}


def full(statuses: list[WorkerStatus], now: float) -> list[Line]:
    """The lines for a person."""
    from routec.cli.render.styled import line

    if not statuses:
        return [line("no worker has told its status")]
    lines: list[Line] = []
    for one in statuses:
        state = f"lost: silent for {age(now - one.time)}" if lost(one, now) else "running"
        lines.append(
            (
                (visible(f"{one.group}/{one.worker}"), "strong"),
                (f"  {state}", "error" if lost(one, now) else "good"),
                (f"  started {age(now - one.started)} ago", ""),
            )
        )
        lines.append(line(visible(f"  {one.policy}  {_program(one.active, now)}")))
        if one.candidate is not None:
            mode = "canary" if one.candidate.share else "shadow"
            lines.append(line(visible(f"  {mode}  {_program(one.candidate, now)}")))
            lines.append(
                line(f"  canaries decided {one.tried:,}, fell back {one.fallen_back:,}")
                if one.candidate.share
                else line(
                    f"  shadows compared {one.compared:,}, differing {one.differing:,}, "
                    f"skipped {one.skipped:,}"
                )
            )
        lines += [
            line(visible(f"  {problem.code}: {problem.message}"), "error")
            for problem in one.problems
        ]
        for failure in one.failures:
            told = f"  refused {age(now - failure.time)} ago: {failure.code}: {failure.message}"
            lines.append(
                line(visible(f"{told} (record {failure.partition}/{failure.offset})"), "warning")
            )
    for policy in divided(statuses, now):
        told = f"workers of {policy} follow different signed records: deploy it again, signed"
        lines.append(line(visible(told), "error"))
    return lines


def _program(one: ProgramStatus, now: float) -> str:
    source = (
        "what it was started with" if one.offset is None else f"record {one.partition}/{one.offset}"
    )
    share = "" if not one.share else f"  {one.share:.4g} of the requests"
    signed = "" if one.signed_by is None else f", signed with {one.signed_by}"
    return f"{one.hash}{share}  for {age(now - one.since)}, from {source}{signed}"


def age(seconds: float) -> str:
    """Such as ``42 s``, ``5 min``, ``3 h`` or ``12 d``."""
    seconds = max(0.0, seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
