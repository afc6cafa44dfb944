"""What is left in the topics, held against what was written."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routec.runtime.events.encode import decision_id
from routec.runtime.records import Record
from tests.kafka.chaos.events import NUMBER, Event
from tests.kafka.chaos.victim import BY

_SAID = 20
"""Problems of one kind that are spelt out."""
WHY = (
    "routec.error.code",
    "routec.error.message",
    "routec.error.topic",
    "routec.error.partition",
    "routec.error.offset",
    "routec.error.time",
    "routec.policy.hash",
)
"""What a dead letter must say of itself."""

Place = tuple[int, int]
"""Partition and offset of a request."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Records that a subscriber of committed records sees, each in the order of its partition.

    Attributes:
        requests, decisions, letters: the topics.
        committed: the group's committed offset of each partition of the requests, 0 if none.
        letter_partitions: partitions of the dead-letter topic.
        policies: hashes of the policies in the order in which they were activated.
    """

    requests: Sequence[Any]
    decisions: Sequence[Any]
    letters: Sequence[Any]
    committed: Mapping[int, int]
    letter_partitions: int
    policies: Sequence[str]


class Problems:
    """Counts what is wrong, and spells some of it out."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.said: list[str] = []

    def add(self, kind: str, what: str) -> None:
        """Something is wrong."""
        self.counts[kind] += 1
        if self.counts[kind] <= _SAID:
            self.said.append(f"{kind}: {what}")


@dataclass(frozen=True, slots=True)
class _Matched:
    """Outcomes with the place of their request, in the order of their partition."""

    asked: Mapping[Place, Any]
    decisions: Sequence[tuple[Place, Any]]
    letters: Sequence[tuple[Place, Any]]

    @property
    def outcomes(self) -> Sequence[tuple[Place, Any]]:
        return [*self.decisions, *self.letters]


def check(topics: Topics, expected: Callable[[int], Event], problems: Problems) -> None:
    """Look for whatever must not be when every request has its outcome and nobody is at work.

    Kinds of problems: ``lost``, ``doubled``, ``out-of-order``, ``orphan``, ``misplaced``,
    ``torn-offset`` (it does not fit the outcomes), ``wrong-decision``, ``altered-letter``,
    ``policy-went-back``.

    Args:
        topics: what is left.
        expected: the request of a number, and what has to become of it.
        problems: takes them.
    """
    matched = _match(topics, problems)
    seen = {place for place, _ in matched.outcomes}
    ends: dict[int, int] = defaultdict(int)
    for partition, offset in matched.asked:
        ends[partition] = max(ends[partition], offset + 1)
        if (partition, offset) not in seen:
            problems.add("lost", f"offset {offset} of partition {partition} has no outcome")
    for partition, end in ends.items():
        found = topics.committed.get(partition, 0)
        if found != end:
            problems.add("torn-offset", f"partition {partition}: {found} is committed, not {end}")
    for place, record in matched.decisions:
        _check_decision(record, matched.asked[place], topics, expected, problems)
    for place, letter in matched.letters:
        _check_letter(letter, matched.asked[place], topics, expected, problems)
    _check_policies(matched, topics, problems)


def check_torn(topics: Topics, problems: Problems) -> None:
    """Look for offsets without outcomes and outcomes without offsets, in the middle of the work.

    Nobody may be at work, and no transaction open.
    """
    found: dict[int, list[int]] = defaultdict(list)
    for (partition, offset), _ in _match(topics, problems).outcomes:
        found[partition].append(offset)
    for partition in sorted({*found, *topics.committed}):
        offset = topics.committed.get(partition, 0)
        if sorted(found[partition]) != list(range(offset)):
            done = len(found[partition])
            what = f"partition {partition}: {offset} is committed, {done} have outcomes"
            problems.add("torn-offset", what)


def number(record: Any) -> int:
    """The number that a request carries, -1 if none."""
    return int(_header(record, NUMBER) or b"-1")


def _header(record: Any, name: str) -> bytes | None:
    found = [value for key, value in record.headers if key == name]
    return found[-1] if found else None


def _match(topics: Topics, problems: Problems) -> _Matched:
    asked = {(one.partition, one.offset): one for one in topics.requests}
    ids = {
        decision_id(Record(one.topic, one.partition, one.offset, 0, None, None)): place
        for place, one in asked.items()
    }
    decisions = _known(
        [(ids.get(_id(one)), one) for one in topics.decisions], asked, "a decision", problems
    )
    letters = _known(
        [(_place(one), one) for one in topics.letters], asked, "a dead letter", problems
    )
    matched = _Matched(asked, decisions, letters)
    for place, times in Counter(place for place, _ in matched.outcomes).items():
        if times > 1:
            problems.add("doubled", f"{place} has {times} outcomes")
    for (partition, offset), record in decisions:
        if record.partition != partition:
            problems.add("misplaced", f"{(partition, offset)}: decided in {record.partition}")
    for (partition, offset), record in letters:
        if record.partition != partition % topics.letter_partitions:
            problems.add("misplaced", f"{(partition, offset)}: dead letter in {record.partition}")
    for outcomes in (decisions, letters):
        _check_order(outcomes, problems)
    return matched


def _known(
    outcomes: Sequence[tuple[Place | None, Any]],
    asked: Mapping[Place, Any],
    what: str,
    problems: Problems,
) -> list[tuple[Place, Any]]:
    known = []
    for place, record in outcomes:
        if place is None or place not in asked:
            where = f"offset {record.offset} of partition {record.partition}"
            problems.add("orphan", f"{what} at {where} is about no request: {record.value!r:.100}")
        else:
            known.append((place, record))
    return known


def _id(decision: Any) -> str:
    try:
        return str(json.loads(decision.value)["decision_id"])
    except (ValueError, KeyError, TypeError):
        return ""


def _place(letter: Any) -> Place | None:
    try:
        return (
            int(_header(letter, "routec.error.partition") or b""),
            int(_header(letter, "routec.error.offset") or b""),
        )
    except ValueError:
        return None


def _check_order(outcomes: Sequence[tuple[Place, Any]], problems: Problems) -> None:
    last: dict[int, int] = {}
    for (partition, offset), _ in outcomes:
        before = last.get(partition, -1)
        if offset < before:
            problems.add("out-of-order", f"partition {partition}: {offset} after {before}")
        last[partition] = max(before, offset)


def _check_decision(
    record: Any,
    request: Any,
    topics: Topics,
    expected: Callable[[int], Event],
    problems: Problems,
) -> None:
    wanted = expected(number(request))
    event = json.loads(record.value)
    own = [header for header in record.headers if header[0] != BY]
    # A header without a value is an empty one to the decider, and so in the decision.
    copied = [(name, b"" if value is None else value) for name, value in request.headers]
    agree = {
        "was to be a dead letter": not wanted.codes,
        "key": record.key == request.key,
        "headers": own == copied,
        "request": event["request_id"] == f"r-{number(request)}",
        "policy": event["policy"]["hash"] in topics.policies,
        "route": event["failures"] or event["route"] == wanted.route,
    }
    wrong = [what for what, holds in agree.items() if not holds]
    if wrong:
        place = (request.partition, request.offset)
        problems.add("wrong-decision", f"{place}: {', '.join(wrong)}: {record.value!r:.300}")


def _check_letter(
    letter: Any,
    request: Any,
    topics: Topics,
    expected: Callable[[int], Event],
    problems: Problems,
) -> None:
    wanted = expected(number(request))
    names = Counter(name for name, _ in letter.headers)
    original = list(request.headers)
    code = (_header(letter, WHY[0]) or b"").decode()
    agree = {
        "was to be decided": bool(wanted.codes),
        "code": code in wanted.codes or "*" in wanted.codes,
        "bytes": letter.value == request.value,
        "key": letter.key == request.key,
        "headers": list(letter.headers)[: len(original)] == original,
        "reason": all(names[name] == 1 and _header(letter, name) for name in WHY),
        "topic": _header(letter, "routec.error.topic") == request.topic.encode(),
        "policy": (_header(letter, "routec.policy.hash") or b"").decode() in topics.policies,
    }
    wrong = [what for what, holds in agree.items() if not holds]
    if wrong:
        place = (request.partition, request.offset)
        problems.add("altered-letter", f"{place}: {', '.join(wrong)}; {code} {letter.value!r:.200}")


def _check_policies(matched: _Matched, topics: Topics, problems: Problems) -> None:
    version = {policy: at for at, policy in enumerate(topics.policies)}
    last: dict[int, int] = {}
    for (partition, offset), record in matched.decisions:
        found = version.get(json.loads(record.value)["policy"]["hash"], -1)
        if found < last.get(partition, -1):
            problems.add("policy-went-back", f"{(partition, offset)}: {found} after {last}")
        last[partition] = max(found, last.get(partition, -1))
