"""The `routec` command: finds the subcommand, and turns every error into words and a status.

Only the module of the subcommand in use is imported: a command starts in the time of what it
needs itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TextIO

from routec.cli import exits
from routec.cli.arguments import Parser
from routec.cli.errors import CommandError, RefusedPolicy, complain
from routec.cli.loading import paused_collection

COMMANDS = {
    "check": "find what is wrong with policies",
    "test": "run the `test` blocks of policies",
    "explain": "decide one request and say why",
    "graph": "draw what a policy decides, and replay a request through it",
    "diff": "prove what changes when one policy replaces another",
    "compile": "write a policy's program",
    "lock": "write the vectors of a policy's examples, for `check`",
    "run": "decide requests from Kafka",
    "deploy": "have running workers decide by another policy",
    "status": "show which policy each worker decides by",
    "keys": "make a key pair that signs policies",
    "top": "watch workers at work",
    "replay": "decide recorded requests again",
    "dlq": "look at dead letters, and bring them back",
    "demo": "watch a policy decide sample traffic",
    "bench": "measure routec against its baselines",
    "models": "install and list the models that signals need",
    "rule": "explain a rule of `check` and `test`",
}
"""The subcommands, each a module of `routec.cli.commands`, and what they do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (that of the process by default) and return its exit status."""
    _lenient(sys.stdout)
    _lenient(sys.stderr)
    try:
        try:
            status = _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        except SystemExit as done:  # argparse, after --help and --version
            status = done.code if isinstance(done.code, int) else exits.FINE
        sys.stdout.flush()
        return status
    except CommandError as error:
        complain(f"error: {error.message}", error.help)
        return exits.UNABLE
    except RefusedPolicy as error:
        from routec.cli.render.full import full
        from routec.cli.render.styled import write

        write(full(error.findings, error.sources), sys.stderr)
        return exits.UNABLE if error.unread else exits.FOUND
    except BrokenPipeError:
        # What is left in the buffer must not be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.PIPE_CLOSED
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except Exception as error:
        if os.environ.get("ROUTEC_TRACEBACK"):
            raise
        words = " ".join(str(error).split())[:300]
        complain(
            f"internal error: {type(error).__name__}" + (f": {words}" if words else ""),
            "this is a bug in routec; run it again with `ROUTEC_TRACEBACK=1` to see where, "
            "and report it",
        )
        return exits.UNABLE


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in COMMANDS:
        name = arguments[0]
        with paused_collection():
            command = import_module(f"routec.cli.commands.{name.replace('compile', 'compile_')}")
        parser = Parser(f"routec {name}", command.__doc__ or "", command.EXAMPLES)
        command.configure(parser)
        options: Any = parser.parse_args(arguments[1:])
        status: int = command.run(options)
        return status
    parser = Parser(
        "routec",
        "decide where every LLM request goes, by a policy that is proved before it runs",
        "  routec check policies/\n"
        "  routec test policies/helpdesk.route\n"
        "  routec demo\n"
        "  routec run policies/helpdesk.route --bootstrap localhost:9092\n",
    )
    parser.usage = "routec [--help] [--version] COMMAND …"
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    listed = parser.add_argument_group("commands (see `routec COMMAND --help`)")
    for name, does in COMMANDS.items():
        listed.add_argument(name, nargs="?", help=does, metavar=name)
    if not arguments:
        parser.print_help(sys.stderr)
        return exits.UNABLE
    if arguments[0] in ("-h", "--help"):
        parser.print_help()
        return exits.FINE
    if arguments == ["--version"]:
        from importlib.metadata import version

        print(f"routec {version('routec')}")
        return exits.FINE
    _unknown(arguments[0])
    return exits.UNABLE


def _unknown(word: str) -> None:
    from difflib import get_close_matches

    what = "option" if word.startswith("-") else "command"
    near = get_close_matches(word, [*COMMANDS, "--help", "--version"], n=1)
    known = ", ".join(f"`{name}`" for name in COMMANDS)
    raise CommandError(
        f"unknown {what} `{word}`", f"did you mean `{near[0]}`?" if near else f"commands: {known}"
    )


def _lenient(stream: TextIO) -> None:
    """Let a stream escape what its encoding does not have, instead of failing in mid-output."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
