"""Safe fixes leave every decision as it was; unsafe ones settle the conflict they are offered for."""

from __future__ import annotations

import pytest

from routec.compiler import analyse, check_bytes
from routec.compiler.diff import compare
from routec.compiler.fixes import apply_edits
from routec.dsl.diagnostic import Applicability, Diagnostic
from tests.compiler.mutation.clean import draft
from tests.compiler.mutation.planting import PLANTERS

NAME = "mutant.route"


def findings(text: str) -> tuple[Diagnostic, ...]:
    return analyse(check_bytes(NAME, text.encode())).findings


@pytest.mark.parametrize("name", PLANTERS)
def test_fixes_do_what_they_say(name: str) -> None:
    made = draft(list(PLANTERS).index(name))
    PLANTERS[name](made)
    text = made.render()
    before = check_bytes(NAME, text.encode()).policy
    assert before is not None
    for finding in findings(text):
        if finding.fix is None:
            continue
        edited = apply_edits(text, finding.fix.edits)
        after = check_bytes(NAME, edited.encode())
        assert after.policy is not None, (finding.message, [f.message for f in after.findings])
        if finding.fix.applicability is Applicability.SAFE:
            assert compare(before, after.policy).relation == "equivalent", finding.message
        kept = {(f.code, f.subjects) for f in findings(edited)}
        assert (finding.code, finding.subjects) not in kept or finding.code == "RC212"


def test_a_conflict_is_excluded_where_its_priority_cannot_be_raised() -> None:
    text = """policy p
request { a: bool = false  b: bool = false  c: bool = false }
model m { }
route top priority 11 { when c to m tag "t" }
route one priority 10 { when a or b to m tag "1" }
route two priority 10 { when b or c  # both
  to m tag "2" }
default route rest { to m }
"""
    finding = next(f for f in findings(text) if f.code == "RC201")
    assert finding.fix is not None
    assert finding.fix.title == "exclude the requests of `one` from `two`"
    edited = apply_edits(text, finding.fix.edits)
    assert "when (b or c) and not (a or b)  # both" in edited
    assert "RC201" not in {f.code for f in findings(edited)}
