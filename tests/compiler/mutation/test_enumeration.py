"""On policies small enough to try every request, every verdict is what trying them says.

Both ways: nothing is reported that is not so, and nothing that is so is left out. Set
`ROUTEC_MUTATION_SCALE=20` for twenty times as many policies.
"""

from __future__ import annotations

import os

import pytest

from routec.compiler import analyse
from routec.compiler.analysis.run import Options
from routec.dsl.diagnostic import Diagnostic, Verdict
from tests.compiler.mutation.enumerable import Case, draw_case
from tests.compiler.mutation.oracle import Oracle, dead_parts
from tests.compiler.mutation.replay import Replayed

SCALE = float(os.environ.get("ROUTEC_MUTATION_SCALE", "1"))
BATCH = 10
BATCHES = max(1, round(12 * SCALE))
COMPARED = frozenset(f"RC{n}" for n in (201, 202, 203, 204, 205, 206, 208, 209, 210, 212, 301))
EVERYTHING = Options(wanted=COMPARED)


def findings(case: Case) -> list[Diagnostic]:
    found = [f for f in analyse(case.checked, EVERYTHING).findings if f.code in COMPARED]
    assert all(f.verdict is Verdict.PROVED for f in found), [f.message for f in found]
    return found


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_verdict_is_that_of_trying_every_request(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        case = draw_case(seed)
        try:
            compare(case)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}\n{case.text}") from error


def compare(case: Case) -> None:
    oracle = Oracle(case)
    found = findings(case)
    by_code: dict[str, list[Diagnostic]] = {code: [] for code in COMPARED}
    for finding in found:
        by_code[finding.code].append(finding)

    def first(code: str) -> set[str]:
        names = [f.subjects[0] for f in by_code[code]]
        assert len(names) == len(set(names)), f"{code} twice: {names}"
        return set(names)

    assert {frozenset(f.subjects) for f in by_code["RC201"]} == oracle.ambiguous(), "RC201"
    assert first("RC202") == oracle.unreachable(), "RC202"
    assert first("RC203") == oracle.impossible(), "RC203"
    assert first("RC204") == oracle.always_true(), "RC204"
    assert first("RC205") == oracle.redundant(), "RC205"
    overlaps = {(f.subjects[0], f.subjects[1]) for f in by_code["RC206"]}
    assert overlaps == oracle.overlapping(), "RC206"
    pairs = {frozenset(f.subjects) for f in by_code["RC208"]}
    assert pairs == oracle.overlapping_categories(), "RC208"
    opens = {(f.subjects[0], f.subjects[1]) for f in by_code["RC301"]}
    assert opens == oracle.failing_open(), "RC301"
    assert first("RC209") == oracle.broken(), "RC209"
    bands = {(f.subjects[0], f.subjects[1]) for f in by_code["RC210"]}
    assert bands == oracle.empty_bands(), "RC210"
    routes = {r.name: r for r in oracle.policy.routes}
    for finding in by_code["RC202"]:
        cover = [r.subject or "" for r in finding.related]
        assert oracle.covers_minimally(routes[finding.subjects[0]], cover), f"RC202 by {cover}"
    dead = dead_parts(found)
    for _, name, condition, context in oracle.conditioned():
        replaced = dead.get(name, {})
        assert oracle.same_without(condition, context, replaced), f"RC212 of {name}"
        left = oracle.dead_left(condition, context, replaced)
        assert not left, f"RC212 misses {[case.text[s.start : s.end] for s in left]} of {name}"
    for finding in found:
        if finding.witness is not None:
            replay(oracle, finding)


def replay(oracle: Oracle, finding: Diagnostic) -> None:
    """The witness decides as it says, and shows what the finding claims."""
    assert finding.witness is not None
    replayed = Replayed(oracle.policy, finding.witness)
    decision = replayed.decide()
    outcome = finding.witness["outcome"]
    assert outcome["kind"] == decision.outcome or decision.outcome == "cached"
    assert outcome["name"] in (decision.route, decision.guard, decision.reason)
