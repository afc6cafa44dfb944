"""What a replay came to, for a person and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from routec.cli.render.styled import Line, line
from routec.cli.replaying import Answer, Compared
from routec.cli.text import visible
from routec.runtime.replay import UNRECORDED, Refused

_OUTCOMES = ("route", "cached", "reject")
_MOVES = 20


@dataclass(slots=True)
class Counted:
    """Counts of a replay.

    Attributes:
        outcomes: decisions by outcome.
        routes: decisions by route.
        rejects: rejections by guard, or by reason where no guard rejected.
        refused: events that could not be decided, by code.
        first: the first of these.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    first: Refused | None = None

    def add(self, answer: Answer) -> None:
        """Count one answer."""
        if isinstance(answer, Refused):
            self.refused[answer.code] += 1
            self.first = self.first or answer
            return
        decision = answer.decision
        self.outcomes[decision.outcome] += 1
        if decision.route is not None:
            self.routes[decision.route] += 1
        if decision.reject is not None:
            self.rejects[decision.reject.guard or decision.reject.reason] += 1

    @property
    def decisions(self) -> int:
        """Events that were decided."""
        return self.outcomes.total()

    @property
    def undecided(self) -> int:
        """Requests that lack a value."""
        return self.refused[UNRECORDED]

    @property
    def dead_letters(self) -> int:
        """Events that are no valid request."""
        return self.refused.total() - self.undecided


def document(policy: str, hash: str, counted: Counted, compared: Compared | None) -> dict[str, Any]:
    """The object of `replay --summary --format json`: the counts of `demo`, and what changed."""
    found: dict[str, Any] = {
        "policy": {"name": policy, "hash": hash},
        "events": counted.decisions + counted.refused.total(),
        "decisions": counted.decisions,
        "dead_letters": counted.dead_letters,
        "undecided": counted.undecided,
        "outcomes": {outcome: counted.outcomes[outcome] for outcome in _OUTCOMES},
        "routes": dict(counted.routes.most_common()),
        "rejects": dict(counted.rejects.most_common()),
        "refused": dict(counted.refused.most_common()),
        "latency_ms": {"p50": None, "p99": None},  # a replay has none
    }
    if compared is not None:
        found["against"] = {
            "both": compared.both,
            "only_old": compared.only_old,
            "only_new": compared.only_new,
            "changed": compared.changed,
            "share": compared.changed / compared.both if compared.both else None,
            "moves": [
                {"from": one, "to": other, "count": count}
                for (one, other), count in _moves(compared)
            ],
            "other_model": compared.models,
            "cost": {
                "old": compared.old_cost,
                "new": compared.new_cost,
                "delta": compared.new_cost - compared.old_cost,
                "priced": compared.priced,
            },
            "safety": {
                "rejected_old": compared.rejected[0],
                "rejected_new": compared.rejected[1],
                "now_rejected": compared.now_rejected,
                "now_passed": compared.now_passed,
                "masked_less": compared.unmasked,
                "masked_more": compared.masked,
            },
        }
    return found


def summary(policy: str, counted: Counted, compared: Compared | None) -> list[Line]:
    """The summary for a person."""
    events = counted.decisions + counted.refused.total()
    lines: list[Line] = [((f"{events:,} events", "strong"), (f" by {visible(policy)}", ""))]
    outcomes = ", ".join(f"{counted.outcomes[o]:,} {o}" for o in _OUTCOMES if counted.outcomes[o])
    lines.append(line(f"  {counted.decisions:,} decisions" + (f": {outcomes}" if outcomes else "")))
    for what, counts in (("routes", counted.routes), ("rejects", counted.rejects)):
        if counts:
            listed = ", ".join(f"{visible(n)} {count:,}" for n, count in counts.most_common())
            lines.append(line(f"    {what}: {listed}"))
    if counted.first is not None:
        listed = ", ".join(f"{code} {count:,}" for code, count in counted.refused.most_common())
        lines.append(line(f"  {counted.refused.total():,} not decided: {listed}", "warning"))
        first = counted.first
        lines.append(line(f"    line {first.event.number}: {visible(first.message)}", "warning"))
        if counted.undecided:
            lines.append(
                line("  = help: compute what was not recorded with `--live`, or record it", "frame")
            )
    if compared is not None:
        lines += [line(), *_against(compared)]
    return lines


def _against(compared: Compared) -> list[Line]:
    share = f" ({compared.changed / compared.both:.2%})" if compared.both else ""
    lines: list[Line] = [
        line(f"{compared.changed:,} of {compared.both:,} change outcome{share}", "strong")
    ]
    for count, who in ((compared.only_old, "old"), (compared.only_new, "new")):
        if count:
            lines.append(line(f"  {count:,} are decided by the {who} policy only", "warning"))
    moves = _moves(compared)
    lines += [
        line(f"  {count:>6,}  {visible(one)} -> {visible(other)}")
        for (one, other), count in moves[:_MOVES]
    ]
    if len(moves) > _MOVES:
        lines.append(line(f"  and {len(moves) - _MOVES} more kinds of change"))
    if compared.models:
        lines.append(line(f"  {compared.models:,} go to another model of the same route"))
    if compared.priced:
        lines.append(
            line(
                f"  cost ${compared.old_cost:.6g} -> ${compared.new_cost:.6g} "
                f"({compared.new_cost - compared.old_cost:+.6g}) over {compared.priced:,} with "
                "known prices"
            )
        )
    old, new = compared.rejected
    lines.append(
        line(
            f"  rejected {old:,} -> {new:,}: {compared.now_rejected:,} more, "
            f"{compared.now_passed:,} no longer",
            "warning" if compared.now_passed else "",
        )
    )
    if compared.masked or compared.unmasked:
        lines.append(
            line(
                f"  {compared.masked:,} are masked more, {compared.unmasked:,} less",
                "warning" if compared.unmasked else "",
            )
        )
    return lines


def _moves(compared: Compared) -> list[tuple[tuple[str, str], int]]:
    """Most frequent first, equal ones by name."""
    return sorted(compared.moves.items(), key=lambda item: (-item[1], item[0]))
