"""Prove what changes when one policy replaces another.

For every outcome (a plan of models, a rejection, cache terms, a masked kind of entity, a tag, a
header) it says whether the requests that get it are the same (equivalent), more (widened), fewer
(narrowed) or others (changed), and shows a request for each change, decided again by both
policies. The names of rules do not count, only what they do.

The exit status is 0 where the policies are equivalent, 1 where they differ or where it could not
be decided, 2 where a file cannot be read.
"""

from __future__ import annotations

import argparse

from routec.cli import exits
from routec.cli.arguments import add_format, whole_number
from routec.cli.progress import Progress
from routec.cli.reading import add_stdin_filename, read_once, runnable_policy

EXAMPLES = """\
  routec diff helpdesk.route helpdesk.new.route
  git show HEAD:helpdesk.route | routec diff - helpdesk.route
  routec diff old.route new.route --events requests.jsonl --format json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec diff``."""
    parser.add_argument("old", metavar="OLD", help="the policy that is replaced, or - for stdin")
    parser.add_argument("new", metavar="NEW", help="the policy that replaces it, or - for stdin")
    parser.add_argument(
        "--events",
        metavar="FILE",
        help="recorded request events, one a line, - for stdin: say how many change, and the cost "
        "of that",
    )
    parser.add_argument(
        "--budget",
        type=whole_number(1, 1_000_000),
        default=1,
        metavar="N",
        help="prove with N times the effort, where something was not decided",
    )
    add_format(parser, ("full", "json"))
    add_stdin_filename(parser)


def run(options: argparse.Namespace) -> int:
    """Compare, print, and return the exit status."""
    read_once({"OLD": options.old, "NEW": options.new, "--events": options.events})
    old, new = (
        runnable_policy(file, options.stdin_filename)[0] for file in (options.old, options.new)
    )
    # The solver is loaded once both policies are fine.
    from routec.compiler.diff import Relation, compare
    from routec.compiler.theory.solver import Budget

    with Progress() as progress:
        progress.file(options.new)
        difference = compare(old, new, Budget().times(options.budget), progress)
    recorded = None
    if options.events is not None:
        from routec.cli.recorded import measure

        recorded = measure(difference, options.events)
    if options.format == "json":
        from routec.cli.render.diff import document
        from routec.cli.render.json import write_json

        write_json(document(difference, recorded))
    else:
        from routec.cli.render.diff import full
        from routec.cli.render.styled import write

        write(full(difference, options.old, options.new, recorded))
    return exits.FINE if difference.relation is Relation.EQUIVALENT else exits.FOUND
