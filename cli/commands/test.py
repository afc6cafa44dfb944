"""Run the `test` blocks of policies.

Signals that a test does not pin are computed where that takes no model. One that is needed and
costlier is an error that names it; with --live the real models and classifiers are asked.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from routec.cli import exits
from routec.cli.arguments import add_format
from routec.cli.cases import CaseResult, run_cases
from routec.cli.errors import RefusedPolicy
from routec.cli.programs import compile_file
from routec.cli.reading import STDIN, add_stdin_filename, check_file, policy_files
from routec.cli.render.styled import Line, Style, write
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Source

EXAMPLES = """\
  routec test policies/helpdesk.route
  routec test policies/ --format json
  routec test policies/helpdesk.route --live --config routec.toml
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec test``."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a policy, a folder of policies, or - for stdin"
    )
    parser.add_argument(
        "--live", action="store_true", help="compute costly signals that a test does not pin"
    )
    parser.add_argument("--config", metavar="FILE", help="the configuration (routec.toml)")
    add_format(parser, ("full", "json"))
    add_stdin_filename(parser)


def run(options: argparse.Namespace) -> int:
    """Run, print, and return the exit status."""
    results: list[tuple[str, CaseResult]] = []
    refused: dict[tuple[str, object, str], Diagnostic] = {}
    sources: dict[str, Source] = {}
    unread = False
    files = list(policy_files(options.paths))
    for file in files:
        if len(files) > 1 and file != STDIN and _only_declares(file):
            continue
        try:
            compiled = compile_file(file, config=options.config, stdin_name=options.stdin_filename)
        except RefusedPolicy as error:
            refused.update({(f.code, f.span, f.message): f for f in error.findings})
            sources.update(error.sources)
            unread = unread or error.unread
            continue
        sources.update(compiled.sources)
        ran = asyncio.run(run_cases(compiled, live=options.live))
        results += [(compiled.policy.name, result) for result in ran]
    _print(options.format, results, list(refused.values()), sources)
    if unread:
        return exits.UNABLE
    good = not refused and all(result.passed for _, result in results)
    return exits.FINE if good else exits.FOUND


def _only_declares(file: str) -> bool:
    """Whether a file of a folder is one that policies import."""
    policy = check_file(file).policy
    return policy is not None and not policy.routes


def _print(
    format: str,
    results: list[tuple[str, CaseResult]],
    refused: list[Diagnostic],
    sources: dict[str, Source],
) -> None:
    findings = [*refused, *(f for _, result in results for f in result.failures)]
    failed = sum(not result.passed for _, result in results)
    passed = len(results) - failed
    if format == "json":
        from routec.cli.render.json import findings_document, write_json

        names = {name for name, _ in results}
        document = findings_document(findings, names.pop() if len(names) == 1 else None)
        document["tests"] = [_object(name, result) for name, result in results]
        document["passed"], document["failed"] = passed, failed
        write_json(document)
        return
    from routec.cli.render.full import full

    style: Style = "error" if findings else "good"
    summary = f"{passed} passed, {failed} failed"
    if refused:
        summary += f", {len(refused)} error{'' if len(refused) == 1 else 's'} before any test ran"
    last: Line = ((summary, style),)
    write([*full(findings, sources), last])


def _object(policy: str, result: CaseResult) -> dict[str, Any]:
    return {
        "policy": policy,
        "test": result.case.text,
        "passed": result.passed,
        "outcome": result.outcome,
    }
