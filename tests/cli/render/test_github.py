"""Workflow commands of GitHub Actions, read back as its runner reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from routec.cli.render.github import SHOWN, github
from routec.cli.render.styled import plain
from routec.cli.text import visible
from routec.dsl.diagnostic import Diagnostic, Verdict
from tests.cli.render.findings import ERROR, NOTE, WARNING, findings


@dataclass
class Command:
    kind: str
    properties: dict[str, str]
    message: str


def read(printed: str) -> list[Command]:
    """The commands of a log: one a line, ``::kind name=value,…::message``."""
    commands: list[Command] = []
    for row in printed.split("\n"):
        if not row.startswith("::"):
            assert row == ""
            continue
        head, found, message = row[2:].partition("::")
        assert found
        kind, _, rest = head.partition(" ")
        properties: dict[str, str] = {}
        for part in rest.split(","):
            name, _, value = part.partition("=")
            properties[name] = value.replace("%3A", ":").replace("%2C", ",")
        commands.append(
            Command(kind, {n: unescaped(v) for n, v in properties.items()}, unescaped(message))
        )
    return commands


def unescaped(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def shown(text: str) -> str:
    return "\n".join(visible(part.removesuffix("\r")) for part in text.split("\n"))


def test_a_finding_is_a_command_with_its_place() -> None:
    assert plain(github([ERROR])) == (
        "::error file=policies/p 1.route,line=2,col=7,endColumn=10,title=RC202 unreachable-route"
        "::`näh` can never be chosen: `fast` covers it"
        "%0Apolicies/p 1.route:1:7: covers it"
        '%0Afor example: the request { tier: "pro" } → route `fast`'
        "%0Ahelp: raise its priority, or remove it\n"
    )


def test_a_place_over_several_lines_has_no_columns() -> None:
    (command,) = read(plain(github([NOTE])))
    assert command.kind == "notice"
    assert command.properties == {
        "file": "policies/p 1.route",
        "line": "2",
        "endLine": "3",
        "title": "RC206 overlapping-routes",
    }


def test_nothing_found_prints_nothing() -> None:
    assert github([]) == []


def test_the_worst_come_first() -> None:
    given = [
        NOTE,
        WARNING,
        ERROR,
        replace(WARNING, message="later"),
        replace(ERROR, message="later"),
    ]
    commands = read(plain(github(given)))
    assert [c.kind for c in commands] == ["error", "error", "warning", "warning", "notice"]
    assert [c.message.startswith("later") for c in commands] == [False, True, False, True, False]


def test_what_github_leaves_out_is_said_first() -> None:
    few = [WARNING] * SHOWN
    assert len(github(few)) == SHOWN
    many = [*few, *[ERROR] * (SHOWN + 7), WARNING]
    commands = read(plain(github(many)))
    assert len(commands) == len(many) + 1
    assert commands[0] == Command(
        "notice",
        {"title": "routec"},
        "GitHub shows 10 of 17 errors and 10 of 11 warnings; all are in the log of this step",
    )


@settings(max_examples=40)
@given(st.lists(findings(), max_size=3))
def test_whatever_is_found_reads_back_as_it_was(found: list[Diagnostic]) -> None:
    printed = plain(github(found))
    commands = read(printed)
    kinds = {"error": "error", "warning": "warning", "note": "notice"}
    order = list(kinds)

    def level(finding: Diagnostic) -> str:
        """What is not decided is a notice, for it fails no check."""
        return "note" if finding.verdict is Verdict.UNKNOWN else finding.severity.value

    expected = sorted(found, key=lambda f: order.index(level(f)))
    assert len(commands) == len(expected)
    for command, finding in zip(commands, expected, strict=True):
        assert command.kind == kinds[level(finding)]
        assert command.properties["file"] == visible(finding.span.file)
        assert command.properties["line"] == str(finding.span.line)
        assert command.properties["title"] == f"{finding.code} {finding.rule.name}"
        # A line of a log ends where its text does.
        assert command.message.startswith(shown(finding.message).rstrip())
