"""Guards that open while a signal fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from routec.compiler import policy as p
from routec.compiler.analysis.analysis import Analysis, further, outcome
from routec.compiler.analysis.failing import Failure, failure, substitute
from routec.compiler.analysis.folding import conjunction, negation
from routec.compiler.analysis.witness import Witness, as_json
from routec.compiler.dependencies import reads
from routec.compiler.expr import Expr
from routec.compiler.interpreter import Decision
from routec.compiler.rules import fail_open
from routec.compiler.theory.solver import Sat, Unknown
from routec.compiler.types import Value
from routec.dsl.diagnostic import Diagnostic


def failing_open(analysis: Analysis) -> Iterator[Diagnostic]:
    """RC301: rejecting guards that let a request past while a signal they depend on fails."""
    subject, policy = analysis.subject, analysis.policy
    depends = {g.name: reads(policy.signals, g.when.expr) for g in subject.rejecting()}
    fallible = [
        name
        for name, signal in policy.signals.items()
        if signal.on_error is not None and any(name in read for read in depends.values())
    ]
    failures = {name: failure(subject.table, policy.signals, name) for name in fallible}
    admitted = {name: _admitted(analysis, failed) for name, failed in failures.items()}
    twins = {n: t for failed in failures.values() for n, t in failed.signals().items()}
    if twins:
        analysis = further(analysis, list(admitted.values()), twins)
    before: list[Expr] = []
    for guard in subject.rejecting():
        rejects = subject.both(guard.when.expr, *before)
        for name in fallible:
            if name in depends[guard.name]:
                yield from _opens(analysis, guard, name, rejects, admitted[name])
        before.append(subject.no(guard.when.expr))


def _admitted(analysis: Analysis, failed: Failure) -> Expr:
    """No guard rejects while a signal fails."""
    table = analysis.subject.table
    return conjunction(
        table,
        [
            negation(table, substitute(table, guard.when.expr, failed))
            for guard in analysis.subject.rejecting()
        ],
    )


def _opens(
    analysis: Analysis, guard: p.Guard, name: str, rejects: Expr, admitted: Expr
) -> Iterator[Diagnostic]:
    subject, rule = analysis.subject, fail_open.RULE
    signal = analysis.policy.signals[name]
    answer = subject.possible(subject.both(rejects, admitted))
    question = f"whether `{guard.name}` rejects all the same while `{name}` fails"
    if isinstance(answer, Unknown):
        yield analysis.unknown(rule, question, guard.span, answer.reason, guard.name, name)
    if not isinstance(answer, Sat):
        return

    def shows(witness: Witness) -> bool:
        passed = while_failing(analysis, witness, signal)
        return analysis.witnesses.decide(witness).guard == guard.name and passed.guard is None

    shown = analysis.show(answer.model, shows)
    if shown is None:
        yield analysis.unconfirmed(rule, question, guard.span, guard.name, name)
        return
    witness, found = shown
    otherwise = while_failing(analysis, witness, signal)
    failed = replace(witness, signals={**witness.signals, name: _value(signal)})
    there = as_json(analysis.policy, failed, outcome(otherwise))
    found["failed"] = {
        "signals": {k: v for k, v in there["signals"].items() if _about(k, name)},
        "outcome": there["outcome"],
    }
    yield replace(fail_open.fail_open(guard, signal, otherwise), witness=found)


def while_failing(analysis: Analysis, witness: Witness, signal: p.Signal) -> Decision:
    """What is decided of a witness while a signal fails."""
    failed = replace(witness, signals={**witness.signals, signal.name: _value(signal)})
    return analysis.witnesses.decide(failed)


def _value(signal: p.Signal) -> Value:
    assert signal.on_error is not None
    return signal.on_error


def _about(key: str, name: str) -> bool:
    return key == name or key.startswith((f"{name}.", f"{name}["))
