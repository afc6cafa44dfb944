"""Explain a rule: what it says, why it is bad, an example, and what to write instead.

Without a rule, lists all.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from routec.cli import exits
from routec.cli.arguments import add_format
from routec.cli.render.styled import Style, coloured, write
from routec.cli.selection import unknown_rule
from routec.compiler.rules import RULES, find_rule
from routec.dsl.diagnostic import Rule

EXAMPLES = """\
  routec rule RC101
  routec rule unknown-name
  routec rule --format json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``routec rule``."""
    parser.add_argument("rule", nargs="?", metavar="CODE|NAME", help="such as RC101")
    add_format(parser, ("full", "json"))


def run(options: argparse.Namespace) -> int:
    """Print the page, or the list."""
    if options.rule is None:
        _list(options.format)
        return exits.FINE
    rule = find_rule(options.rule)
    if rule is None:
        raise unknown_rule(options.rule)
    if options.format == "json":
        from routec.cli.render.json import write_json

        write_json(rule_object(rule))
    else:
        _show(page(rule))
    return exits.FINE


def page(rule: Rule) -> str:
    """The rule's page in Markdown, ending in a line end."""
    summary, _, rest = rule.page.strip().partition("\n")
    severity = rule.severity.value
    return f"# {rule.name} ({rule.code})\n\nSeverity: {severity}.\n\n{summary}\n{rest.rstrip()}\n"


def rule_object(rule: Rule) -> dict[str, Any]:
    """The rule as JSON has it."""
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "summary": rule.summary,
        "page": page(rule),
    }


def _list(format: str) -> None:
    if format == "json":
        from routec.cli.render.json import write_json

        write_json({"rules": [rule_object(rule) for rule in RULES]})
        return
    widest = max(len(rule.name) for rule in RULES)

    def style(rule: Rule) -> Style:
        return rule.severity.value

    write(
        [
            (
                (rule.code, style(rule)),
                (f"  {rule.name:<{widest}}  ", "strong"),
                (rule.summary.rstrip("."), ""),
            )
            for rule in RULES
        ]
    )


def _show(text: str) -> None:
    if not coloured(sys.stdout):
        sys.stdout.write(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console(width=min(100, Console().width)).print(Markdown(text))
