"""All analyses of a policy, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from routec.compiler import policy as p
from routec.compiler.analysis import (
    categories,
    conditions,
    cost,
    failures,
    plans,
    promises,
    reachability,
    similarity,
    usage,
)
from routec.compiler.analysis.analysis import Analysis, Check, open_analysis
from routec.compiler.lock import Lock, NoLock
from routec.compiler.theory.solver import Budget
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.source import Source

CHECKS: tuple[tuple[str, Check], ...] = (
    ("RC202", reachability.unreachable),
    ("RC201", reachability.ambiguous),
    ("RC203", conditions.impossible),
    ("RC204", reachability.always_true),
    ("RC205", reachability.redundant),
    ("RC206", reachability.overlapping),
    ("RC207", usage.unused),
    ("RC208", categories.overlapping),
    ("RC209", promises.failed),
    ("RC210", conditions.empty_bands),
    ("RC212", conditions.dead),
    ("RC213", similarity.touching),
    ("RC214", similarity.impossible),
    ("RC301", failures.failing_open),
    ("RC302", categories.leaking),
    ("RC303", plans.overflowing),
    ("RC304", plans.cycles),
    ("RC305", plans.shared_fates),
    ("RC306", plans.single_failures),
    ("RC401", cost.costly),
    ("RC402", cost.over),
)
"""Each rule's analysis. Reachability comes first: what it finds answers many later questions."""

Progress = Callable[[str, int, int], None]
"""Hears of each analysis that begins: its rule, how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to analyse, and with how much effort.

    Attributes:
        wanted: codes of the rules to run; ``None`` for all that are on by default.
        budget: effort; ``None`` for the default.
        progress: hears how far the analysis is.
        vectors: whether to ask what only the vectors of examples can tell; without, the values
            of similarity signals are taken as free of each other.
        embedder: digest of the embedder in use; a lock of another one is out of date. ``None``
            takes that of the lock.
    """

    wanted: frozenset[str] | None = None
    budget: Budget | None = None
    progress: Progress | None = None
    vectors: bool = True
    embedder: str | None = None

    def runs(self, code: str, policy: p.Policy) -> bool:
        """Whether a rule's analysis is to run on a policy."""
        if self.wanted is not None:
            return code in self.wanted
        demanded = code == "RC306" and policy.demands.survive is not None
        return demanded or code not in OPTIONAL


OPTIONAL = frozenset({"RC206", "RC303", "RC306", "RC401"})
"""Rules that are off by default; RC306 is on where the policy demands to survive."""


def analyse(
    policy: p.Policy,
    sources: Mapping[str, Source],
    options: Options | None = None,
    lock: Lock | NoLock | None = None,
) -> Iterator[Diagnostic]:
    """Every finding of the analyses about a policy without errors; `lock` as in `open_analysis`."""
    options = options or Options()
    chosen = [(code, check) for code, check in CHECKS if options.runs(code, policy)]
    analysis: Analysis | None = None
    for done, (code, check) in enumerate(chosen):
        if options.progress is not None:
            options.progress(code, done, len(chosen))
        if analysis is None:
            analysis = open_analysis(policy, sources, options.budget, lock=lock)
        for finding in check(analysis):
            if analysis.vectors is None or not analysis.vectors.idle(finding):
                yield finding
