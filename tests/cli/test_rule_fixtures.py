"""Every rule has a policy that it speaks of, one that it does not, and says it in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from routec.cli.rule_pages import rule_pages
from routec.compiler import suppressions
from routec.compiler.check import analyse, check
from routec.compiler.rules import RULES
from routec.dsl.diagnostic import Rule, Severity

from .support import Result, Run

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "fixtures" / "rules"
SNAPSHOTS = Path(__file__).parent / "__snapshots__" / "test_rule_fixtures.ambr"
HEADINGS = ("What it does", "Why is this bad?", "Example", "Use instead")
FORMATS = ("full", "concise", "json", "sarif", "github", "junit")
TESTED = "RC501"
"""The rule of `routec test`, which has formats of its own."""

# A route that takes every request leaves none to the default route.
ALSO = {"RC204": {"RC202"}}


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are named as they are named in the snapshots."""
    monkeypatch.chdir(FOLDER)


def say(routec: Run, rule: Rule, file: str, form: str) -> Result:
    """What the command says of a fixture; rules that are off by default are asked for."""
    if rule.code == TESTED:
        return routec("test", file, "--format", form)
    asked = ("--select", rule.code) if rule.severity is Severity.NOTE else ()
    return routec("check", file, "--format", form, *asked)


def formats(rule: Rule) -> tuple[str, ...]:
    return ("full", "json") if rule.code == TESTED else FORMATS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_fixture_shows_the_rule_in_every_format(
    routec: Run, rule: Rule, snapshot: SnapshotAssertion
) -> None:
    for form in formats(rule):
        result = say(routec, rule, f"{rule.code}.route", form)
        assert result.err == ""
        said: Any = result.out
        if form == "json":
            said = result.json
        elif form == "sarif":
            # The rules are the same in every log, and have pages of their own.
            said = [run["results"] for run in result.json["runs"]]
        assert said == snapshot(name=form)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_fixture_shows_that_rule_alone(routec: Run, rule: Rule) -> None:
    result = say(routec, rule, f"{rule.code}.route", "json")
    found = {f["code"] for f in result.json["findings"]}
    assert found == {rule.code} | ALSO.get(rule.code, set())
    errors = any(f["severity"] == "error" for f in result.json["findings"])
    assert result.status == int(errors)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_what_to_use_instead_is_silent(routec: Run, rule: Rule) -> None:
    file = f"{rule.code}_ok.route"
    assert (FOLDER / file).read_text() != (FOLDER / f"{rule.code}.route").read_text()
    assert routec("check", file, "--strict") == Result(0, "", "")
    asked = say(routec, rule, file, "json")
    assert (asked.status, asked.json["findings"]) == (0, [])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_library_finds_what_the_command_says(routec: Run, rule: Rule) -> None:
    if rule.code == TESTED:
        return
    checked = analyse(check(Path(f"{rule.code}.route")))
    kept = suppressions.apply(checked.findings, checked.modules, checked.sources)
    library = [(f.code, f.message, f.span.start) for f in (*kept.kept, *kept.own)]
    said = routec("check", f"{rule.code}.route", "--format", "json").json["findings"]
    assert [(f["code"], f["message"]) for f in said] == [(c, m) for c, m, _ in library if _shown(c)]


def _shown(code: str) -> bool:
    rule = next(r for r in RULES if r.code == code)
    return rule.severity is not Severity.NOTE or code == "RC306"


def test_every_rule_has_all_that_a_rule_has() -> None:
    pages = rule_pages()
    recorded = SNAPSHOTS.read_text()
    for rule in RULES:
        assert all(f"## {heading}\n" in rule.page for heading in HEADINGS), rule.code
        assert (FOLDER / f"{rule.code}.route").is_file(), rule.code
        assert (FOLDER / f"{rule.code}_ok.route").is_file(), rule.code
        page = ROOT / "docs" / "rules" / f"{rule.name}.md"
        assert page.read_text() == pages[page.name], rule.code
        for form in formats(rule):
            name = f"test_the_fixture_shows_the_rule_in_every_format[{rule.code}][{form}]"
            assert f"# name: {name}\n" in recorded


def test_there_is_no_fixture_without_a_rule() -> None:
    codes = {rule.code for rule in RULES}
    assert {path.stem.removesuffix("_ok") for path in FOLDER.glob("*.route")} == codes


def test_findings_that_a_request_can_show_are_shown_by_one(routec: Run) -> None:
    """What some request does is shown by that request, in every format that has room for it."""
    shown = {"RC201", "RC202", "RC205", "RC206", "RC208", "RC209", "RC212", "RC301", "RC302"}
    shown |= {"RC303", "RC306", "RC402"}
    for rule in RULES:
        if rule.code in shown:
            [finding] = say(routec, rule, f"{rule.code}.route", "json").json["findings"]
            assert set(finding["witness"]) >= {"attributes", "text", "signals", "outcome"}
            assert "= for example: " in say(routec, rule, f"{rule.code}.route", "full").out
            log = json.loads(say(routec, rule, f"{rule.code}.route", "sarif").out)
            [result] = log["runs"][0]["results"]
            assert result["properties"]["witness"] == finding["witness"]


POLICIES = [ROOT / "tests/fixtures/language.route", *(ROOT / "examples/policies").glob("*.route")]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.stem)
def test_good_policies_are_passed_over_in_silence(routec: Run, policy: Path) -> None:
    for form in ("full", "concise", "github"):
        assert routec("check", policy, "--format", form, "--strict") == Result(0, "", "")
    document = routec("check", policy, "--format", "json").json
    assert document["findings"] == []
    assert set(document["summary"].values()) == {0}
