"""Which routes some request takes."""

from __future__ import annotations

from dataclasses import replace

from routec.compiler import policy as p
from routec.compiler.analysis.subject import Subject, conditions_of
from routec.compiler.theory.solver import Budget, Theory, Unsat
from routec.compiler.theory.texts import Texts

EFFORT = Budget(query=200, total=20_000, last=20, refusals=50)
"""Far less than an analysis may take: a route of which nothing is known just stays."""


def live_routes(policy: p.Policy, budget: Budget | None = None) -> tuple[int, ...]:
    """Indices of the routes that some request takes, in order of meaning.

    A route is left out only where the analyser's theory proves that no request comes to it; what
    takes too long to decide counts as live. The theory is that of exact numbers. Where numbers as
    a computer has them may differ from it (scores of an exclusive classifier that add up to
    almost 1, sums of numbers that are rounded) they count as free of each other.

    Args:
        policy: a policy without errors.
        budget: effort; ``None`` for `EFFORT`.

    Returns:
        The default route is always among them; empty where every route is live.
    """
    signals = {name: _loose(signal) for name, signal in policy.signals.items()}
    theory = Theory(signals, conditions_of(policy), budget=budget or EFFORT)
    theory.watch((Texts(theory.encoding, policy),))
    subject = Subject(policy, theory)
    subject.prepare()
    live = [
        at
        for at, route in enumerate(policy.routes)
        if route.default or not isinstance(subject.possible(subject.taken(route)), Unsat)
    ]
    return () if len(live) == len(policy.routes) else tuple(live)


def _loose(signal: p.Signal) -> p.Signal:
    # A kind of its own keeps the theory from tying a signal to those that are defined alike: they
    # may fail, or be fixed by a test, one by one.
    signal = replace(signal, kind=signal.name)
    definition = signal.definition
    if isinstance(definition, p.Classifier):
        return replace(signal, definition=replace(definition, exclusive=False))
    if isinstance(definition, p.Score) and any(s.variable for s in definition.summands):
        return replace(signal, definition=p.Structure())
    if isinstance(definition, p.Entities):
        return replace(signal, definition=p.Structure())
    return signal
