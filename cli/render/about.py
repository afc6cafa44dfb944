"""What is known of a finding beside the finding itself, and its example in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from routec.cli.frequency import Frequency
from routec.cli.render.witness import EVERYTHING, Matters, in_pieces
from routec.dsl.diagnostic import Diagnostic

_WITHOUT = frozenset({"RC210"})
"""Rules whose finding a request does not show: what there is not of a band is no request."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a finding.

    Attributes:
        matters: what of its witness to show.
        frequency: how often it happens in recorded traffic; ``None`` where that is not known.
    """

    matters: Matters = EVERYTHING
    frequency: Frequency | None = None


Knows = Callable[[Diagnostic], About]
"""Tells what is known of a finding."""


def nothing(finding: Diagnostic) -> About:
    """Nothing is known beside the finding."""
    return About()


def example(finding: Diagnostic, about: About) -> tuple[str, list[str]] | None:
    """A label, and the finding's witness as pieces of a line; ``None`` where there is none."""
    if finding.witness is None or finding.code in _WITHOUT:
        return None
    label = "the nearest" if about.matters.nearly else "for example"
    return label, in_pieces(finding.witness, about.matters)


def example_line(finding: Diagnostic, about: About) -> list[str]:
    """The example as one line of plain text, or no line."""
    found = example(finding, about)
    return [] if found is None else [f"{found[0]}: {' '.join(found[1])}"]
