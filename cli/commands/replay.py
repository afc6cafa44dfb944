"""Decide recorded requests again, and say what is decided otherwise.

Requests are read from a file, one JSON object a line, or from a Kafka topic (--from), in no group
and committing nothing. Costly signals and answers of the cache take the values that were recorded:
in the decisions topic, in the decisions named with --decisions, or in the event's own member
`signals`. What costs little is computed; a costly value that is needed and not recorded is an
error, unless --live computes it. A decision that comes out as it was recorded is printed byte for
byte as it was recorded.

One decision event a line comes out, or an entry with `error` where there is no decision: in the
order of the file, or partition by partition in the order of the topic. Decisions that differ from
those of --against, or else from the recorded ones, say so in `against`; --summary counts them.

The exit status is 0 where all events were decided, 1 where some were not, 2 where they cannot be
read.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from routec.cli.arguments import add_bootstrap, add_format, whole_number
from routec.cli.errors import CommandError
from routec.cli.interrupts import run_client
from routec.cli.programs import compile_file, with_bootstrap
from routec.cli.reading import read_once

if TYPE_CHECKING:
    from routec.runtime.replay.whence import Whence

EXAMPLES = """\
  routec replay helpdesk.route --events requests.jsonl > decisions.jsonl
  routec replay helpdesk.route --events requests.jsonl --decisions decisions.jsonl --summary
  routec replay new.route --events requests.jsonl --against old.route --summary --live
  routec replay new.route --bootstrap localhost:9092 --from 2h --summary
  routec replay helpdesk.route --config routec.toml --from 0/1200,1/990 --to 2026-11-22T09:00:00Z
  routec replay helpdesk.route --events requests.jsonl --live --profile-out helpdesk.profile.json
"""

_MOST = 10**9
_OF_TOPICS = ("bootstrap", "topic", "partition", "to")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec replay``."""
    parser.add_argument("policy", metavar="POLICY", help="a policy")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--events", metavar="FILE", help="request events, one a line; - for stdin")
    source.add_argument(
        "--from",
        dest="begin",
        metavar="WHEN",
        help="request events of a Kafka topic, from there: `earliest`, a time as "
        "2026-11-22T09:00:00Z, ago as 90s, 15m, 2h, 3d, an offset in every partition, or "
        "PARTITION/OFFSET,…",
    )
    parser.add_argument(
        "--to",
        metavar="WHEN",
        help="the end of them, not included; the end of the topic as of now if not given",
    )
    add_bootstrap(parser)
    parser.add_argument("--topic", metavar="TOPIC", help="the topic (default: `topics.requests`)")
    parser.add_argument(
        "--partition",
        action="append",
        type=whole_number(0, _MOST),
        metavar="N",
        help="only this partition; repeatable",
    )
    parser.add_argument(
        "--decisions",
        metavar="FILE",
        help="the decisions of --events, one a line, joined by request id, - for stdin; those of a "
        "topic are read from `topics.decisions`",
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
    read_once(
        {
            "POLICY": options.policy,
            "--against": options.against,
            "--events": options.events,
            "--decisions": options.decisions,
        }
    )
    begin, end = _range(options)
    compiled = compile_file(options.policy, config=options.config)
    against = None
    if options.against is not None:
        against = compile_file(options.against, config=options.config)

    from routec.cli.replayer import Asked, replay_file, replay_topic

    asked = Asked(
        compiled,
        against,
        live=options.live,
        summary=options.summary,
        format=options.format,
        profile_out=options.profile_out,
    )
    if begin is None or end is None:
        return run_client(replay_file(asked, options.events, options.decisions))
    config = with_bootstrap(compiled.config, options.bootstrap)
    topic = config.topics.requests if options.topic is None else options.topic
    work = replay_topic(asked, config, topic, options.partition or (), begin, end)
    return run_client(work, quiet=options.format == "json")


def _range(options: argparse.Namespace) -> tuple[Whence | None, Whence | None]:
    """Where in a topic to begin and to end; ``None`` for a file."""
    if options.begin is None:
        for name in _OF_TOPICS:
            if getattr(options, name) is not None:
                raise CommandError(
                    f"`--{name}` is of a topic, and the requests are read from a file",
                    "write `--from` instead of `--events`, or leave it out",
                )
        return None, None
    if options.decisions is not None:
        raise CommandError(
            "`--decisions` is of a file, and the requests are read from a topic",
            "name the topic of the decisions with `topics.decisions`",
        )

    from routec.runtime.replay.whence import FORMS, LATEST, ends_before, parse_whence

    now = time.time()
    try:
        begin = parse_whence(options.begin, now)
        end = LATEST if options.to is None else parse_whence(options.to, now)
    except ValueError as error:
        raise CommandError(str(error), f"write {FORMS}") from error
    if ends_before(begin, end, now):
        to = "the end of now" if options.to is None else f"`--to {options.to}`"
        raise CommandError(
            f"the range ends before it begins: {to} is before `--from {options.begin}`",
            "name a later place with `--to`, or an earlier one with `--from`",
        )
    return begin, end
