"""`routec graph`: every format to a file or the standard output, a request replayed, errors said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .support import DEAD, POLICY

Routec = Callable[..., Any]
"""Runs the command; see the fixture ``routec``."""

PINS = ("--with", "refund=0.1", "--with", "topic=code")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.route"
    path.write_text(POLICY)
    return path


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("svg", "<svg "),
        ("html", "<!doctype html>"),
        ("dot", 'digraph "small"'),
        ("mermaid", "flowchart TB"),
    ],
)
def test_every_format_goes_to_stdout_or_a_file(
    routec: Routec, small: Path, tmp_path: Path, name: str, begins: str
) -> None:
    result = routec("graph", small, "--format", name)
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(begins)
    file = tmp_path / "drawn"
    assert routec("graph", small, "--format", name, "-o", file).out == ""
    assert file.read_text("utf-8") == result.out


@pytest.mark.parametrize(
    ("file", "begins"),
    [
        ("a.html", "<!doctype"),
        ("a.gv", "digraph"),
        ("a.MMD", "flowchart"),
        ("a.svg", "<svg"),
        ("a.txt", "<svg"),
    ],
)
def test_the_name_of_the_output_tells_the_format(
    routec: Routec, small: Path, tmp_path: Path, file: str, begins: str
) -> None:
    assert routec("graph", small, "-o", tmp_path / file).status == 0
    assert (tmp_path / file).read_text("utf-8").startswith(begins)


def test_a_request_is_replayed_with_what_was_read(routec: Routec, small: Path) -> None:
    result = routec(
        "graph", small, "--format", "html", "--text", "hello", "--attr", "tenant=acme", *PINS
    )
    assert (result.status, result.err) == (0, "")
    assert '<p class="outcome">route general to ' in result.out
    assert "<blockquote>hello</blockquote>" in result.out
    assert '<th scope="row">topic</th><td>code</td><td>given</td>' in result.out
    data = result.out.split('id="data">')[1].split("</script>")[0]
    values = {card.get("value") for card in json.loads(data)["vertices"].values()}
    assert "topic = code" in values
    assert "refund = 0.1" in values


def test_a_rejected_request_ends_at_its_guard(routec: Routec, small: Path) -> None:
    result = routec(
        "graph", small, "--format", "mermaid", "--text", "asap!", "--attr", "tenant=acme"
    )
    assert result.status == 0
    [taken] = [
        line for line in result.out.splitlines() if line.endswith(" taken") and "class " in line
    ]
    assert all(name.startswith("g_") for name in taken.split()[1].split(","))


def test_an_event_is_replayed(routec: Routec, small: Path, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(
        json.dumps(
            {
                "attributes": {"tenant": "a", "seats": 500},
                "body": {"messages": [{"role": "user", "content": "hi"}]},
            }
        )
    )
    result = routec("graph", small, "--format", "html", "--event", event, *PINS)
    assert '<p class="outcome">route large to opus' in result.out


def test_findings_are_marked_unless_they_are_left_out(routec: Routec, tmp_path: Path) -> None:
    path = tmp_path / "dead.route"
    path.write_text(DEAD)
    assert "RC202" in routec("graph", path, "--format", "html").out
    assert "RC202" not in routec("graph", path, "--format", "html", "--no-check").out


def test_the_standard_input_is_a_policy_too(routec: Routec) -> None:
    result = routec(
        "graph", "-", "--format", "html", "--stdin-filename", "dead.route", stdin=DEAD.encode()
    )
    assert (result.status, result.err) == (0, "")
    assert "dead.route:8" in result.out


def test_shares_come_from_a_profile(routec: Routec, small: Path, tmp_path: Path) -> None:
    profile = tmp_path / "traffic.json"
    profile.write_text(
        json.dumps({"version": 1, "policy": "small", "requests": 1, "rows": [{"seats": 500}]})
    )
    result = routec("graph", small, "--format", "html", "--profile", profile)
    assert "Shares: 1 recorded requests." in result.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--attr", "tenant=a"), "there is no request that `--attr` and `--with` could speak of"),
        (("--format", "pdf"), "`pdf` is none of"),
        (("--text", "hi"), "`attributes.tenant` is missing"),
        (
            ("--text", "hi", "--attr", "tenant=a", "--with", "nothing=1"),
            "there is no signal `nothing`",
        ),
        (("--event", "missing.json"), "cannot read `missing.json`"),
        (("--profile", "missing.json"), "cannot read `missing.json`"),
        (("-o", "missing/folder/a.svg"), "cannot write `missing/folder/a.svg`"),
    ],
)
def test_what_cannot_be_done_is_said(
    routec: Routec, small: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = routec("graph", small, *arguments)
    assert (result.status, result.out) == (2, "")
    assert says in result.err
    assert "Traceback" not in result.err
    assert "= help: " in result.err


def test_two_things_cannot_be_the_standard_input(routec: Routec) -> None:
    result = routec("graph", "-", "--event", "-", stdin=POLICY.encode())
    assert result.status == 2
    assert "`POLICY` and `--event` are both `-`" in result.err


def test_a_policy_with_errors_is_refused_with_what_is_wrong(routec: Routec, tmp_path: Path) -> None:
    path = tmp_path / "wrong.route"
    path.write_text(
        "policy p\nmodel m { provider: x }\nroute r { when nothing to m }\ndefault route d { to m }\n"
    )
    result = routec("graph", path)
    assert (result.status, result.out) == (1, "")
    assert "RC101" in result.err
