"""What differs between the decisions of two policies, or between then and now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from routec.cli.flips import outcome
from routec.compiler.program import Model, Program
from routec.runtime.events.decision import Decision
from routec.runtime.events.request import Request
from routec.runtime.replay import Recorded, Redecided, Refused, dollars

EXAMPLES = 5
"""Request ids that are kept of each kind of difference."""
KINDS = 1000
"""Kinds of a difference that are kept apart; what a topic holds may name any number."""

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Kind:
    """How often a difference was seen, and the first requests of which."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class Kinds(Generic[K]):
    """Counts of differences by their kind, with examples; further kinds are only counted.

    Attributes:
        others: differences of kinds that are not kept apart.
    """

    def __init__(self) -> None:
        self._kinds: dict[K, Kind] = {}
        self.others = 0

    def add(self, kind: K, request: str) -> None:
        """Count one."""
        found = self._kinds.get(kind)
        if found is None:
            if len(self._kinds) >= KINDS:
                self.others += 1
                return
            found = self._kinds[kind] = Kind()
        found.count += 1
        if len(found.examples) < EXAMPLES:
            found.examples.append(request)

    def total(self) -> int:
        """How many there were."""
        return self.others + sum(kind.count for kind in self._kinds.values())

    def __iter__(self) -> Iterator[tuple[K, Kind]]:
        """The most frequent first, equal ones by name."""
        return iter(sorted(self._kinds.items(), key=lambda one: (-one[1].count, str(one[0]))))

    def __bool__(self) -> bool:
        return bool(self._kinds)


@dataclass(slots=True)
class Compared:
    """How decisions differ.

    Attributes:
        recorded: whether the old decisions are those that were recorded.
        policies: name and hash of the policies that made the old decisions.
        both: events that have an old and a new decision.
        only_old: events with an old one only.
        only_new: events with a new one only.
        moves: how often it came out otherwise, by the old and the new outcome.
        outcomes: how often it became another of ``route``, ``cached`` and ``reject``.
        models: events with the same outcome and another model.
        old_cost: dollars of the old decisions, of events whose cost is known of both.
        new_cost: the same of the new ones.
        priced: how many these are.
        rejected: events that are rejected by the old, and by the new decision.
        now_rejected: events that only the new one rejects, by what rejects them.
        now_passed: events that only the old one rejects, by what rejected them.
        perhaps_passed: events that the old one rejects and that cannot be decided now, by what
            rejected them: a value that the new decision needs was not asked for then.
        unmasked: events of which less is masked than before, neither being rejected.
        masked: events of which more is masked.
        unmasked_kinds: what is masked no longer; one event may lose several kinds.
        masked_kinds: what is masked only now.
        tags_lost: tags that are there no longer.
        tags_added: tags that are new.
    """

    recorded: bool = False
    policies: Counter[tuple[str, str]] = field(default_factory=Counter)
    both: int = 0
    only_old: int = 0
    only_new: int = 0
    moves: Kinds[tuple[str, str]] = field(default_factory=Kinds)
    outcomes: Kinds[tuple[str, str]] = field(default_factory=Kinds)
    models: int = 0
    old_cost: float = 0.0
    new_cost: float = 0.0
    priced: int = 0
    rejected: tuple[int, int] = (0, 0)
    now_rejected: Kinds[str] = field(default_factory=Kinds)
    now_passed: Kinds[str] = field(default_factory=Kinds)
    perhaps_passed: Kinds[str] = field(default_factory=Kinds)
    unmasked: int = 0
    masked: int = 0
    unmasked_kinds: Kinds[str] = field(default_factory=Kinds)
    masked_kinds: Kinds[str] = field(default_factory=Kinds)
    tags_lost: Kinds[str] = field(default_factory=Kinds)
    tags_added: Kinds[str] = field(default_factory=Kinds)

    @property
    def changed(self) -> int:
        """Events that came out otherwise."""
        return self.moves.total()


class Comparing:
    """Compares old decisions with new ones of the same events.

    Args:
        new: the program that decides now.
        old: the one that decides instead of the recorded decisions; ``None`` compares with these.
            The models of a recorded decision cost what the new program says of the same targets.
        old_hash: hash of it.
    """

    def __init__(self, new: Program, old: Program | None = None, old_hash: str = "") -> None:
        self.found = Compared(recorded=old is None)
        self._new = {model.name: model for model in new.models}
        self._old = self._new if old is None else {model.name: model for model in old.models}
        if old is not None:
            self.found.policies[old.name, old_hash] = 0

    def add(self, old: Redecided | Recorded | Refused | None, new: Redecided | Refused) -> None:
        """Take in one event; without an old decision it is decided now only, if it is."""
        found = self.found
        none_before = old is None or isinstance(old, Refused)
        if isinstance(old, Recorded):
            found.policies[old.policy, old.hash] += 1
        elif isinstance(old, Redecided):
            found.policies[next(iter(found.policies), ("", ""))] += 1
        if none_before or isinstance(new, Refused):
            found.only_old += isinstance(new, Refused) and not none_before
            found.only_new += none_before and not isinstance(new, Refused)
            if isinstance(old, Redecided | Recorded) and old.decision.reject is not None:
                name = old.request_id if isinstance(old, Recorded) else old.request.id
                found.perhaps_passed.add(_by(old.decision), name)
            return
        assert isinstance(old, Redecided | Recorded)
        before, after, request = old.decision, new.decision, new.request
        found.both += 1
        self._outcomes(before, after, request.id)
        self._cost(old, new)
        self._safety(before, after, request.id)

    def _outcomes(self, before: Decision, after: Decision, name: str) -> None:
        found = self.found
        ends = outcome(before), outcome(after)
        if ends[0] != ends[1]:
            found.moves.add(ends, name)
        elif before.model != after.model:
            found.models += 1
        if before.outcome != after.outcome:
            found.outcomes.add((before.outcome, after.outcome), name)

    def _cost(self, old: Redecided | Recorded, new: Redecided) -> None:
        found, request = self.found, new.request
        was, now = self._was(old, request), dollars(self._new, request, new.decision)
        if was is not None and now is not None:
            found.priced += 1
            found.old_cost += was
            found.new_cost += now

    def _was(self, old: Redecided | Recorded, request: Request) -> float | None:
        decision = old.decision
        if isinstance(old, Recorded) and decision.model is not None:
            model = self._old.get(decision.model)
            if model is None or not _is(model, old):
                return None
        return dollars(self._old, request, decision)

    def _safety(self, before: Decision, after: Decision, name: str) -> None:
        found = self.found
        was, now = before.reject is not None, after.reject is not None
        found.rejected = (found.rejected[0] + was, found.rejected[1] + now)
        if now and not was:
            found.now_rejected.add(_by(after), name)
        if was and not now:
            found.now_passed.add(_by(before), name)
        if not was and not now:
            old, new = _masks(before), _masks(after)
            found.unmasked += bool(old.keys() - new.keys())
            found.masked += bool(new.keys() - old.keys())
            for kind in {old[at] for at in old.keys() - new.keys()}:
                found.unmasked_kinds.add(kind, name)
            for kind in {new[at] for at in new.keys() - old.keys()}:
                found.masked_kinds.add(kind, name)
        for tag in set(before.tags) - set(after.tags):
            found.tags_lost.add(tag, name)
        for tag in set(after.tags) - set(before.tags):
            found.tags_added.add(tag, name)


def _is(model: Model, recorded: Recorded) -> bool:
    target = recorded.target
    return target is None or (target.provider, target.name) == (model.provider, model.target)


def _by(decision: Decision) -> str:
    assert decision.reject is not None
    return decision.reject.guard or decision.reject.reason


def _masks(decision: Decision) -> Mapping[tuple[int, int], str]:
    """Every code point that is masked, by message, and the kind of entity there."""
    return {(s.message, at): s.kind for s in decision.redacted for at in range(s.start, s.end)}
