"""Watch a policy decide sample traffic, on a broker inside this process.

The traffic is made up, in several languages, with attacks, personal data and repeated questions
in it, and a small share of malformed events. A simulated serving side answers what was routed, so
that the cache fills. It ends by itself, with a summary whose counts add up to the events sent.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from routec.cli import exits
from routec.cli.arguments import add_format, whole_number
from routec.cli.errors import CommandError
from routec.cli.programs import compile_file

EXAMPLES = """\
  routec demo
  routec demo --policy policies/helpdesk.route --count 500 --rate 20
  routec demo --count 1000 --rate 0 --format json
"""

COUNT = 1200
RATE = 40
"""Events a second: half of what two cores decide while MiniLM reads each of them."""

POLICY = Path(__file__).resolve().parents[2] / "examples" / "policies" / "helpdesk.route"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec demo``."""
    parser.add_argument(
        "--rate",
        type=whole_number(0, 1_000_000),
        default=RATE,
        metavar="N",
        help=f"events a second, 0 for as fast as they are decided (default: {RATE})",
    )
    parser.add_argument(
        "--count",
        type=whole_number(1, 100_000_000),
        default=COUNT,
        metavar="N",
        help=f"events to send (default: {COUNT})",
    )
    parser.add_argument("--policy", metavar="POLICY", help="a policy (default: the help desk)")
    parser.add_argument(
        "--seed",
        type=whole_number(-(2**63), 2**63 - 1),
        default=1,
        metavar="N",
        help="of the traffic (default: 1)",
    )
    parser.add_argument("--config", metavar="FILE", help="the configuration (routec.toml)")
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Run to the end, and say whether the counts add up."""
    if options.policy is None and not POLICY.is_file():
        raise CommandError(
            "the example policies are not part of this installation", "name one with `--policy`"
        )
    compiled = compile_file(options.policy or str(POLICY), config=options.config)

    import msgspec

    from routec.cli.demo.show import live_table, summary_lines
    from routec.cli.demo.stream import run_demo
    from routec.cli.demo.tally import Tally
    from routec.cli.interrupts import silence_clients
    from routec.cli.render.styled import coloured, write
    from routec.cli.worker import open_policy, run_loop
    from routec.runtime.config import Observability
    from routec.runtime.embedded import EmbeddedBrokerError
    from routec.runtime.stream import StreamError

    silence_clients()
    config = msgspec.structs.replace(compiled.config, observability=Observability(metrics=False))
    name = compiled.program.name
    tally = Tally()
    watched = options.format == "full" and coloured(sys.stdout)
    with open_policy(compiled.program, config) as deployment:
        try:
            with live_table(tally, name, options.count) if watched else nullcontext():
                run_loop(
                    run_demo(
                        compiled.program,
                        deployment,
                        tally,
                        count=options.count,
                        rate=options.rate,
                        seed=options.seed,
                    )
                )
        except (StreamError, EmbeddedBrokerError) as error:
            raise CommandError(error.message, error.help) from error
    if options.format == "json":
        from routec.cli.render.json import write_json

        write_json(tally.summary(name))
    else:
        write(summary_lines(tally, name))
    return exits.FINE if tally.adds_up else exits.FOUND
