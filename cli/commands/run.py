"""Decide requests from Kafka by a policy: the worker.

Reads the requests topic in a consumer group and writes decisions and dead letters. More machines,
or more --workers, are more members of the group. SIGTERM or Ctrl-C finishes what is in flight;
a second one stops at once.
"""

from __future__ import annotations

import argparse

from routec.cli.arguments import whole_number
from routec.cli.errors import CommandError
from routec.cli.programs import compile_file

EXAMPLES = """\
  routec run policies/helpdesk.route --bootstrap localhost:9092
  routec run policies/helpdesk.route --config /etc/routec/routec.toml --workers 4
  routec run policies/helpdesk.route --embedded
"""

_MOST_WORKERS = 256


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec run``."""
    parser.add_argument("policy", metavar="POLICY", help="a policy")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: routec.toml beside the policy, else in this folder)",
    )
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="the Kafka cluster to use")
    parser.add_argument(
        "--embedded", action="store_true", help="run a broker in this process; keeps nothing"
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1, _MOST_WORKERS),
        default=1,
        metavar="N",
        help="worker processes (default: 1)",
    )


def run(options: argparse.Namespace) -> int:
    """Run until stopped."""
    if options.embedded and options.bootstrap is not None:
        raise CommandError("`--embedded` and `--bootstrap` exclude each other", "leave one out")
    if options.embedded and options.workers > 1:
        raise CommandError(
            "the embedded broker serves one worker only", "leave `--workers` out, or use Kafka"
        )
    if options.bootstrap is not None and ":" not in options.bootstrap:
        raise CommandError(
            f"`{options.bootstrap}` is no address of a broker", "write `--bootstrap HOST:PORT`"
        )
    compiled = compile_file(options.policy, config=options.config)

    from routec.cli.worker import run_worker, with_bootstrap

    config = compiled.config
    if options.bootstrap is not None:
        config = with_bootstrap(config, options.bootstrap)
    if options.workers == 1:
        return run_worker(compiled.program, config, embedded=options.embedded)
    from routec.cli.fleet import run_fleet

    return run_fleet(compiled.program, config, options.workers)
