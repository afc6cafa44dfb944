"""Measure routec on this machine, each figure beside what it is compared with.

Both sides of a comparison take turns in one process, and the least of several rounds counts; that
both do the same is checked first. What needs a model or a package that is not installed is left
out, and said so.

`stream` needs a Kafka broker, named with --bootstrap, or --config for TLS and SASL: there it makes
three topics of new names, `routec-bench-…`, with one replica each, and removes them at the end. It
writes some 1.5 GB in one or two minutes; with --quick a tenth in twenty seconds, compared with no
target. Nothing else needs the network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from routec.cli import exits
from routec.cli.arguments import add_bootstrap, add_format, one_of
from routec.cli.bench.areas import AREAS, STREAM, measure_of
from routec.cli.bench.result import Outcome
from routec.cli.errors import CommandError

if TYPE_CHECKING:
    from routec.cli.bench.stream import Cluster

EXAMPLES = """\
  routec bench
  routec bench engine plan
  routec bench language --quick --format json
  routec bench stream --bootstrap localhost:9092
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec bench``."""
    listed = "; ".join(f"{area}: {about}" for area, about in AREAS.items())
    parser.add_argument(
        "areas",
        nargs="*",
        type=one_of(tuple(AREAS)),
        metavar="AREA",
        help=f"what to measure (default: everything). {listed}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds and smaller cases, for a first look"
    )
    add_bootstrap(parser, "the Kafka cluster that `stream` is measured on")
    parser.add_argument("--config", metavar="FILE", help="the configuration of that cluster")
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Measure and print; what was measured until an interruption is printed too."""
    cluster = _cluster(options)
    outcomes: list[Outcome] = []
    interrupted = False
    areas = [a for a in AREAS if a in options.areas or not options.areas]
    try:
        _measure(areas, options, cluster, outcomes)
    except KeyboardInterrupt:
        interrupted = True
    if options.format == "json":
        from routec.cli.render.bench import document
        from routec.cli.render.json import write_json

        write_json(document(outcomes, interrupted=interrupted))
    else:
        from routec.cli.render.bench import table
        from routec.cli.render.styled import line, write

        write([*table(outcomes), *([line("interrupted", "warning")] if interrupted else [])])
    return exits.INTERRUPTED if interrupted else exits.FINE


def _cluster(options: argparse.Namespace) -> Cluster | None:
    """Where the stream is measured; ``None`` where none is named."""
    if options.bootstrap is None and options.config is None:
        if STREAM in options.areas:
            raise CommandError(
                f"`{STREAM}` is measured on a Kafka broker, and none is named",
                "name one with `--bootstrap HOST:PORT`",
            )
        return None
    if options.areas and STREAM not in options.areas:
        named = "--bootstrap" if options.bootstrap is not None else "--config"
        raise CommandError(
            f"`{named}` is of `{STREAM}`, which is not measured", f"add `{STREAM}`, or leave it out"
        )
    from routec.cli.bench.stream import Cluster
    from routec.cli.programs import find_config, read_config, with_bootstrap

    file = find_config("") if options.config is None else options.config
    given = None if file is None else str(file)
    return Cluster(with_bootstrap(read_config("", given), options.bootstrap), given)


def _measure(
    areas: list[str], options: argparse.Namespace, cluster: Cluster | None, outcomes: list[Outcome]
) -> None:
    from routec.cli.render.bench import progress

    with progress() as told:
        for done, area in enumerate(areas):
            told(area, done, len(areas), "")
            if area == STREAM:
                measured = _stream(options.quick, cluster, partial(told, area, done, len(areas)))
            else:
                measured = measure_of(area)(options.quick)
            for outcome in measured:
                outcomes.append(outcome)
                told(area, done, len(areas), outcome.name.partition("/")[2])


def _stream(quick: bool, cluster: Cluster | None, told: Callable[[str], None]) -> Iterator[Outcome]:
    from routec.cli.bench.stream import measure
    from routec.runtime.stream.errors import StreamError

    try:
        yield from measure(quick, cluster, told)
    except StreamError as error:
        raise CommandError(error.message, error.help) from error
