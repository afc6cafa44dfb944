"""Draw what a policy decides, as it is planned: the guards, the cache's category, the route.

The page that `--format html` writes needs nothing else: it can be mailed, and opened offline.
A request given with --text or --event is replayed along its path.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING

from routec.cli import exits
from routec.cli.arguments import one_of
from routec.cli.asking import add_request, ask
from routec.cli.errors import CommandError
from routec.cli.programs import Compiled, compile_file
from routec.cli.reading import STDIN, add_stdin_filename, read_once, read_profile

if TYPE_CHECKING:
    from routec.compiler.plan import Profile

EXAMPLES = """\
  routec graph helpdesk.route -o helpdesk.html
  routec graph helpdesk.route -o why.html --text "please refund me" --attr tenant=acme
  routec graph helpdesk.route --format mermaid >> README.md
  routec graph helpdesk.route --format dot | dot -Tpdf > helpdesk.pdf
"""

_FORMATS = ("svg", "html", "dot", "mermaid")
_ENDINGS = {
    ".svg": "svg",
    ".html": "html",
    ".htm": "html",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec graph``."""
    parser.add_argument("policy", metavar="POLICY", help="a policy, or - for stdin")
    parser.add_argument(
        "--format",
        type=one_of(_FORMATS),
        metavar="{" + ",".join(_FORMATS) + "}",
        help="what to draw (default: what the name of the output says, else svg)",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="where to write it (default: stdout)"
    )
    add_request(parser, required=False)
    parser.add_argument(
        "--profile", metavar="FILE", help="recorded traffic, for the shares and the plan"
    )
    parser.add_argument(
        "--no-check", dest="check", action="store_false", help="leave out what `check` finds"
    )
    parser.add_argument("--config", metavar="FILE", help="the configuration (routec.toml)")
    add_stdin_filename(parser)


def run(options: argparse.Namespace) -> int:
    """Compile, check, follow, draw and write."""
    asks = options.text is not None or options.event is not None
    if not asks and (options.attr or options.pins):
        raise CommandError(
            "there is no request that `--attr` and `--with` could speak of",
            "give one with `--text` or `--event`",
        )
    read_once({"POLICY": options.policy, "--event": options.event})
    profile = None if options.profile is None else read_profile(options.profile)
    compiled = compile_file(
        options.policy,
        config=options.config,
        stdin_name=options.stdin_filename,
        profile=profile,
    )
    _write(options.output, _drawn(options, compiled, profile, asks))
    return exits.FINE


def _drawn(
    options: argparse.Namespace, compiled: Compiled, profile: Profile | None, asks: bool
) -> str:
    from routec.cli.graph import build, dot, html, mermaid, svg
    from routec.cli.graph.findings import marked_findings, rule_places
    from routec.cli.graph.flow import flows
    from routec.cli.graph.known import Follower
    from routec.cli.graph.shares import expected_shares

    program = compiled.program
    questions, follower = flows(program), Follower(program)
    trails = None
    if asks:
        from routec.cli.graph.replay import replayed

        asked = asyncio.run(ask(options, compiled))
        decision = asked.answer.decision
        trails = replayed(program, follower, questions, asked.request, asked.pins, decision)
    findings = []
    if options.check:
        name = options.stdin_filename if options.policy == STDIN else options.policy
        findings = marked_findings(name, compiled.sources[name].text.encode())
    graph = build(
        program,
        compiled.hash,
        rule_places(compiled.policy),
        findings,
        expected_shares(program, follower, questions, profile),
        trails,
        fallback=() if compiled.planned is None else compiled.planned.fallback,
    )
    write = {"svg": svg, "html": html, "dot": dot, "mermaid": mermaid}
    ending = PurePath(options.output).suffix.lower()
    return write[options.format or _ENDINGS.get(ending, "svg")](graph)


def _write(file: str, text: str) -> None:
    data = text.encode("utf-8", "replace")
    if file == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return
    try:
        with open(file, "wb") as handle:
            handle.write(data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path of a file"
        raise CommandError(
            f"cannot write `{file}`: {reason.lower()}", "name another file with `-o`"
        ) from error
