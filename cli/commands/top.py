"""Watch workers at work: rates, lag, outcomes, routes, cache, signals, failures, what is in flight.

Reads what each worker serves at /metrics and /healthz; several workers are shown together. With
--bootstrap, or --config, the workers are found through Kafka: it shows how far each group is, which
worker decides by which policy, and which is lost; and the metrics of those whose addresses answer.

Ctrl-C ends it. Counters are since the workers' start, rates and latencies between two looks.
"""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING

from routec.cli import exits
from routec.cli.arguments import add_bootstrap, add_format, whole_number
from routec.cli.errors import CommandError

if TYPE_CHECKING:
    from routec.cli.sights import Sight
    from routec.runtime.config import Config

EXAMPLES = """\
  routec top
  routec top http://worker-1:9464 http://worker-2:9464
  routec top --bootstrap localhost:9092
  routec top --config /etc/routec/routec.toml --once
  routec top --once --format json
"""

_DEFAULT = "http://127.0.0.1:9464"
_INTERVAL = 1000
_PATIENCE = 5.0
"""Seconds that a worker may take to answer."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec top``."""
    parser.add_argument(
        "workers",
        metavar="URL",
        nargs="*",
        help=f"addresses of workers' metrics (default: {_DEFAULT})",
    )
    add_bootstrap(parser, "find the workers of this Kafka cluster")
    parser.add_argument(
        "--config", metavar="FILE", help="find the workers of the cluster of this configuration"
    )
    parser.add_argument(
        "--interval",
        type=whole_number(0, 3_600_000),
        default=_INTERVAL,
        metavar="MS",
        help=f"milliseconds between two looks (default: {_INTERVAL})",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="look twice, print and end; with `--interval 0` look once, without rates",
    )
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Watch until Ctrl-C, or print once."""
    from routec.cli.render.styled import coloured
    from routec.cli.sights import ClusterSight, WorkerSight
    from routec.runtime.observe.scrape import ScrapeError
    from routec.runtime.stream.errors import StreamError

    if not options.once and options.format == "json":
        raise CommandError("`--format json` needs `--once`", "add `--once`")
    if not options.once and not coloured(sys.stdout):
        raise CommandError("there is no terminal to draw on", "add `--once`")
    seconds = options.interval / 1000
    try:
        sight: Sight
        if options.bootstrap is None and options.config is None:
            sight = WorkerSight(options.workers or [_DEFAULT], _PATIENCE)
        else:
            sight = ClusterSight(_config(options), quiet=options.format == "json")
        with sight:
            if options.once:
                return _once(sight, seconds, options.format)
            return _watch(sight, max(seconds, 0.1))
    except (ScrapeError, StreamError) as error:
        raise CommandError(error.message, error.help) from error


def _config(options: argparse.Namespace) -> Config:
    from routec.cli.programs import read_config, with_bootstrap

    if options.workers:
        raise CommandError(
            "addresses of workers and a cluster exclude each other",
            "leave out the addresses: the workers are found through Kafka",
        )
    return with_bootstrap(read_config("routec.toml", options.config), options.bootstrap)


def _once(sight: Sight, seconds: float, format: str) -> int:
    from routec.cli.render.styled import coloured
    from routec.cli.render.top import show

    sight.look()
    if seconds:
        sight.rest(seconds)
        sight.look()
    if format == "json":
        from routec.cli.render.json import write_json

        write_json(sight.document())
    else:
        show(sight.screen(None), sys.stdout, colour=coloured(sys.stdout))
    return exits.FINE


def _watch(sight: Sight, seconds: float) -> int:
    from rich.console import Console
    from rich.live import Live

    from routec.runtime.observe.scrape import ScrapeError
    from routec.runtime.stream.errors import StreamError

    def interrupt(number: int, frame: object) -> None:
        if not sight.interrupt():
            raise KeyboardInterrupt

    # The terminal gets its screen back whoever ends this.
    before = {one: signal.signal(one, interrupt) for one in (signal.SIGINT, signal.SIGTERM)}
    trouble = None
    try:
        sight.look()
        with Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
            while True:
                live.update(sight.screen(trouble), refresh=True)
                sight.rest(seconds)
                try:
                    sight.look()
                except (ScrapeError, StreamError) as error:
                    trouble = error.message
                else:
                    trouble = None
    except KeyboardInterrupt:
        return exits.FINE
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
