"""The difference between two policies, for a person and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from routec.cli.render.styled import Line, Style, line
from routec.cli.text import visible
from routec.compiler.diff import Change, Difference, Relation

if TYPE_CHECKING:
    from routec.cli.recorded import Recorded

VERSION = 1
"""Version of the document's layout."""

_STYLES: Mapping[Relation, Style] = {
    Relation.EQUIVALENT: "good",
    Relation.WIDENED: "warning",
    Relation.NARROWED: "warning",
    Relation.CHANGED: "error",
    Relation.UNKNOWN: "note",
}
_MEANS = {
    Relation.WIDENED: "more requests get it, none less",
    Relation.NARROWED: "fewer requests get it, none more",
    Relation.CHANGED: "some requests no longer get it, others now do",
    Relation.UNKNOWN: "not decided",
}
_MOVES = 10
_SHOWN = 200
"""Characters of a value that are shown."""


def document(difference: Difference, recorded: Recorded | None) -> dict[str, Any]:
    """The object of `diff --format json`."""
    outcomes: list[dict[str, Any]] = []
    for outcome in difference.outcomes:
        row = {"outcome": outcome.outcome, "relation": outcome.relation.value}
        if outcome.reason is not None:
            row["reason"] = outcome.reason
        outcomes.append(row)
    found: dict[str, Any] = {
        "version": VERSION,
        "relation": difference.relation.value,
        "outcomes": outcomes,
        "changes": [
            {
                "from": change.before,
                "to": change.after,
                "witness": None if change.witness is None else dict(change.witness),
                "matters": list(change.matters),
            }
            for change in difference.changes
        ],
        "redefined": [{"kind": r.kind, "name": r.name, "how": r.how} for r in difference.redefined],
        "more": list(difference.more),
    }
    if recorded is not None:
        found["events"] = {
            "total": recorded.total,
            "changed": recorded.changed,
            "share": recorded.share,
            "cost_delta": recorded.cost_delta,
            "undecided": recorded.undecided,
            "unread": recorded.unread,
            "priced": recorded.priced,
            "moves": [
                {"from": one, "to": other, "count": count}
                for (one, other), count in _moves(recorded)
            ],
        }
    return found


def full(difference: Difference, old: str, new: str, recorded: Recorded | None) -> list[Line]:
    """The lines to print."""
    relation = difference.relation
    head = f"{visible(old)} -> {visible(new)}: "
    lines: list[Line] = [((head, "strong"), (relation.value, _STYLES[relation]))]
    lines += _outcomes(difference)
    if difference.redefined:
        lines += [line(), line("redefined", "strong")]
        lines += [
            ((f"  {r.kind} {r.name}", "strong"), (f": {visible(r.how)}", ""))
            for r in difference.redefined
        ]
    for change in difference.changes:
        lines += [line(), *_change(change)]
    if difference.more:
        lines += [
            line(),
            line(f"more changes are not listed of {_listed(difference.more)}", "note"),
        ]
    if any(o.relation is Relation.UNKNOWN for o in difference.outcomes):
        lines += [
            line(),
            line("raise the effort with `--budget` to decide what is unknown", "note"),
        ]
    if recorded is not None:
        lines += [line(), *_recorded(recorded)]
    return lines


def _outcomes(difference: Difference) -> list[Line]:
    moved = [o for o in difference.outcomes if o.relation is not Relation.EQUIVALENT]
    same = [o.outcome for o in difference.outcomes if o.relation is Relation.EQUIVALENT]
    lines: list[Line] = []
    width = max((len(visible(o.outcome)) for o in moved), default=0)
    for outcome in moved:
        relation = outcome.relation
        means = _MEANS[relation] + (f": {outcome.reason}" if outcome.reason else "")
        lines.append(
            (
                (f"  {visible(outcome.outcome):<{width}}  ", "strong"),
                (f"{relation.value:<9}", _STYLES[relation]),
                (f"  {visible(means)}", "frame"),
            )
        )
    if same:
        lines.append(line(f"  equivalent: {_listed(same)}", "good" if not moved else ""))
    return lines


def _listed(names: tuple[str, ...] | list[str], most: int = 12) -> str:
    shown = ", ".join(visible(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _change(change: Change) -> list[Line]:
    head: Line = (
        (visible(change.before), "strong"),
        (" -> ", "frame"),
        (visible(change.after), "strong"),
    )
    if change.witness is None:
        return [head, line("  requests that only one of the policies takes")]
    lines = [head, line(f"  {visible(_words(change.witness, change.matters))}")]
    if change.matters:
        lines.append(line(f"  it depends on {', '.join(change.matters)}", "frame"))
    return lines


def _words(witness: Mapping[str, Any], matters: tuple[str, ...]) -> str:
    """A request on one line, without what does not matter."""
    attributes = [f"{name}: {_value(value)}" for name, value in witness["attributes"].items()]
    words = f"the request {{ {', '.join(attributes)} }}" if attributes else "a request"
    if "absent" in witness:
        words += f" without {', '.join(witness['absent'])}"
    said: list[str] = []
    if "messages" in witness:
        said += [f"{m['role']} message {_value(m['content'])}" for m in witness["messages"]]
    elif witness["text"]:
        said.append(f"text {_value(witness['text'])}")
    if "tokens" in witness:
        said.append(f"{witness['tokens']} tokens")
    signals = witness["signals"]
    for name, value in signals.items():
        own = _own(name, signals)
        certain = own != name and value == 1
        plain = value in (False, 0, "") or value == []
        if not certain and (own in matters if matters else not plain):
            said.append(f"{name} {_value(value)}")
    if said:
        words += " with " + ", ".join(said)
    if "failing" in witness:
        words += f", while it fails: {', '.join(witness['failing'])}"
    return words


def _own(key: str, signals: Mapping[str, Any]) -> str:
    """The signal that a key of a witness belongs to: itself, or that of a score."""
    return next((n for n in signals if key.startswith((f"{n}.", f"{n}["))), key)


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _recorded(recorded: Recorded) -> list[Line]:
    lines = [line("recorded requests", "strong")]
    share = "" if recorded.share is None else f" ({recorded.share:.2%})"
    lines.append(line(f"  {recorded.changed} of {recorded.decided} change outcome{share}"))
    if recorded.cost_delta is not None:
        lines.append(
            line(
                f"  cost ${recorded.old_cost:.6g} -> ${recorded.new_cost:.6g} "
                f"({recorded.cost_delta:+.6g}) over {recorded.priced} with known prices"
            )
        )
    lines += [
        line(f"  {count:>6}  {visible(one)} -> {visible(other)}")
        for (one, other), count in _moves(recorded)[:_MOVES]
    ]
    if recorded.undecided:
        lines.append(
            line(f"  {recorded.undecided} need signals that are not recorded, and were left out")
        )
    if recorded.first is not None:
        number, wrong = recorded.first
        lines.append(
            line(f"  {recorded.unread} lines are no requests; line {number}: {visible(wrong)}")
        )
    return lines


def _moves(recorded: Recorded) -> list[tuple[tuple[str, str], int]]:
    """Most frequent first, equal ones by name."""
    return sorted(recorded.moves.items(), key=lambda item: (-item[1], item[0]))
