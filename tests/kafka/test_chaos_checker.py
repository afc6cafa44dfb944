"""The checker of the chaos suite sees what it is there to see; seeds give the same each time."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from routec.runtime.events.encode import decision_id
from routec.runtime.records import Record
from tests.kafka.chaos.checker import WHY, Problems, Topics, check, check_torn
from tests.kafka.chaos.events import event
from tests.kafka.chaos.scenario import BROKER_EVERY, KINDS, draw, draw_weather
from tests.kafka.chaos.victim import BY, fill_disk

COUNT = 60
PARTITIONS = 3


def record(topic: str, partition: int, offset: int, like: Any, **given: Any) -> Any:
    fields = {"key": like.key, "value": like.value, "headers": tuple(like.headers), **given}
    key, value, headers = fields["key"], fields["value"], fields["headers"]
    return ConsumerRecord(
        topic,
        partition,
        offset,
        0,
        0,
        key,
        value,
        None,
        len(key or b""),
        len(value or b""),
        headers,
    )


def made(number: int) -> Any:
    return event(1, number, 0.2, 0.0)


def left_behind() -> Topics:
    """What a seed leaves that went well."""
    requests, decisions, letters = [], [], []
    for number in range(COUNT):
        partition, offset = number % PARTITIONS, number // PARTITIONS
        one = made(number)
        request = record("requests", partition, offset, one)
        requests.append(request)
        if one.codes:
            code = sorted(one.codes)[0]
            values = ("invalid-body" if code == "*" else code, "because", "requests")
            values += (str(partition), str(offset), "2026-11-22T09:00:00Z", "sha256:1")
            why = tuple((name, value.encode()) for name, value in zip(WHY, values, strict=True))
            letters.append(record("dlq", partition, 0, one, headers=(*one.headers, *why)))
        else:
            id = decision_id(Record("requests", partition, offset, 0, None, None))
            value = {
                "decision_id": id,
                "request_id": f"r-{number}",
                "policy": {"hash": "sha256:1"},
                "failures": [],
                "route": one.route,
            }
            copied = tuple((name, value or b"") for name, value in one.headers)
            given = {"value": json.dumps(value).encode(), "headers": (*copied, (BY, b"w0"))}
            decisions.append(record("decisions", partition, offset, one, **given))
    ends = dict.fromkeys(range(PARTITIONS), COUNT // PARTITIONS)
    return Topics(requests, decisions, letters, ends, PARTITIONS, ["sha256:1", "sha256:2"])


def found(topics: Topics, checker: Callable[..., None] = check) -> set[str]:
    problems = Problems()
    checker(topics, *([made] if checker is check else []), problems)
    return set(problems.counts)


def changed(topics: Topics, **given: Any) -> Topics:
    fields = {name: getattr(topics, name) for name in Topics.__dataclass_fields__}
    return Topics(**{**fields, **given})


def test_nothing_is_said_where_all_is_well() -> None:
    topics = left_behind()
    assert len(topics.letters) > 5
    assert found(topics) == found(topics, check_torn) == set()


def test_what_is_lost_doubled_reordered_or_made_up_is_seen() -> None:
    topics = left_behind()
    first, *rest = topics.decisions
    assert found(changed(topics, decisions=rest)) == {"lost"}
    assert found(changed(topics, letters=topics.letters[1:])) == {"lost"}
    assert found(changed(topics, decisions=[first, first, *rest])) == {"doubled"}
    assert found(changed(topics, decisions=[*rest, first])) == {"out-of-order"}
    assert found(changed(topics, letters=[*topics.letters[::-1]])) == {"out-of-order"}
    stolen = record("decisions", 0, 0, first, value=b'{"stolen": true}')
    assert found(changed(topics, decisions=[*topics.decisions, stolen])) == {"orphan"}
    # Decided and a dead letter: doubled, however the two are spread.
    letter = topics.letters[0]
    request = next(one for one in topics.requests if one.headers == letter.headers[: -len(WHY)])
    id = decision_id(Record("requests", request.partition, request.offset, 0, None, None))
    both = record(
        "decisions",
        request.partition,
        0,
        first,
        value=json.dumps({**json.loads(first.value), "decision_id": id}).encode(),
    )
    assert "doubled" in found(changed(topics, decisions=[*topics.decisions, both]))


def test_offsets_that_do_not_fit_the_outcomes_are_seen() -> None:
    topics = left_behind()
    behind = {**topics.committed, 1: topics.committed[1] - 1}
    assert found(changed(topics, committed=behind)) == {"torn-offset"}
    assert found(changed(topics, committed=behind), check_torn) == {"torn-offset"}
    half = [one for one in topics.requests if one.offset < 5]
    cut = changed(
        topics,
        requests=half,
        decisions=[one for one in topics.decisions if one.offset < 5],
        letters=[
            one for one in topics.letters if int(dict(one.headers)["routec.error.offset"]) < 5
        ],
    )
    assert found(cut, check_torn) == {"torn-offset"}
    five = dict.fromkeys(range(PARTITIONS), 5)
    assert found(changed(cut, committed=five), check_torn) == set()


@pytest.mark.parametrize(
    "given",
    [
        {"key": b"other"},
        {"headers": ((BY, b"w0"),)},
        {"value": lambda event: {**event, "route": "elsewhere"}},
        {"value": lambda event: {**event, "policy": {"hash": "sha256:9"}}},
        {"value": lambda event: {**event, "request_id": "r-x"}},
    ],
    ids=["key", "headers", "route", "policy", "request"],
)
def test_a_wrong_decision_is_seen(given: dict[str, Any]) -> None:
    topics = left_behind()
    first, *rest = topics.decisions
    if callable(change := given.get("value")):
        given = {"value": json.dumps(change(json.loads(first.value))).encode()}
    wrong = record("decisions", first.partition, first.offset, first, **given)
    assert found(changed(topics, decisions=[wrong, *rest])) == {"wrong-decision"}


@pytest.mark.parametrize("missing", WHY)
def test_a_dead_letter_without_one_of_its_reasons_is_seen(missing: str) -> None:
    topics = left_behind()
    first, *rest = topics.letters
    headers = tuple(header for header in first.headers if header[0] != missing)
    wrong = record("dlq", first.partition, 0, first, headers=headers)
    assert found(changed(topics, letters=[wrong, *rest])) & {"altered-letter", "orphan"}


def test_a_dead_letter_whose_bytes_are_not_those_of_the_request_is_seen() -> None:
    topics = left_behind()
    first, *rest = topics.letters
    for given in ({"value": b"other"}, {"key": b"other"}):
        wrong = record("dlq", first.partition, 0, first, **given)
        assert found(changed(topics, letters=[wrong, *rest])) == {"altered-letter"}


def test_a_policy_that_comes_back_is_seen() -> None:
    topics = left_behind()
    newer = [
        record(
            "decisions",
            one.partition,
            one.offset,
            one,
            value=one.value.replace(b"sha256:1", b"sha256:2"),
        )
        if one.offset < 3
        else one
        for one in topics.decisions
    ]
    assert found(changed(topics, decisions=newer)) == {"policy-went-back"}


def test_a_seed_gives_the_same_each_time_and_all_kinds_come_up() -> None:
    drawn = [draw(seed) for seed in range(200)]
    assert drawn == [draw(seed) for seed in range(200)]
    assert [event(3, at, 0.1, 0.1) for at in range(50)] == [
        event(3, at, 0.1, 0.1) for at in range(50)
    ]
    times = Counter(fault.kind for one in drawn for fault in one.faults)
    assert set(times) == set(KINDS)
    # As often as any other that is not one of many of its kind.
    assert min(times.values()) >= 10
    jumps = [fault for one in drawn for fault in one.faults if fault.kind == "worker-clock"]
    assert {(one.number > 0, bool(one.detail)) for one in jumps} == {
        (ahead, at_a_point) for ahead in (False, True) for at_a_point in (False, True)
    }
    rough = [one.seed for one in drawn if one.weather]
    assert rough == list(range(BROKER_EVERY - 1, 200, BROKER_EVERY))
    kinds = {one.kind for seed in rough for one in draw_weather(seed)}
    assert kinds == {"broker-kill", "broker-stop"}


@pytest.mark.parametrize("where", ["a folder", "memory"])
def test_a_full_disk_is_full_for_the_worker_and_for_nobody_else(tmp_path: Path, where: str) -> None:
    folder = tmp_path if where == "a folder" else Path("/dev/shm")
    file = folder / f"chaos-{uuid.uuid4().hex}"
    code = (
        "import os, sys\n"
        "sys.stdin.read(1)\n"
        "try:\n"
        "    open(sys.argv[1], 'wb', 0).write(b'x')\n"
        "except OSError as error:\n"
        "    print(error.errno, flush=True)\n"
    )
    try:
        with subprocess.Popen(
            [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            fill_disk(process.pid)
            out, _ = process.communicate(b"x", timeout=60)
        assert int(out) == errno.EFBIG
        assert file.read_bytes() == b""
        file.write_text("there is room")
    finally:
        file.unlink(missing_ok=True)
