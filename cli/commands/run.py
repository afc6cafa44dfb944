"""Decide requests from Kafka by a policy: the worker.

Reads the requests topic in a consumer group and writes decisions and dead letters. More machines,
or more --workers, are more members of the group. SIGTERM or Ctrl-C finishes what is in flight;
a second one stops at once.

POLICY is a policy, or a program that `routec compile` wrote. Where `policies.keys` is set it must
be a program with its signature beside it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from routec.cli.arguments import add_bootstrap, whole_number
from routec.cli.errors import CommandError
from routec.cli.programs import compile_file, read_config, with_bootstrap
from routec.cli.signatures import is_program, read_program

if TYPE_CHECKING:
    from routec.compiler.program import Program
    from routec.runtime.config import Config

EXAMPLES = """\
  routec run policies/helpdesk.route --bootstrap localhost:9092
  routec run policies/helpdesk.route --config /etc/routec/routec.toml --workers 4
  routec run policies/helpdesk.route --embedded
  routec run build/helpdesk.program.json --config /etc/routec/routec.toml
"""

_MOST_WORKERS = 256


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec run``."""
    parser.add_argument("policy", metavar="POLICY", help="a policy, or its program")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: routec.toml beside the policy, else in this folder)",
    )
    add_bootstrap(parser)
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
    program, config = _read(options)

    from routec.cli.worker import run_worker

    config = with_bootstrap(config, options.bootstrap)
    if options.workers == 1:
        return run_worker(program, config, embedded=options.embedded)
    from routec.cli.fleet import run_fleet

    return run_fleet(program, config, options.workers)


def _read(options: argparse.Namespace) -> tuple[Program, Config]:
    """What to decide by, and where."""
    file = options.policy
    if is_program(file):
        config = read_config(file, options.config)
        return read_program(file, config.policies.keys), config
    compiled = compile_file(file, config=options.config)
    if compiled.config.policies.keys:
        raise CommandError(
            f"`policies.keys` is set, and `{file}` is a source, which nobody has signed",
            "write a signed program with `ROUTEC_SIGNING_KEY` set: "
            f"`routec compile {file} -o {compiled.program.name}.program.json`; then run that",
        )
    return compiled.program, compiled.config
