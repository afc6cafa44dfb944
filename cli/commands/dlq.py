"""Look at dead letters, and bring them back.

`list` counts the letters by reason and topic, and names the newest. `show` prints one, with its
reason and the original record. `replay` writes the original records to the partitions that they
came from, without the headers of the reason, and remembers which: another replay leaves them
alone, unless told --again. Ctrl-C finishes the transaction under way.

Letters are written back to the topic of the requests only, unless another is named with --topic.

The exit status is 0, 1 where a letter could not be brought back, and 2 where there is none to show.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from routec.cli.arguments import add_bootstrap, add_format, whole_number
from routec.cli.errors import CommandError
from routec.cli.interrupts import run_client

if TYPE_CHECKING:
    from routec.runtime.dlq import Selection

EXAMPLES = """\
  routec dlq list --bootstrap localhost:9092 --code invalid-json --since 2h
  routec dlq show 3/41 --config routec.toml
  routec dlq show 3/41 --raw > event.json
  routec dlq replay --code missing-attribute --dry-run
"""

_MOST = 10**9
_PLACE = re.compile(r"([0-9]{1,9})/([0-9]{1,18})\Z")
_AGO = re.compile(r"([0-9]{1,9})(s|m|h|d)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec dlq``."""
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="list|show|replay", title="actions"
    )
    listing = actions.add_parser(
        "list", description="Count dead letters.", help="count letters and name the newest"
    )
    _add_selection(listing)
    listing.add_argument(
        "--limit",
        type=whole_number(0, _MOST),
        default=10,
        metavar="N",
        help="how many of the newest to name (default: 10)",
    )
    show = actions.add_parser("show", description="Print one dead letter.", help="print one letter")
    show.add_argument("letter", type=_place, metavar="PARTITION/OFFSET", help="as `list` names it")
    show.add_argument(
        "--raw", action="store_true", help="print the bytes of the original value, no more"
    )
    replay = actions.add_parser(
        "replay",
        description="Write the original records to the partitions that they came from.",
        help="bring letters back",
    )
    _add_selection(replay)
    replay.add_argument(
        "--limit", type=whole_number(1, _MOST), metavar="N", help="how many to bring back at most"
    )
    replay.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and do nothing"
    )
    replay.add_argument(
        "--again", action="store_true", help="bring back also what was brought back before"
    )
    for action in (listing, show, replay):
        action.add_argument(
            "--config",
            metavar="FILE",
            help="the configuration (default: routec.toml in this folder)",
        )
        add_bootstrap(action)
        add_format(action, ("full", "json"))


def _add_selection(parser: argparse.ArgumentParser) -> None:
    wanted = parser.add_argument_group("which letters (default: all)")
    wanted.add_argument(
        "--letter",
        action="append",
        default=[],
        type=_place,
        metavar="PARTITION/OFFSET",
        help="this one; repeatable",
    )
    wanted.add_argument("--code", action="append", default=[], help="with this reason; repeatable")
    wanted.add_argument(
        "--topic", action="append", default=[], help="of records from this topic; repeatable"
    )
    wanted.add_argument(
        "--partition",
        action="append",
        default=[],
        type=whole_number(0, _MOST),
        metavar="N",
        help="of records from this partition of it; repeatable",
    )
    for name, what in (("--since", "written then or later"), ("--until", "written before")):
        wanted.add_argument(
            name,
            type=_moment,
            metavar="TIME",
            help=f"{what}: 2026-11-22T09:00:00Z, or ago: 90s, 15m, 2h, 3d",
        )


def run(options: argparse.Namespace) -> int:
    """Do what is asked."""
    if options.action == "show" and options.raw and options.format != "full":
        raise CommandError("`--raw` and `--format` exclude each other", "leave one out")

    from routec.cli.programs import read_config, with_bootstrap

    config = with_bootstrap(read_config("", options.config), options.bootstrap)

    from routec.cli import letters

    format = options.format
    if options.action == "show":
        work = letters.show(config, options.letter, format, raw=options.raw)
    elif options.action == "list":
        work = letters.listed(config, _selection(options), options.limit, format)
    else:
        work = letters.replay(
            config,
            _selection(options),
            format,
            again=options.again,
            limit=options.limit,
            dry_run=options.dry_run,
        )
    return run_client(work, quiet=format == "json")


def _selection(options: argparse.Namespace) -> Selection:
    from routec.runtime.dlq import Selection

    return Selection(
        codes=frozenset(options.code),
        topics=frozenset(options.topic),
        partitions=frozenset(options.partition),
        since_ms=options.since,
        until_ms=options.until,
        places=frozenset(options.letter),
    )


def _place(text: str) -> tuple[int, int]:
    match = _PLACE.match(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"`{text}` is no letter: write PARTITION/OFFSET")
    return int(match[1]), int(match[2])


def _moment(text: str, now: Callable[[], float] = time.time) -> int:
    """A time in milliseconds since the epoch; one without a zone is UTC."""
    ago = _AGO.match(text)
    if ago is not None:
        return round((now() - int(ago[1]) * _SECONDS[ago[2]]) * 1000)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"`{text}` is no time: write `2026-11-22T09:00:00Z`, or `2h` for two hours ago"
        ) from error
