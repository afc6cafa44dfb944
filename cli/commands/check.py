"""Find what is wrong with policies, before anything runs.

Reads each policy with all that it imports. The exit status is 0 where nothing is wrong, 1 where
there are errors (with --strict also warnings), 2 where a file cannot be read.
"""

from __future__ import annotations

import argparse

from routec.cli import exits
from routec.cli.arguments import add_format
from routec.cli.reading import add_stdin_filename, check_file, policy_files
from routec.cli.render.styled import Line, Style, line, write
from routec.cli.selection import selection, statistics
from routec.dsl.diagnostic import Diagnostic, Severity
from routec.dsl.source import Source, Span

EXAMPLES = """\
  routec check policies/helpdesk.route
  routec check policies/ --strict
  routec check policies/ --select RC1 --format concise
  cat p.route | routec check - --stdin-filename policies/p.route --format json
"""

FORMATS = ("full", "concise", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec check``."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a policy, a folder of policies, or - for stdin"
    )
    add_format(parser, FORMATS)
    rule = "rule: code (RC101), name (unknown-name) or beginning of codes (RC1)"
    parser.add_argument(
        "--select", action="append", default=[], metavar="RULE", help=f"only this {rule}"
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="RULE", help=f"all but this {rule}"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 on warnings too")
    parser.add_argument(
        "--statistics", action="store_true", help="how often each rule speaks, not where"
    )
    add_stdin_filename(parser)


def run(options: argparse.Namespace) -> int:
    """Check, print, and return the exit status."""
    wanted = selection(options.select, options.ignore)
    findings: dict[tuple[str, Span, str], Diagnostic] = {}
    sources: dict[str, Source] = {}
    names: list[str] = []
    files = list(policy_files(options.paths))
    for file in files:
        checked = check_file(file, options.stdin_filename)
        # What is wrong with a shared file is said once, not once a policy that imports it.
        for finding in filter(wanted.keeps, checked.findings):
            findings.setdefault((finding.code, finding.span, finding.message), finding)
        sources.update(checked.sources)
        if checked.policy is not None and checked.policy.routes:
            names.append(checked.policy.name)
    found = list(findings.values())
    _print(options, found, sources, names, len(files))
    failing = {Severity.ERROR, Severity.WARNING} if options.strict else {Severity.ERROR}
    return exits.FOUND if any(f.severity in failing for f in found) else exits.FINE


def _print(
    options: argparse.Namespace,
    findings: list[Diagnostic],
    sources: dict[str, Source],
    names: list[str],
    files: int,
) -> None:
    if options.format == "json":
        from routec.cli.render.json import findings_document, write_json

        name = names[0] if files == 1 and names else None
        document = findings_document(findings, name)
        if options.statistics:
            document["statistics"] = statistics(findings)
        write_json(document)
    elif options.statistics:
        write(
            ((f"{row['count']:>6}  ", ""), (str(row["code"]), "strong"), (f"  {row['name']}", ""))
            for row in statistics(findings)
        )
    elif options.format == "concise":
        from routec.cli.render.concise import concise

        write(concise(findings))
    else:
        from routec.cli.render.full import full

        write([*full(findings, sources), _summary(findings, files)])


def _summary(findings: list[Diagnostic], files: int) -> Line:
    if not findings:
        checked = "1 file" if files == 1 else f"{files} files"
        return line(f"no findings in {checked}", "good")
    parts: list[str] = []
    for severity in Severity:
        count = sum(f.severity is severity for f in findings)
        if count:
            parts.append(f"{count} {severity.value}{'' if count == 1 else 's'}")
    worst: Style = min(findings, key=lambda f: list(Severity).index(f.severity)).severity.value
    return line("found " + ", ".join(parts), worst)
