"""What is known of the vectors behind similarity signals, as sides of the theory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routec.compiler import policy as p
from routec.compiler.lock import Lock, NoLock, examples_of
from routec.compiler.theory.solver import Theory
from routec.compiler.theory.unlocked import Unlocked, neutral
from routec.dsl.diagnostic import Diagnostic, Verdict

if TYPE_CHECKING:
    from routec.compiler.theory.caps import Caps

IDLE = frozenset({"RC202", "RC203", "RC204", "RC205", "RC210", "RC212"})
"""Rules that speak where something is impossible.

Without vectors more is taken to be possible, so that what they claim stays true and vectors could
only add to it. That is no reason to trouble anybody; for whole conditions RC214 does.
"""


@dataclass(frozen=True, slots=True)
class Vectors:
    """The similarity and contrast signals of a policy.

    Attributes:
        signals: all of them, by name.
        caps: ties those whose examples have vectors; ``None`` where none has.
        unlocked: doubts what hangs on the others; ``None`` where there are no others.
        help: what gives all of them vectors.
    """

    signals: Mapping[str, p.Signal]
    caps: Caps | None
    unlocked: Unlocked | None
    help: str

    def missing(self, reason: str) -> bool:
        """Whether a reason for not deciding is that vectors are missing."""
        return self.unlocked is not None and reason == self.unlocked.reason

    def idle(self, finding: Diagnostic) -> bool:
        """Whether a finding only says that vectors might have led to one of its kind."""
        undecided = finding.verdict is Verdict.UNKNOWN and finding.help == self.help
        return undecided and finding.code in IDLE


def open_vectors(
    policy: p.Policy,
    signals: Mapping[str, p.Signal],
    theory: Theory,
    lock: Lock | NoLock,
    sources: Iterable[str],
) -> Vectors | None:
    """Let a theory know of vectors; ``None`` where no condition reads a signal that has them."""
    encoding = theory.encoding
    found = {n: s for n, s in policy.signals.items() if examples_of(s)}
    if not any((name, None) in encoding.numbers for name in found):
        return None
    theory.prefer(neutral(encoding, found))
    help = f"run `routec lock {next(iter(sources), 'POLICY')}`"
    if isinstance(lock, NoLock):
        reason, help = lock.reason, lock.help
        without = dict(found)
    else:
        without = {n: s for n, s in found.items() if lock.lacks(examples_of(s))}
        lacking = lock.lacks(text for s in without.values() for text in examples_of(s))
        reason = f"the lock file lacks {len(lacking)} of the examples"
    caps: Caps | None = None
    known = [s for name, s in found.items() if name not in without]
    if known and isinstance(lock, Lock):
        # Numerical libraries take a moment to load.
        from routec.compiler.theory.caps import Caps
        from routec.compiler.theory.regions import regions

        caps = Caps(encoding, signals, *regions(known, lock))
        theory.watch((caps,))
    unlocked: Unlocked | None = None
    if without:
        unlocked = Unlocked(encoding, found, without, reason)
        theory.watch((unlocked,))
    return Vectors(found, caps, unlocked, help)
