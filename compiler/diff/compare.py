"""The comparison itself: which requests get which outcome before and after, decided exactly.

Both policies' conditions stand in one theory. An outcome's requests before and after are two
conditions; whether one of them holds without the other is a question of satisfiability, and
every "yes" is a request that both reference interpreters decide again before it is reported
(after Backes et al., "Semantic-based Automated Reasoning for AWS Access Policies using SMT",
FMCAD 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from routec.compiler import policy as p
from routec.compiler.analysis.witness import Shows, Witness, Witnesses
from routec.compiler.diff.matters import matters
from routec.compiler.diff.outcomes import OVERFLOW, Doing, Facet, Key, facets, none_of
from routec.compiler.diff.redefined import Acceptance, Redefinition, acceptance, redefined
from routec.compiler.diff.shown import shown
from routec.compiler.diff.union import Union, unite
from routec.compiler.expr import Expr
from routec.compiler.theory.solver import Answer, Budget, Model, Sat, Theory, Unknown, Unsat
from routec.compiler.theory.texts import Texts

MOST = 100
"""Destinations that are told apart for the requests of one outcome."""

EFFORT = 200_000
"""Rules looked at, over a whole comparison, to tell which values changes depend on."""

_UNSHOWN = "no request could be built that shows it"

Does = Mapping[str, Key]
"""The outcome of a decision in each facet in which it has one."""

Progress = Callable[[str, int, int], None]
"""Hears of each outcome that is looked at: its name, how many are done, and of how many."""


class Relation(StrEnum):
    """How the requests that get an outcome relate to those that got it before."""

    EQUIVALENT = "equivalent"
    WIDENED = "widened"
    NARROWED = "narrowed"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OutcomeRelation:
    """What became of one outcome.

    Attributes:
        outcome: what it is called, unique in the comparison.
        facet: the respect in which decisions have it, such as ``ending`` or ``tag vip``.
        relation: what became of it.
        reason: why it is unknown; ``None`` where it is known.
    """

    outcome: str
    facet: str
    relation: Relation
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Requests that get another outcome than before.

    Attributes:
        facet: the respect in which they do; ``request`` where only one policy takes them at all.
        before: the old outcome.
        after: the new outcome.
        witness: one of them, in the shape of the contract; ``None`` for ``request``.
        matters: the fields and signals on whose values in the witness the change depends; none
            where the effort for telling was spent.
    """

    facet: str
    before: str
    after: str
    witness: Mapping[str, Any] | None
    matters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """All that is different between two policies.

    Attributes:
        relation: ``equivalent``, ``changed``, or ``unknown`` where no change was found but some
            outcome could not be decided.
        outcomes: every outcome of either policy.
        changes: every changed region.
        redefined: declarations that mean something else under the same name.
        more: outcomes whose requests went to more than `MOST` others; the rest is not listed.
        union: both policies in one set of terms.
        doing: what the decisions of each policy do.
        facets: the respects in which decisions were compared.
    """

    relation: Relation
    outcomes: tuple[OutcomeRelation, ...]
    changes: tuple[Change, ...]
    redefined: tuple[Redefinition, ...]
    more: tuple[str, ...]
    union: Union = field(repr=False)
    doing: tuple[Doing, Doing] = field(repr=False)
    facets: tuple[Facet, ...] = field(repr=False)


def compare(
    old: p.Policy,
    new: p.Policy,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Difference:
    """Compare two policies that have no errors, and at least a default route each."""
    union = unite(old, new)
    doing = (Doing(union.old), Doing(union.new))
    found = facets(union, doing)
    conditions = [when for f in found for o in f.outcomes.values() for when in o.when]
    # As one condition: they share most of their parts, and each part is to be declared once.
    theory = Theory(union.policy.signals, [union.table.or_(conditions)], budget=budget)
    texts = Texts(theory.encoding, union.policy)
    theory.watch((texts,))
    witnesses = Witnesses(union.policy, theory.encoding, texts)
    comparison = _Comparison(union, doing, theory, witnesses, progress)
    total = sum(len(f.outcomes) for f in found)
    for facet in found:
        _Facet(comparison, facet).compare(total)
    refused = [_refused(one) for one in acceptance(union)]
    changes = (*refused, *comparison.changes)
    again = redefined(union)
    relations = {outcome.relation for outcome in comparison.outcomes}
    if changes or any(one.kind == "budget" for one in again):
        whole = Relation.CHANGED
    elif relations <= {Relation.EQUIVALENT}:
        whole = Relation.EQUIVALENT
    else:
        whole = Relation.UNKNOWN
    return Difference(
        whole,
        tuple(comparison.outcomes),
        changes,
        tuple(again),
        tuple(comparison.more),
        union,
        doing,
        tuple(found),
    )


def _refused(one: Acceptance) -> Change:
    return Change("request", one.before, one.after, None)


@dataclass(frozen=True, slots=True)
class _Known:
    """A request that shows a change, what both policies do to it, and how it is written."""

    old: Does
    new: Does
    shown: Mapping[str, Any]
    matters: tuple[str, ...]


@dataclass(slots=True)
class _Comparison:
    """What the facets of one comparison share."""

    union: Union
    doing: tuple[Doing, Doing]
    theory: Theory
    witnesses: Witnesses
    progress: Progress | None
    outcomes: list[OutcomeRelation] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    known: list[_Known] = field(default_factory=list)
    left: int = EFFORT

    def ask(self, condition: Expr) -> Answer:
        """Whether some request meets a condition; earlier models are asked first."""
        known = self.theory.samples.model(self.theory.samples.mask(condition))
        if known is not None:
            return Sat(known)
        return self.theory.solve(self.theory.literal(condition))

    def does(self, witness: Witness, facet: str) -> tuple[Key | None, Key | None]:
        """What both interpreters do to a request, in one respect."""
        old, new = self.all(witness, limited=facet == OVERFLOW)
        return old.get(facet), new.get(facet)

    def all(self, witness: Witness, *, limited: bool = True) -> tuple[Does, Does]:
        """What both interpreters do to a request."""
        sides = (self.union.old, self.union.new)
        old, new = (
            does.of(does.facts(side.see(witness, limited=limited)))
            for does, side in zip(self.doing, sides, strict=True)
        )
        return old, new


class _Facet:
    """Compares one facet."""

    def __init__(self, comparison: _Comparison, facet: Facet) -> None:
        self._all = comparison
        self._facet = facet
        side = comparison.union.new
        outcomes = facet.outcomes.values()
        self._when: dict[Key | None, tuple[Expr, Expr]] = {
            o.key: (o.when[0], o.when[1]) for o in outcomes
        }
        self._labels: dict[Key | None, str] = {o.key: o.label for o in outcomes}
        none = none_of(facet)
        self._labels[None] = none
        self._when[None] = (
            side.no(side.any(*(o.when[0] for o in outcomes))),
            side.no(side.any(*(o.when[1] for o in outcomes))),
        )
        # What is known of each outcome: whether requests leave it, and whether some come to it.
        self._leaves: dict[Key | None, bool | None] = {}
        self._comes: dict[Key | None, bool | None] = {}
        self._reasons: dict[Key | None, str] = {}
        self._pairs: dict[Key | None, set[Key | None]] = {}

    def compare(self, total: int) -> None:
        """Find every changed region and what becomes of every outcome."""
        # Requests of other facets often show the changes of this one.
        for known in self._all.known:
            self._report(known)
        whole = True
        done = len(self._all.outcomes)
        for key, label in self._labels.items():
            if self._all.progress is not None and key is not None:
                self._all.progress(label, done, total)
                done += 1
            whole = self._leaving(key) and whole
        for key in self._when:
            if key not in self._comes:
                self._comes[key] = False if whole else self._coming(key)
        for key, outcome in self._facet.outcomes.items():
            self._all.outcomes.append(
                OutcomeRelation(outcome.label, self._facet.name, *self._relation(key))
            )

    def _relation(self, key: Key) -> tuple[Relation, str | None]:
        match self._leaves[key], self._comes[key]:
            case False, False:
                return Relation.EQUIVALENT, None
            case True, True:
                return Relation.CHANGED, None
            case True, False:
                return Relation.NARROWED, None
            case False, True:
                return Relation.WIDENED, None
            case _:
                return Relation.UNKNOWN, self._reasons[key]

    def _leaving(self, key: Key | None) -> bool:
        """Where the requests of an outcome go; whether all of their destinations are known."""
        side = self._all.union.new
        before, after = self._when[key]
        self._leaves.setdefault(key, False)
        if before is after:
            return True
        left = side.all(before, side.no(after))
        destinations = self._pairs.setdefault(key, set())
        for other in destinations:
            left = side.all(left, side.no(self._when[other][1]))
        while len(destinations) < MOST:
            if len(destinations) == len(self._when) - 1:
                return True
            answer = self._all.ask(left)
            if isinstance(answer, Unsat):
                return True
            if isinstance(answer, Unknown):
                self._doubt(self._leaves, key, answer.reason)
                return False
            pair = self._witness(answer.model)
            if pair is None or pair[0] != key:
                self._doubt(self._leaves, key, _UNSHOWN)
                return False
            left = side.all(left, side.no(self._when[pair[1]][1]))
        if isinstance(self._all.ask(left), Unsat):
            return True
        self._all.more.append(self._labels[key])
        return False

    def _coming(self, key: Key | None) -> bool | None:
        """Whether requests come to an outcome, where those of all others were not followed up."""
        side = self._all.union.new
        before, after = self._when[key]
        if before is after:
            return False
        answer = self._all.ask(side.all(after, side.no(before)))
        if isinstance(answer, Unsat):
            return False
        if isinstance(answer, Unknown):
            self._doubt(self._comes, key, answer.reason)
        else:
            pair = self._witness(answer.model)
            if pair is None or pair[1] != key:
                self._doubt(self._comes, key, _UNSHOWN)
        return self._comes[key]

    def _witness(self, model: Model) -> tuple[Key | None, Key | None] | None:
        """Report a changed region that a model is of: its outcomes, by both interpreters.

        ``None`` where no request shows the change.
        """
        name = self._facet.name
        pairs: list[tuple[Key | None, Key | None]] = []

        def shows(witness: Witness) -> bool:
            pair = self._all.does(witness, name)
            pairs.append(pair)
            return pair[0] != pair[1] and pair == pairs[0]

        witness = self._all.witnesses.find(model, shows)
        if witness is None:
            return None
        all_ = self._all
        old, new = all_.all(witness)
        known = _Known(
            old,
            new,
            shown(all_.union, witness),
            self._matters(witness, shows),
        )
        all_.known.append(known)
        self._report(known)
        return pairs[0]

    def _matters(self, witness: Witness, shows: Shows) -> tuple[str, ...]:
        """The values that a change depends on; none where the effort is spent."""
        all_ = self._all
        if all_.left <= 0:
            return ()
        suspects: set[str] = set()
        for side in (all_.union.old, all_.union.new):
            suspects |= side.decisive(witness)
        price = len(all_.union.policy.guards) + len(all_.union.policy.routes)

        def counted(one: Witness) -> bool:
            all_.left -= price
            return shows(one)

        return matters(all_.union.policy, witness, counted, frozenset(suspects))

    def _report(self, known: _Known) -> None:
        """Report the change that a request shows in this facet, if it is a new one."""
        name = self._facet.name
        before, after = known.old.get(name), known.new.get(name)
        destinations = self._pairs.setdefault(before, set())
        if before == after or after in destinations:
            return
        destinations.add(after)
        self._leaves[before] = True
        self._comes[after] = True
        labels = self._labels[before], self._labels[after]
        self._all.changes.append(Change(name, *labels, known.shown, known.matters))

    def _doubt(self, known: dict[Key | None, bool | None], key: Key | None, reason: str) -> None:
        """Note that something is not known, unless it is."""
        self._reasons.setdefault(key, reason)
        if known.get(key) is not True:
            known[key] = None
