"""`routec rule`, and the pages made from the same registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from routec.cli.rule_pages import main, rule_pages
from routec.compiler.rules import RULES
from routec.dsl.diagnostic import Rule

from .support import Run

DOCS = Path(__file__).resolve().parents[2] / "docs" / "rules"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_page_says_what_why_and_what_instead(routec: Run, rule: Rule) -> None:
    by_code, by_name = routec("rule", rule.code.lower()), routec("rule", rule.name)
    assert by_code == by_name
    assert by_code.status == 0
    page = by_code.out
    assert page.startswith(f"# {rule.name} ({rule.code})\n")
    for part in ("What it does", "Why is this bad?", "Example", "Use instead"):
        assert f"## {part}\n" in page
    assert routec("rule", rule.code, "--format", "json").json["page"] == page


def test_without_a_rule_all_are_listed(routec: Run) -> None:
    lines = routec("rule").out.splitlines()
    assert [one.split()[:2] for one in lines] == [[rule.code, rule.name] for rule in RULES]
    listed = routec("rule", "--format", "json").json["rules"]
    assert [one["code"] for one in listed] == [rule.code for rule in RULES]


def test_an_unknown_rule_names_the_nearest(routec: Run) -> None:
    result = routec("rule", "unknown-nam")
    assert result.status == 2
    assert "did you mean `unknown-name`?" in result.err


def test_the_pages_in_docs_are_current() -> None:
    """`python -m routec.cli.rule_pages docs/rules` writes them."""
    assert {path.name: path.read_text() for path in DOCS.glob("*.md")} == rule_pages()


def test_pages_of_rules_that_are_gone_are_removed(tmp_path: Path) -> None:
    (tmp_path / "old-rule.md").write_text("gone")
    assert main([str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == set(rule_pages())
    assert main([]) == 2
