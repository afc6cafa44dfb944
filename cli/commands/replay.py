"""Decide recorded requests again, and say what another policy would have decided.

Events are read from a file, one JSON object a line, and decided in its order: one decision event a
line comes out, or an entry with `error` where there is no decision. Costly signals take the values
that were recorded: in the event's own member `signals`, or in its decision, named with --decisions.
What costs little is computed; a costly value that is needed and not recorded is an error, unless
--live computes it. The cache is not asked. What is decided depends on nothing else: the same
events give the same bytes.

The exit status is 0 where all events were decided, 1 where some were not, 2 where a file cannot be
read.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routec.cli import exits
from routec.cli.arguments import add_format
from routec.cli.errors import CommandError
from routec.cli.programs import Compiled, compile_file

if TYPE_CHECKING:
    from routec.cli.profiling import Profiler
    from routec.cli.render.replay import Counted
    from routec.cli.replaying import Answer, Compared
    from routec.compiler.plan import Profile
    from routec.compiler.program import Program
    from routec.runtime.replay import Redecided

EXAMPLES = """\
  routec replay helpdesk.route --events requests.jsonl > decisions.jsonl
  routec replay helpdesk.route --events requests.jsonl --decisions decisions.jsonl --summary
  routec replay new.route --events requests.jsonl --against old.route --summary --live
  routec replay helpdesk.route --events requests.jsonl --live --profile-out helpdesk.profile.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec replay``."""
    parser.add_argument("policy", metavar="POLICY", help="a policy")
    parser.add_argument(
        "--events", metavar="FILE", required=True, help="request events, one a line"
    )
    parser.add_argument(
        "--decisions", metavar="FILE", help="their decisions, one a line, joined by request id"
    )
    parser.add_argument(
        "--against",
        metavar="OLD",
        help="also decide by this policy, the one whose signals were recorded, and compare",
    )
    parser.add_argument(
        "--summary", action="store_true", help="print counts and differences, not decisions"
    )
    parser.add_argument(
        "--live", action="store_true", help="compute costly signals that were not recorded"
    )
    parser.add_argument(
        "--profile-out",
        metavar="FILE",
        help="write what the planner should know of this traffic, for `compile --profile`; "
        "with --live every signal of a sample of requests is computed for it",
    )
    parser.add_argument("--config", metavar="FILE", help="the configuration (routec.toml)")
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Replay and print."""
    compiled = compile_file(options.policy, config=options.config)
    against = None
    if options.against is not None:
        against = compile_file(options.against, config=options.config)
    return asyncio.run(_replay(options, compiled, against))


async def _replay(options: argparse.Namespace, compiled: Compiled, against: Compiled | None) -> int:
    import orjson

    from routec.cli.event_file import EventFile
    from routec.cli.render.replay import Counted
    from routec.cli.replaying import Comparing, replay_of, replayed
    from routec.runtime.replay import Redecided

    recorded = None if against is None else against.program
    new = replay_of(compiled, live=options.live, recorded=recorded)
    replays = [new]
    comparing = None
    if against is not None:
        replays.append(replay_of(against, live=options.live))
        comparing = Comparing(against.program, compiled.program)
    profiler = None
    if options.profile_out is not None:
        profiler = _profiler(compiled, options.live, recorded)
    counted = Counted()
    async for answer, *other in replayed(EventFile(options.events, options.decisions), replays):
        counted.add(answer)
        before = other[0] if other else None
        if comparing is not None and before is not None:
            comparing.add(before, answer)
        if profiler is not None and answer.request is not None:
            profiler.add(answer.event, answer.request)
        if not isinstance(answer, Redecided):
            entry = answer.document()
        elif not options.summary:
            entry = new.document(answer) | _otherwise(before, answer)
        if not options.summary:
            _write_line(orjson.dumps(entry))
    if profiler is not None:
        _write_profile(await profiler.profile(), options.profile_out)
    if options.summary:
        compared = None if comparing is None else comparing.found
        _write_summary(options.format, compiled, counted, compared)
    return exits.FOUND if counted.refused else exits.FINE


def _otherwise(before: Answer | None, now: Redecided) -> dict[str, Any]:
    """What the other policy decides, where that is something else."""
    from routec.cli.flips import outcome
    from routec.runtime.replay import Redecided

    if not isinstance(before, Redecided):
        return {}
    old, new = before.decision, now.decision
    if (outcome(old), old.model) == (outcome(new), new.model):
        return {}
    guard = None if old.reject is None else old.reject.guard or old.reject.reason
    told = {"outcome": old.outcome, "route": old.route, "model": old.model, "reject": guard}
    return {"against": told}


def _write_summary(
    format: str, compiled: Compiled, counted: Counted, compared: Compared | None
) -> None:
    from routec.cli.render.json import write_json
    from routec.cli.render.replay import document, summary
    from routec.cli.render.styled import write

    name = compiled.program.name
    if format == "json":
        write_json(document(name, compiled.hash, counted, compared))
    else:
        write(summary(name, counted, compared))


def _profiler(compiled: Compiled, live: bool, recorded: Program | None) -> Profiler:
    from routec.cli.profiling import Profiler
    from routec.cli.replaying import live_services, reader

    services = live_services(compiled) if live else None
    return Profiler(compiled.program, reader(compiled.program, recorded), services)


def _write_profile(profile: Profile, file: str) -> None:
    from routec.compiler.plan import ProfileError, dump_profile

    try:
        data = dump_profile(profile)
    except ProfileError as error:
        raise CommandError(error.message, error.help) from error
    try:
        Path(file).write_bytes(data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path of a file"
        raise CommandError(
            f"cannot write `{file}`: {reason.lower()}", "name another file with `--profile-out`"
        ) from error


def _write_line(data: bytes) -> None:
    """One line on standard output, in UTF-8 whatever the locale."""
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(data.decode() + "\n")
    else:
        binary.write(data + b"\n")
