"""Watch workers at work: rates, lag, outcomes, routes, cache, signals, failures, what is in flight.

Reads what each worker serves at /metrics and /healthz; several workers are shown together. Ctrl-C
ends it. Counters are since the workers' start, rates and latencies between two looks.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import Any

from routec.cli import exits
from routec.cli.arguments import add_format, whole_number
from routec.cli.errors import CommandError

EXAMPLES = """\
  routec top
  routec top http://worker-1:9464 http://worker-2:9464
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
        default=[_DEFAULT],
        help=f"addresses of workers' metrics (default: {_DEFAULT})",
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
    from routec.runtime.observe.scrape import ScrapeError, base_of, look

    if not options.once and options.format == "json":
        raise CommandError("`--format json` needs `--once`", "add `--once`")
    if not options.once and not coloured(sys.stdout):
        raise CommandError("there is no terminal to draw on", "add `--once`")
    seconds = options.interval / 1000
    try:
        bases = list(dict.fromkeys(base_of(one) for one in options.workers))
        first = look(bases, _PATIENCE)
        if not options.once:
            return _watch(bases, first, max(seconds, 0.1))
        second = None
        if seconds:
            time.sleep(seconds)
            second = look(bases, _PATIENCE)
    except ScrapeError as error:
        raise CommandError(error.message, error.help) from error
    from routec.runtime.observe.view import view

    _print(view(first) if second is None else view(second, first), bases, options.format)
    return exits.FINE


def _print(seen: dict[str, Any], bases: list[str], format: str) -> None:
    if format == "json":
        from routec.cli.render.json import write_json

        write_json(seen)
        return
    from routec.cli.render.styled import coloured
    from routec.cli.render.top import show

    show(seen, bases, sys.stdout, colour=coloured(sys.stdout))


def _watch(bases: list[str], first: Any, seconds: float) -> int:
    from rich.console import Console
    from rich.live import Live

    from routec.cli.render.top import screen
    from routec.runtime.observe.scrape import ScrapeError, look
    from routec.runtime.observe.view import view

    # The terminal gets its screen back whoever ends this.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    old, new, trouble = None, first, None
    try:
        with Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
            while True:
                live.update(screen(view(new, old), bases, trouble), refresh=True)
                time.sleep(seconds)
                try:
                    looked = look(bases, _PATIENCE)
                except ScrapeError as error:
                    trouble = error.message
                else:
                    old, new, trouble = new, looked, None
    except KeyboardInterrupt:
        return exits.FINE
    finally:
        signal.signal(signal.SIGTERM, before)
