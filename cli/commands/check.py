"""Find what is wrong with policies, before anything runs.

Reads each policy with all that it imports, and proves what can be proved of it: which routes can
never win, which clash, which conditions no request meets, which promises break. The exit status
is 0 where nothing is wrong, 1 where there are errors (with --strict also warnings, and what could
not be decided), 2 where a file cannot be read, or is no UTF-8 text.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from routec.cli import exits
from routec.cli.arguments import add_format, whole_number
from routec.cli.checking import Effort, One, Report, check_one, report
from routec.cli.errors import CommandError
from routec.cli.findings import Key, key
from routec.cli.frequency import Frequency
from routec.cli.progress import Progress
from routec.cli.reading import STDIN, add_stdin_filename, policy_files, read_once, read_policy
from routec.cli.render.about import About, Knows
from routec.cli.render.styled import Line, Style, line, write
from routec.cli.render.witness import EVERYTHING, matters
from routec.cli.selection import Selection, fails, selection, statistics
from routec.dsl.diagnostic import Diagnostic, Severity, Verdict

EXAMPLES = """\
  routec check policies/helpdesk.route
  routec check policies/ --strict
  routec check policies/ --select RC2 --format concise
  routec check policies/ --overlaps --ignore unused-declaration
  routec check policies/ --fix --diff
  routec check policies/ --corpus events.jsonl
  routec check policies/ --format sarif > routec.sarif
  routec check policies/ --watch
  cat p.route | routec check - --stdin-filename policies/p.route --format json
"""

FORMATS = ("full", "concise", "json", "sarif", "github", "junit")

_OVERLAPS = "RC206"


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
    parser.add_argument(
        "--overlaps", action="store_true", help="also say where routes overlap (RC206)"
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit 1 on warnings too, and on what is not decided"
    )
    parser.add_argument(
        "--fix", action="store_true", help="apply fixes that are proved to change no decision"
    )
    parser.add_argument("--unsafe-fixes", action="store_true", help="apply all fixes")
    parser.add_argument(
        "--diff", action="store_true", help="print what the fixes change, and write nothing"
    )
    parser.add_argument(
        "--budget",
        type=whole_number(1, 1_000_000),
        default=1,
        metavar="N",
        help="prove with N times the effort, where something was not decided",
    )
    parser.add_argument(
        "--corpus",
        metavar="FILE",
        help="recorded requests, - for stdin: say how often findings happen in them",
    )
    parser.add_argument(
        "--statistics", action="store_true", help="how often each rule speaks, not where"
    )
    parser.add_argument("--watch", action="store_true", help="check again whenever a file changes")
    add_stdin_filename(parser)


def run(options: argparse.Namespace) -> int:
    """Check, print, and return the exit status."""
    fixing = options.fix or options.unsafe_fixes or options.diff
    policy = STDIN if STDIN in options.paths else None
    read_once({"PATH": policy, "--corpus": options.corpus})
    if options.watch:
        if fixing or STDIN in (*options.paths, options.corpus):
            with_ = "fixes" if fixing else "standard input"
            raise CommandError(f"`--watch` cannot be used with {with_}", "leave one of the two out")
        from routec.cli.watching import watch

        return watch(options, once)
    if options.diff and (options.format not in ("full", "concise") or options.statistics):
        raise CommandError(
            "`--diff` prints a patch and nothing else", "leave out `--format` and `--statistics`"
        )
    return _fix(options) if fixing else once(options, [])


def once(options: argparse.Namespace, checks: list[One]) -> int:
    """Check and print once; what was checked is left in `checks`."""
    wanted = _wanted(options)
    with Progress() as progress:
        effort = Effort(options.budget, progress)
        for file in policy_files(options.paths):
            name, data = read_policy(file, options.stdin_filename)
            progress.file(name)
            checks.append(check_one(name, data, wanted, effort))
    return _say(options, report(checks, wanted), _Extra())


@dataclass(frozen=True, slots=True)
class _Extra:
    """What there is to say beside findings.

    Attributes:
        fixed: findings that fixes have settled.
        frequencies: how often findings happen.
    """

    fixed: Sequence[Diagnostic] = ()
    frequencies: dict[Key, Frequency] = field(default_factory=dict)


def _wanted(options: argparse.Namespace) -> Selection:
    return selection(options.select, options.ignore, {_OVERLAPS} if options.overlaps else ())


def _fix(options: argparse.Namespace) -> int:
    from routec.cli.fixing import fix, write_files

    wanted = _wanted(options)
    if STDIN in options.paths and not options.diff:
        raise CommandError(
            "standard input cannot be fixed in place", "add `--diff` to see what would change"
        )
    with Progress() as progress:
        effort = Effort(options.budget, progress)

        def check(name: str, data: bytes) -> One:
            progress.file(name)
            return check_one(name, data, wanted, effort)

        given = [read_policy(file, options.stdin_filename) for file in policy_files(options.paths)]
        checks = [(check(name, data), data) for name, data in given]
        fixed = fix(checks, check, wanted, unsafe=options.unsafe_fixes)
        if not options.diff:
            write_files(fixed)
            left = [check(*read_policy(one.name)) for one, _ in checks] if fixed.after else None
            found = report(left or fixed.left, wanted)
    if not options.diff:
        return _say(options, found, _Extra(fixed.applied))
    sys.stdout.write(fixed.diff)
    settled = {key(finding) for finding in fixed.applied}
    found = report(fixed.left, wanted)
    rest = [f for f in found.findings if key(f) not in settled]
    count = len(fixed.applied)
    if count or rest:
        said = f"would fix {count} finding{'' if count == 1 else 's'}"
        write([line(f"{said}; {_counted(rest)} would be left" if rest else said)], sys.stderr)
    if any(one.unread for one in found.checks):
        return exits.UNABLE
    return exits.FOUND if fixed.after or _failing(options, rest) else exits.FINE


def _failing(options: argparse.Namespace, findings: Sequence[Diagnostic]) -> bool:
    return any(fails(finding, strict=options.strict) for finding in findings)


def _say(options: argparse.Namespace, found: Report, extra: _Extra) -> int:
    """Print everything; the exit status."""
    if options.corpus is not None:
        from routec.cli.traffic import measure

        found, frequencies, unread = measure(found, options.corpus)
        extra = replace(extra, frequencies=frequencies)
        if unread.first is not None:
            number, why = unread.first
            said = f"{unread.count} of the recorded requests cannot be used; line {number}: {why}"
            write([(("warning", "warning"), (f": {said}", ""))], sys.stderr)
    _print(options, found, extra)
    if any(one.unread for one in found.checks):
        return exits.UNABLE
    return exits.FOUND if _failing(options, found.findings) else exits.FINE


def _print(options: argparse.Namespace, found: Report, extra: _Extra) -> None:
    findings = found.findings

    def knows(finding: Diagnostic) -> About:
        policy = found.owners[key(finding)].policy
        what = EVERYTHING if policy is None else matters(policy, finding)
        return About(what, extra.frequencies.get(key(finding)))

    match options.format:
        case "json":
            _print_json(options, found, extra, knows)
        case "sarif":
            from routec.cli.render.json import write_json
            from routec.cli.render.sarif import sarif_document

            write_json(sarif_document(findings, found.sources, knows))
        case "github":
            from routec.cli.render.github import github

            write(github(findings, knows))
        case "junit":
            from routec.cli.render.junit import junit

            write(junit(findings, found.sources, knows, strict=options.strict))
        case _ if not findings:
            pass
        case _ if options.statistics:
            _print_statistics(findings)
        case "concise":
            from routec.cli.render.concise import concise

            write(concise(findings))
        case _:
            from routec.cli.render.full import full

            write([*full(findings, found.sources, knows), _summary(findings)])
    if options.format in ("full", "concise"):
        _conclude(found, extra)


def _print_json(options: argparse.Namespace, found: Report, extra: _Extra, knows: Knows) -> None:
    from routec.cli.render.json import findings_document, fixed_object, write_json

    names = [one.policy.name for one in found.checks if one.policy is not None]
    name = names[0] if len(found.checks) == 1 and names else None
    document = findings_document(found.findings, name, knows)
    if options.statistics:
        document["statistics"] = statistics(found.findings)
    if options.fix or options.unsafe_fixes:
        document["fixed"] = [fixed_object(finding) for finding in extra.fixed]
    write_json(document)


def _print_statistics(findings: Sequence[Diagnostic]) -> None:
    write(
        ((f"{row['count']:>6}  ", ""), (str(row["code"]), "strong"), (f"  {row['name']}", ""))
        for row in statistics(findings)
    )


def _conclude(found: Report, extra: _Extra) -> None:
    """What is of interest to whoever watches, and not to a pipe: on standard error."""
    if extra.fixed:
        count = len(extra.fixed)
        write([line(f"fixed {count} finding{'' if count == 1 else 's'}", "good")], sys.stderr)
    if not found.findings and sys.stderr.isatty():
        files = len(found.checks)
        checked = "1 file" if files == 1 else f"{files} files"
        write([line(f"no findings in {checked}", "good")], sys.stderr)


def _summary(findings: Sequence[Diagnostic]) -> Line:
    worst: Style = "note"
    decided = [f.severity for f in findings if f.verdict is not Verdict.UNKNOWN]
    if decided:
        worst = min(decided, key=list(Severity).index).value
    return line(f"found {_counted(findings)}", worst)


def _counted(findings: Sequence[Diagnostic]) -> str:
    from routec.cli.render.json import summary

    words = {"unknown": ("undecided finding", "undecided findings")}
    parts: list[str] = []
    for name, count in summary(findings).items():
        one, several = words.get(name, (name, f"{name}s"))
        if count:
            parts.append(f"{count} {one if count == 1 else several}")
    return ", ".join(parts)
