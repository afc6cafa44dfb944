"""One defect planted into a clean policy is found, named, shown, and nothing else is said.

Set `ROUTEC_MUTATION_SCALE=20` for twenty times as many originals and mutants.
"""

from __future__ import annotations

import os

import pytest

from routec.compiler import analyse, check_bytes
from routec.compiler import policy as p
from routec.compiler.check import Checked
from routec.compiler.interpreter import Circumstances, decide, evaluate
from routec.dsl.diagnostic import Diagnostic, Verdict
from tests.compiler.mutation.clean import draft
from tests.compiler.mutation.oracle import breaks
from tests.compiler.mutation.planting import PLANTERS, Planted
from tests.compiler.mutation.replay import Replayed

SCALE = float(os.environ.get("ROUTEC_MUTATION_SCALE", "1"))
BATCH = 20
ORIGINALS = max(1, round(15 * SCALE))
MUTANTS = max(1, round(3 * SCALE))
SHOWN = frozenset(f"RC{n}" for n in (201, 202, 204, 205, 208, 209, 212, 301, 302, 402))
"""Findings that always have a witness."""


def checked(text: str) -> Checked:
    found = check_bytes("mutant.route", text.encode())
    assert found.policy is not None, [f.message for f in found.findings]
    return analyse(found)


@pytest.mark.parametrize("batch", range(ORIGINALS))
def test_nothing_is_said_of_clean_policies(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        text = draft(seed).render()
        found = [f"{f.code} {f.verdict}: {f.message}" for f in checked(text).findings]
        assert not found, f"seed {seed}: {found}\n{text}"


@pytest.mark.parametrize("name", PLANTERS)
def test_a_planted_defect_is_found_and_shown(name: str) -> None:
    for seed in range(MUTANTS):
        made = draft(seed * len(PLANTERS) + list(PLANTERS).index(name))
        planted = PLANTERS[name](made)
        text = made.render()
        try:
            judge(text, planted)
        except AssertionError as error:
            raise AssertionError(f"{name}, seed {seed}: {error}\n{text}") from error


def judge(text: str, planted: Planted) -> None:
    result = checked(text)
    assert result.policy is not None
    right = [f for f in result.findings if is_it(f, planted)]
    others = [f for f in result.findings if f not in right]
    said = [f"{f.code} {f.verdict} {f.subjects}: {f.message}" for f in others]
    assert right, f"not found: {planted}, but {said}"
    assert len(right) == 1, [f.message for f in right]
    assert right[0].verdict is Verdict.PROVED, right[0].message
    unrelated = [s for f, s in zip(others, said, strict=True) if not is_implied(f, planted)]
    assert not unrelated, unrelated
    finding = right[0]
    if planted.related is not None:
        named = {r.subject for r in finding.related}
        if finding.code == "RC203":
            places = [finding.span, *(r.span for r in finding.related)]
            named = {text[s.start : s.end] for s in places}
        assert named == planted.related, named
    if planted.part is not None:
        assert text[finding.span.start : finding.span.end] == planted.part
    assert finding.witness is not None or finding.code not in SHOWN, "no witness"
    for one in result.findings:
        if one.witness is not None and one.verdict is Verdict.PROVED:
            shows(result.policy, one)


def is_it(finding: Diagnostic, planted: Planted) -> bool:
    subjects = finding.subjects[: len(planted.subjects)]
    return finding.code == planted.code and subjects == planted.subjects


def is_implied(finding: Diagnostic, planted: Planted) -> bool:
    return (finding.code, finding.subjects[0]) in planted.implied


def shows(policy: p.Policy, finding: Diagnostic) -> None:
    """The witness, executed again from its JSON, shows what the finding says."""
    assert finding.witness is not None
    replayed = Replayed(policy, finding.witness)
    decision = replayed.decide()
    outcome = finding.witness["outcome"]
    if outcome["kind"] != "cached":
        assert outcome["kind"] == ("reject" if decision.outcome == "reject" else "route")
    assert outcome["name"] in (decision.route, decision.guard, decision.reason)
    rules: dict[str, p.Guard | p.Route | p.Category] = {
        r.name: r for r in (*policy.guards, *policy.routes, *policy.categories)
    }

    def holds(name: str) -> bool:
        return evaluate(rules[name].when.expr, replayed.values)

    subject = finding.subjects[0]
    match finding.code:
        case "RC201":
            one, two = (rules[name] for name in finding.subjects[:2])
            assert isinstance(one, p.Route)
            assert holds(one.name)
            assert holds(two.name)
            assert decision.route is not None
            taken = rules[decision.route]
            assert isinstance(taken, p.Route)
            assert taken.priority == one.priority
        case "RC202":
            assert holds(subject)
            assert any(holds(r.subject or "") for r in finding.related)
            assert decision.route != subject
        case "RC203":
            # The nearest there is: all of the clashing parts but one.
            places = {(finding.span.start, finding.span.end)}
            places |= {(r.span.start, r.span.end) for r in finding.related}
            parts = {
                (part.span.start, part.span.end): meaning
                for part, meaning in policy.meanings.items()
                if (part.span.start, part.span.end) in places
            }
            held = sum(evaluate(meaning, replayed.values) for meaning in parts.values())
            assert held >= len(parts) - 1
        case "RC204" | "RC205":
            assert holds(subject)
        case "RC212" if subject in rules:
            assert holds(subject)
        case "RC208":
            assert all(holds(name) for name in finding.subjects[:2])
            assert decision.category in finding.subjects
        case "RC209":
            promise = next(x for x in policy.promises if x.text == subject)
            answers = (None, "entry")
            assert any(
                breaks(
                    policy,
                    promise,
                    replayed.values,
                    decide(
                        policy,
                        replayed.request,
                        replayed.signals,
                        Circumstances(cached=lambda category, entry=entry: entry),
                    ),
                )
                for entry in answers
            )
            assert finding.subjects[1] in (decision.route, decision.guard)
        case "RC301":
            guard, name = finding.subjects[:2]
            assert decision.guard == guard
            failure = policy.signals[name].on_error
            assert failure is not None
            failed = decide(policy, replayed.request, {**replayed.signals, name: failure})
            assert failed.guard is None
            assert finding.witness["failed"]["outcome"]["name"] in (failed.route, failed.reason)
        case "RC302":
            assert decision.category == subject
