"""What is left in the topics, held against what was written."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from routec.runtime.events.encode import decision_id
from routec.runtime.records import Record
from tests.kafka.chaos.answers import Asked, good_answers, wrong_with
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
    "__connect.errors.topic",
    "__connect.errors.partition",
    "__connect.errors.offset",
    "__connect.errors.stage",
    "__connect.errors.class.name",
    "__connect.errors.exception.class.name",
    "__connect.errors.exception.message",
)
"""What a dead letter must say of itself, after the headers of its request, in this order."""
_STAGES = ("KAFKA_CONSUME", "VALUE_CONVERTER", "TRANSFORMATION", "KAFKA_PRODUCE")

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
        scopes: by hash, the field that keeps the answers of a policy apart.
        canary: hash of a policy that decides a share of the requests; empty without one.
        share: that share.
        shadow: hash of a policy that decides nothing; empty without one.
        responses, differences, statuses: the topics, where there are such.
    """

    requests: Sequence[Any]
    decisions: Sequence[Any]
    letters: Sequence[Any]
    committed: Mapping[int, int]
    letter_partitions: int
    policies: Sequence[str]
    scopes: Mapping[str, str] = field(default_factory=dict)
    canary: str = ""
    share: float = 0.0
    shadow: str = ""
    responses: Sequence[Any] = ()
    differences: Sequence[Any] = ()
    statuses: Sequence[Any] = ()


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
    ``torn-offset`` (it does not fit the outcomes), ``wrong-decision``, ``wrong-answer`` (of the
    cache), ``altered-letter``, ``policy-went-back``, ``wrong-notice`` (a status or a difference).

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
    made = [
        (place, record, json.loads(record.value), expected(number(matched.asked[place])))
        for place, record in matched.decisions
    ]
    for place, record, decision, event in made:
        _check_decision(record, decision, matched.asked[place], event, topics, problems)
    decided = [(decision, event) for _, _, decision, event in made]
    _check_answers(decided, topics, problems)
    _check_notices(decided, topics, problems)
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
    decision: dict[str, Any],
    request: Any,
    event: Event,
    topics: Topics,
    problems: Problems,
) -> None:
    wanted, failed = event.wanted, [one["signal"] for one in decision["failures"]]
    own = [header for header in record.headers if header[0] != BY]
    # A header without a value is an empty one to the decider, and so in the decision.
    copied = [(name, b"" if value is None else value) for name, value in request.headers]
    policy, outcome = decision["policy"]["hash"], decision["outcome"]
    by_canary = policy == topics.canary and chosen(topics.canary, topics.share, request)
    route = wanted.calm if failed else wanted.route
    status = "miss" if wanted.cached else "skipped"
    agree = {
        "was to be a dead letter": not event.codes,
        "key": record.key == request.key,
        "headers": own == copied,
        "request": decision["request_id"] == f"r-{number(request)}",
        "policy": policy in topics.policies or by_canary,
        "signals": set(failed) <= {"feeling"},
        "route": decision["route"] == route or outcome == "cached",
        "cache": decision["cache"]["status"] == status or outcome == "cached",
        "reject": (decision["reject"] or {}).get("reason") == wanted.reject,
        "outcome": outcome == ("reject" if wanted.reject else "route") or outcome == "cached",
    }
    wrong = [what for what, holds in agree.items() if not holds]
    if wrong:
        place = (request.partition, request.offset)
        problems.add("wrong-decision", f"{place}: {', '.join(wrong)}: {record.value!r:.300}")


def chosen(hash: str, share: float, request: Any) -> bool:
    """Whether a request is one of those that a canary decides."""
    key = f"r-{number(request)}".encode() if request.key is None else request.key
    drawn = blake2b(key, digest_size=8, key=hash.encode()[-32:]).digest()
    return int.from_bytes(drawn, "big") < share * 2**64


def _check_answers(
    made: Sequence[tuple[dict[str, Any], Event]], topics: Topics, problems: Problems
) -> None:
    answers = good_answers(topics.responses)
    asked = {
        decision["decision_id"]: Asked(
            decision, event, topics.scopes.get(decision["policy"]["hash"], "")
        )
        for decision, event in made
    }
    for id, one in asked.items():
        if one.decision["outcome"] == "cached":
            for wrong in wrong_with(one, answers, asked.get):
                problems.add("wrong-answer", f"{id}: {wrong}")


def _check_notices(
    made: Sequence[tuple[dict[str, Any], Event]], topics: Topics, problems: Problems
) -> None:
    decided = {decision["decision_id"]: (decision, event) for decision, event in made}
    for record in topics.differences:
        told = json.loads(record.value)
        ours, theirs = told["in_force"], told["shadow"]
        found, event = decided.get(told["decision_id"], (None, None))
        agree = {
            "policy": ours["hash"] in topics.policies and theirs["hash"] == topics.shadow,
            "no difference": any(ours[name] != theirs[name] for name in ours if name != "hash"),
            # What was decided again, by another policy, with another cache, or with a classifier
            # that fails no more or only now, may be otherwise.
            "decision": found is None
            or event is None
            or (found["policy"]["hash"], found["outcome"]) != (ours["hash"], ours["outcome"])
            or bool(found["failures"])
            or ours["route"] == event.wanted.calm != event.wanted.route
            or all(found[name] == ours[name] for name in ("route", "model")),
        }
        wrong = [what for what, holds in agree.items() if not holds]
        if wrong:
            problems.add("wrong-notice", f"difference: {', '.join(wrong)}: {record.value!r:.300}")
    for record in topics.statuses:
        if record.value is None:
            continue
        told = json.loads(record.value)
        candidate = told.get("candidate", {}).get("hash", topics.canary or topics.shadow)
        agree = {
            "key": record.key == f"{told['group']}/{told['worker']}".encode(),
            "policy": told["active"]["hash"] in topics.policies,
            "candidate": candidate == (topics.canary or topics.shadow),
            "refused": not told.get("refused"),
        }
        wrong = [what for what, holds in agree.items() if not holds]
        if wrong:
            problems.add("wrong-notice", f"status: {', '.join(wrong)}: {record.value!r:.300}")


def _check_letter(
    letter: Any,
    request: Any,
    topics: Topics,
    expected: Callable[[int], Event],
    problems: Problems,
) -> None:
    wanted = expected(number(request))
    original, own = list(request.headers), list(letter.headers)[len(request.headers) :]
    why = {name: (value or b"").decode() for name, value in own}
    code, place = why.get(WHY[0], ""), (str(request.partition), str(request.offset))
    agree = {
        "was to be decided": bool(wanted.codes),
        "code": code in wanted.codes or "*" in wanted.codes,
        "bytes": letter.value == request.value,
        "key": letter.key == request.key,
        "headers": list(letter.headers)[: len(original)] == original,
        "reason": tuple(name for name, _ in own) == WHY and all(why.values()),
        "time": _is_time(why.get("routec.error.time", "")),
        "policy": why.get("routec.policy.hash") in topics.policies,
    }
    for prefix in ("routec.error", "__connect.errors"):
        found = tuple(why.get(f"{prefix}.{name}") for name in ("topic", "partition", "offset"))
        agree[f"{prefix} place"] = found == (request.topic, *place)
    connect = "__connect.errors"
    agree["stage"] = why.get(f"{connect}.stage") in _STAGES
    agree["exception"] = why.get(f"{connect}.exception.class.name") == f"routec.{code}"
    agree["message"] = why.get(f"{connect}.exception.message") == why.get("routec.error.message")
    wrong = [what for what, holds in agree.items() if not holds]
    if wrong:
        problems.add("altered-letter", f"{place}: {', '.join(wrong)}; {code} {letter.value!r:.200}")


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _check_policies(matched: _Matched, topics: Topics, problems: Problems) -> None:
    version = {policy: at for at, policy in enumerate(topics.policies)}
    last: dict[int, int] = {}
    for (partition, offset), record in matched.decisions:
        policy = json.loads(record.value)["policy"]["hash"]
        if policy == topics.canary:
            continue
        found = version.get(policy, -1)
        if found < last.get(partition, -1):
            problems.add("policy-went-back", f"{(partition, offset)}: {found} after {last}")
        last[partition] = max(found, last.get(partition, -1))
