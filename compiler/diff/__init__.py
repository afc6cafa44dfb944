"""What changes when one policy replaces another, proved, with a request for every change."""

from __future__ import annotations

from routec.compiler.diff.compare import Change, Difference, OutcomeRelation, Relation, compare
from routec.compiler.diff.outcomes import ENDING, OVERFLOW, Doing, Facts
from routec.compiler.diff.redefined import Redefinition
from routec.compiler.diff.union import Side

__all__ = [
    "ENDING",
    "OVERFLOW",
    "Change",
    "Difference",
    "Doing",
    "Facts",
    "OutcomeRelation",
    "Redefinition",
    "Relation",
    "Side",
    "compare",
]
