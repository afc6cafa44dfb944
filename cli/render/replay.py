"""What a replay came to, for a person and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from routec.cli.deltas import Compared, Kinds
from routec.cli.render.styled import Line, Style, line
from routec.cli.replaying import Answer
from routec.cli.text import visible
from routec.runtime.replay import UNRECORDED, Refused
from routec.runtime.replay.topic import TopicStream

_OUTCOMES = ("route", "cached", "reject")
_MOVES = 20
_LISTED = 8
_NAME = 60


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


def document(
    policy: str,
    hash: str,
    counted: Counted,
    compared: Compared | None,
    stream: TopicStream | None = None,
) -> dict[str, Any]:
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
    if stream is not None:
        found["topic"] = _topic(stream)
    if compared is not None:
        found["against"] = _differences(compared)
    return found


def _topic(stream: TopicStream) -> dict[str, Any]:
    return {
        "name": stream.topic,
        "partitions": [
            {
                "partition": part.partition,
                "begin": part.begin,
                "end": part.end,
                "requests": part.records,
                "joined": part.joined,
                "without": {
                    "expired": part.forgotten,
                    "between": part.undecided,
                    "after": part.pending,
                },
                "gaps": part.gaps,
                "expired": part.expired,
                "lost": part.lost,
                "unreadable_decisions": part.unreadable,
            }
            for part in stream.parts
        ],
    }


def _differences(compared: Compared) -> dict[str, Any]:
    both = compared.both
    return {
        "baseline": "recorded" if compared.recorded else "policy",
        "policies": [
            {"name": name, "hash": hash, "count": count}
            for (name, hash), count in compared.policies.most_common()
        ],
        "both": both,
        "only_old": compared.only_old,
        "only_new": compared.only_new,
        "changed": compared.changed,
        "share": compared.changed / both if both else None,
        "moves": _pairs(compared.moves, both),
        "outcomes": _pairs(compared.outcomes, both),
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
            "now_rejected": compared.now_rejected.total(),
            "now_passed": compared.now_passed.total(),
            "now_rejected_by": _named(compared.now_rejected),
            "now_past": _named(compared.now_passed),
            "perhaps_past": _named(compared.perhaps_passed),
            "masked_less": compared.unmasked,
            "masked_more": compared.masked,
            "redactions_lost": _named(compared.unmasked_kinds),
            "redactions_added": _named(compared.masked_kinds),
            "tags_lost": _named(compared.tags_lost),
            "tags_added": _named(compared.tags_added),
        },
    }


def _pairs(kinds: Kinds[tuple[str, str]], both: int) -> list[dict[str, Any]]:
    return [
        {
            "from": one,
            "to": other,
            "count": kind.count,
            "share": kind.count / both,
            "examples": kind.examples,
        }
        for (one, other), kind in kinds
    ]


def _named(kinds: Kinds[str]) -> dict[str, Any]:
    return {name: {"count": kind.count, "examples": kind.examples} for name, kind in kinds}


def notes(
    stream: TopicStream | None, compared: Compared, hash: str, *, stopped: bool
) -> list[Line]:
    """What is to be known of a replay beside its result, for standard error.

    Args:
        stream: what was read, if it was a topic.
        compared: the differences.
        hash: of the policy that decides now.
        stopped: whether it was stopped.
    """
    found: list[Line] = []
    others = sum(count for (_, own), count in compared.policies.items() if own != hash)
    if compared.recorded and others:
        found.append(
            line(
                f"{others:,} decisions were made by other policies, and their signals are taken by "
                "name; name the policy with `--against` where signals are defined otherwise now",
                "warning",
            )
        )
    if stopped:
        found.append(line("stopped: this is of what was replayed until then", "warning"))
    if stream is None:
        return found
    if not stream.decided:
        found.append(
            line(
                f"there is no topic `{visible(stream.decisions)}` of decisions: nothing is known "
                "of signals and answers of the cache",
                "warning",
            )
        )
    for part in stream.parts:
        place = f"partition {part.partition} of `{visible(stream.topic)}`"
        if part.expired:
            found.append(
                line(
                    f"{part.expired:,} offsets before {part.begin} of {place} are gone: retention "
                    "has taken them",
                    "warning",
                )
            )
        if part.lost:
            found.append(
                line(f"retention took {part.lost:,} offsets of {place} meanwhile", "warning")
            )
    return found


def summary(
    policy: str, counted: Counted, compared: Compared | None, stream: TopicStream | None = None
) -> list[Line]:
    """The summary for a person."""
    events = counted.decisions + counted.refused.total()
    lines: list[Line] = [((f"{events:,} events", "strong"), (f" by {visible(policy)}", ""))]
    if stream is not None:
        lines += _read(stream)
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
        place = f"line {first.event.number}"
        if first.event.stored:
            place = f"{first.event.record.partition}/{first.event.record.offset}"
        lines.append(line(f"    {place}: {visible(first.message)}", "warning"))
        if counted.undecided:
            lines.append(
                line("  = help: compute what was not recorded with `--live`, or record it", "frame")
            )
    if compared is not None:
        lines += [line(), *_against(compared)]
    return lines


def _read(stream: TopicStream) -> list[Line]:
    lines = []
    for part in stream.parts:
        told = [f"{part.records:,} requests", f"{part.joined:,} with their decisions"]
        told += [
            f"{count:,} {what}"
            for count, what in (
                (part.forgotten, "whose decisions may have expired"),
                (part.undecided, "without one"),
                (part.pending, "after the last decision"),
                (part.gaps, "offsets without a record"),
                (part.unreadable, "decisions that cannot be read"),
            )
            if count
        ]
        where = f"{visible(stream.topic)}/{part.partition} {part.begin} to {part.end}"
        lines.append(line(f"  {where}: {', '.join(told)}"))
    return lines


def _against(compared: Compared) -> list[Line]:
    share = f" ({compared.changed / compared.both:.2%})" if compared.both else ""
    lines: list[Line] = [
        line(f"{compared.changed:,} of {compared.both:,} change outcome{share}", "strong")
    ]
    for (name, hash), count in compared.policies.most_common(_LISTED):
        who = "were decided by" if compared.recorded else "are decided by the old policy,"
        lines.append(line(f"  {count:,} {who} {visible(name)} {visible(hash[:15])}"))
    if compared.only_old:
        told = (
            "have a recorded decision and none now"
            if compared.recorded
            else "are decided by the old policy only"
        )
        lines.append(line(f"  {compared.only_old:,} {told}", "warning"))
    if compared.only_new:
        told = (
            "are decided now and have no recorded decision"
            if compared.recorded
            else "are decided by the new policy only"
        )
        lines.append(line(f"  {compared.only_new:,} {told}", "warning"))
    lines += _moved(compared.moves, compared.both)
    if compared.outcomes:
        lines.append(line("  of these from one kind of outcome to another:"))
        lines += _moved(compared.outcomes, compared.both)
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
    return lines + _safety(compared)


def _safety(compared: Compared) -> list[Line]:
    old, new = compared.rejected
    lines: list[Line] = [
        line(
            f"  rejected {old:,} -> {new:,}: {compared.now_rejected.total():,} more, "
            f"{compared.now_passed.total():,} no longer",
            "warning" if compared.now_passed else "",
        )
    ]
    lines += _listed("let past", compared.now_passed, "warning")
    lines += _listed("perhaps let past, not decided now:", compared.perhaps_passed, "warning")
    lines += _listed("newly rejected by", compared.now_rejected)
    if compared.masked or compared.unmasked:
        lines.append(
            line(
                f"  {compared.masked:,} are masked more, {compared.unmasked:,} less",
                "warning" if compared.unmasked else "",
            )
        )
    lines += _listed("no longer masked:", compared.unmasked_kinds, "warning")
    lines += _listed("newly masked:", compared.masked_kinds)
    lines += _listed("tag lost:", compared.tags_lost, "warning")
    lines += _listed("tag added:", compared.tags_added)
    return lines


def _moved(kinds: Kinds[tuple[str, str]], both: int) -> list[Line]:
    found = list(kinds)
    lines: list[Line] = [
        line(
            f"  {kind.count:>6,}  {visible(one)} -> {visible(other)}  "
            f"{kind.count / both:.2%}  {_examples(kind.examples)}"
        )
        for (one, other), kind in found[:_MOVES]
    ]
    if len(found) > _MOVES or kinds.others:
        lines.append(line(f"  and {max(0, len(found) - _MOVES) + kinds.others:,} more"))
    return lines


def _listed(what: str, kinds: Kinds[str], style: Style = "") -> list[Line]:
    return [
        line(f"    {what} {visible(name)} {kind.count:,}  {_examples(kind.examples)}", style)
        for name, kind in list(kinds)[:_LISTED]
    ]


def _examples(names: list[str]) -> str:
    shown = ", ".join(visible(name[:_NAME]) for name in names[:3])
    return f"such as {shown}"
