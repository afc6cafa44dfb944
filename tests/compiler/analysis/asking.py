"""Asking one analysis about a policy given as text."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from routec.compiler import check_bytes
from routec.compiler.analysis.analysis import Analysis, Check, open_analysis
from routec.compiler.fixes import fix_all
from routec.compiler.interpreter import Request
from routec.compiler.types import Value
from routec.dsl.diagnostic import Diagnostic
from tests.compiler.policies import policies, requests, signal_values


def analysis_of(text: str) -> Analysis:
    """The analysis of a policy that must be without errors."""
    checked = check_bytes("p.route", text.encode())
    assert checked.policy is not None, [f.message for f in checked.findings]
    return open_analysis(checked.policy, checked.sources)


def ask(check: Check, text: str) -> list[Diagnostic]:
    """All findings of one check."""
    return list(check(analysis_of(text)))


def only(check: Check, text: str) -> Diagnostic:
    """The one finding of a check."""
    found = ask(check, text)
    assert len(found) == 1, [f.message for f in found]
    return found[0]


def related(finding: Diagnostic) -> list[str | None]:
    """Subjects of the related places."""
    return [r.subject for r in finding.related]


def fixed(text: str, findings: Sequence[Diagnostic]) -> str:
    """The text after all safe fixes; unchanged where there are none."""
    checked = check_bytes("p.route", text.encode())
    return fix_all(checked.sources, findings, unsafe=False).texts.get("p.route", text)


class Tried:
    """A random policy and random requests for it, each with its signal values."""

    def __init__(
        self, text: str, analysis: Analysis, requests: list[tuple[Request, dict[str, Value]]]
    ) -> None:
        self.text = text
        self.policy = analysis.policy
        self.analysis = analysis
        self.requests = requests

    def __repr__(self) -> str:
        return f"Tried({self.text!r})"


@st.composite
def joined(draw: st.DrawFn, atoms: Sequence[str]) -> str:
    """A condition of one to three of these, some negated."""
    parts = draw(st.lists(st.sampled_from(atoms), min_size=1, max_size=3, unique=True))
    parts = [draw(st.sampled_from(("", "not "))) + f"({part})" for part in parts]
    return draw(st.sampled_from((" and ", " or "))).join(parts)


@st.composite
def tried(draw: st.DrawFn, most: int = 12, texts: st.SearchStrategy[str] | None = None) -> Tried:
    """A random policy, with one of these texts if any are given, and some requests."""
    text = draw(policies()).text if texts is None else draw(texts)
    analysis = analysis_of(text)
    policy = analysis.policy
    found = [(draw(requests(policy)), draw(signal_values(policy))) for _ in range(most)]
    return Tried(text, analysis, found)
