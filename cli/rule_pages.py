"""``python -m routec.cli.rule_pages FOLDER``: write a page for each rule, and their index."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from routec.cli.commands.rule import page
from routec.compiler.rules import RULES


def rule_pages() -> dict[str, str]:
    """Text of each page by file name; ``index.md`` among them."""
    rows = [
        f"| [{rule.code}]({rule.name}.md) | [{rule.name}]({rule.name}.md) "
        f"| {rule.severity.value} | {rule.summary.rstrip('.')} |"
        for rule in RULES
    ]
    index = [
        "# Rules",
        "",
        "What `routec check` and `routec test` can say. `routec rule CODE` prints a page;",
        "`--select` and `--ignore` take codes, names and beginnings of codes.",
        "",
        "| code | name | severity | what it says |",
        "|---|---|---|---|",
        *rows,
        "",
    ]
    return {"index.md": "\n".join(index), **{f"{rule.name}.md": page(rule) for rule in RULES}}


def main(arguments: Sequence[str]) -> int:
    """Write the pages into the folder given; pages of rules that are gone are removed."""
    if len(arguments) != 1:
        print("usage: python -m routec.cli.rule_pages FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    pages = rule_pages()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
