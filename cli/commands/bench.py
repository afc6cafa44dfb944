"""Measure routec on this machine, each figure beside what it is compared with.

Both sides of a comparison take turns in one process, and the least of several rounds counts; that
both do the same is checked first. It needs no network. What needs a model or a package that is
not installed is left out, and said so.
"""

from __future__ import annotations

import argparse

from routec.cli import exits
from routec.cli.arguments import add_format, one_of
from routec.cli.bench.areas import AREAS, measure_of
from routec.cli.bench.result import Outcome

EXAMPLES = """\
  routec bench
  routec bench engine plan
  routec bench language --quick --format json
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
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Measure and print; what was measured until an interruption is printed too."""
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        _measure([a for a in AREAS if a in options.areas or not options.areas], options, outcomes)
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


def _measure(areas: list[str], options: argparse.Namespace, outcomes: list[Outcome]) -> None:
    from routec.cli.render.bench import progress

    with progress() as told:
        for done, area in enumerate(areas):
            told(area, done, len(areas), "")
            for outcome in measure_of(area)(options.quick):
                outcomes.append(outcome)
                told(area, done, len(areas), outcome.name.partition("/")[2])
