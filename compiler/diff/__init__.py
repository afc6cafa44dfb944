"""What changes when one policy replaces another, proved, with a request for every change."""

from __future__ import annotations

from routec.compiler.diff.compare import Change, Difference, OutcomeRelation, Relation, compare
from routec.compiler.diff.outcomes import Facts
from routec.compiler.diff.redefined import Redefinition

__all__ = [
    "Change",
    "Difference",
    "Facts",
    "OutcomeRelation",
    "Redefinition",
    "Relation",
    "compare",
]
