"""The checker of the chaos suite sees what it is there to see; seeds give the same each time."""

from __future__ import annotations

import dataclasses
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
from tests.kafka.chaos.events import Event, event
from tests.kafka.chaos.progress import (
    FOLLOWED,
    MOST_LAG,
    PAUSE,
    Bound,
    Spell,
    bound_of,
    check_progress,
)
from tests.kafka.chaos.scenario import BROKER_EVERY, EXTRAS, KINDS, Fault, draw, draw_weather
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


def made(number: int) -> Event:
    return event(1, number, 0.2, 0.0, "plain")


def decided(id: str, number: int) -> dict[str, Any]:
    """The decision about a request, as far as it is looked at."""
    wanted = made(number).wanted
    return {
        "decision_id": id,
        "request_id": f"r-{number}",
        "policy": {"hash": "sha256:1"},
        "outcome": "reject" if wanted.reject else "route",
        "route": wanted.route,
        "model": "small",
        "reject": {"reason": wanted.reject} if wanted.reject else None,
        "category": "answers" if wanted.cached else None,
        "cache": {"status": "miss" if wanted.cached else "skipped"},
        "failures": [],
    }


def answer(id: str) -> dict[str, Any]:
    body = {"id": f"answer-{id}", "choices": [{"finish_reason": "stop"}]}
    return {"decision_id": id, "ok": True, "body": body}


def from_cache(decision: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    cache = {"status": "hit", "tier": "exact", "response": body}
    return decision | {"outcome": "cached", "route": None, "model": None, "cache": cache}


def left_behind() -> Topics:
    """What a seed leaves that went well: of equal requests of a tenant, the cache answers all but
    the first."""
    requests, decisions, letters = [], [], []
    answers: dict[tuple[str, str], dict[str, Any]] = {}
    for number in range(COUNT):
        partition, offset = number % PARTITIONS, number // PARTITIONS
        one = made(number)
        request = record("requests", partition, offset, one)
        requests.append(request)
        if one.codes:
            code = sorted(one.codes)[0]
            code = "invalid-body" if code == "*" else code
            place = ("requests", str(partition), str(offset))
            values = (code, "because", *place, "2026-11-22T09:00:00.250Z", "sha256:1", *place)
            values += ("VALUE_CONVERTER", "Worker", f"routec.{code}", "because")
            why = tuple((name, value.encode()) for name, value in zip(WHY, values, strict=True))
            letters.append(record("dlq", partition, 0, one, headers=(*one.headers, *why)))
        else:
            id = decision_id(Record("requests", partition, offset, 0, None, None))
            value, place_of_it = decided(id, number), (one.tenant, one.question)
            if one.wanted.cached and place_of_it in answers:
                value = from_cache(value, answers[place_of_it]["body"])
            elif one.wanted.cached:
                answers[place_of_it] = answer(id)
            copied = tuple((name, value or b"") for name, value in one.headers)
            given = {"value": json.dumps(value).encode(), "headers": (*copied, (BY, b"w0"))}
            decisions.append(record("decisions", partition, offset, one, **given))
    return Topics(
        requests,
        decisions,
        letters,
        dict.fromkeys(range(PARTITIONS), COUNT // PARTITIONS),
        PARTITIONS,
        ["sha256:1", "sha256:2"],
        scopes={"sha256:1": "tenant", "sha256:2": "tenant", "sha256:3": "region"},
        responses=[
            record("responses", 0, at, made(0), value=json.dumps(one).encode())
            for at, one in enumerate(answers.values())
        ],
    )


def found(
    topics: Topics, checker: Callable[..., None] = check, expected: Callable[[int], Event] = made
) -> set[str]:
    problems = Problems()
    checker(topics, *([expected] if checker is check else []), problems)
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


@pytest.mark.parametrize("name", [one for one in WHY if "class.name" not in one or "exc" in one])
def test_a_dead_letter_with_another_reason_is_seen(name: str) -> None:
    topics = left_behind()
    first, *rest = topics.letters
    headers = tuple((key, b"1:7" if key == name else value) for key, value in first.headers)
    wrong = record("dlq", first.partition, 0, first, headers=headers)
    assert found(changed(topics, letters=[wrong, *rest])) & {"altered-letter", "orphan"}


def hits_of(topics: Topics) -> list[Any]:
    return [one for one in topics.decisions if json.loads(one.value)["outcome"] == "cached"]


def with_hit(topics: Topics, change: Callable[[dict[str, Any]], Any]) -> Topics:
    """The same topics, with one decision from the cache changed."""
    one = hits_of(topics)[0]
    decision = json.loads(one.value)
    change(decision)
    wrong = record("decisions", one.partition, one.offset, one, value=json.dumps(decision).encode())
    return changed(topics, decisions=[wrong if it is one else it for it in topics.decisions])


def test_answers_of_the_cache_that_nobody_gave_are_seen() -> None:
    topics = left_behind()
    assert len(hits_of(topics)) > 3
    body = {"id": "answer-0", "choices": [{"finish_reason": "stop"}]}
    made_up = with_hit(topics, lambda one: one["cache"].update(response=body))
    assert found(made_up) == {"wrong-answer"}
    assert found(with_hit(topics, lambda one: one.update(route="usual"))) == {"wrong-answer"}
    assert found(with_hit(topics, lambda one: one["cache"].update(response=None))) == {
        "wrong-answer"
    }


@pytest.mark.parametrize("fault", ["refused", "cut short", "too long", "torn", "none"])
def test_answers_that_were_not_to_be_kept_are_seen(fault: str) -> None:
    topics = left_behind()
    served = json.loads(hits_of(topics)[0].value)["cache"]["response"]["id"]

    def spoil(record_of_it: Any) -> Any:
        told = json.loads(record_of_it.value)
        if told["body"]["id"] != served:
            return record_of_it
        if fault == "refused":
            told["ok"] = False
        elif fault == "cut short":
            told["body"]["choices"][0]["finish_reason"] = "length"
        elif fault == "too long":
            told["body"]["padding"] = "x"
        value = json.dumps(told).encode()
        value = value[:-9] if fault == "torn" else value
        return record("responses", 0, 0, made(0), value=None if fault == "none" else value)

    spoilt = changed(topics, responses=[spoil(one) for one in topics.responses])
    assert found(spoilt) == {"wrong-answer"}


def test_another_tenants_answer_is_seen() -> None:
    topics = left_behind()
    hit = json.loads(hits_of(topics)[0].value)
    own = made(int(hit["request_id"][2:]))
    for response in topics.responses:
        body = json.loads(response.value)["body"]
        asked = next(
            json.loads(one.value)
            for one in topics.decisions
            if json.loads(one.value)["decision_id"] == body["id"].removeprefix("answer-")
        )
        other = made(int(asked["request_id"][2:]))
        strange = (other.tenant, other.question) != (own.tenant, own.question)
        told = with_hit(topics, lambda one, body=body: one["cache"].update(response=body))
        assert found(told) == ({"wrong-answer"} if strange else set())


def test_an_answer_that_was_kept_on_other_terms_is_seen() -> None:
    topics = changed(left_behind(), policies=["sha256:1", "sha256:3"])
    last = hits_of(topics)[-1]
    decision = json.loads(last.value) | {"policy": {"hash": "sha256:3"}}
    wrong = record("d", last.partition, last.offset, last, value=json.dumps(decision).encode())
    decisions = [wrong if one is last else one for one in topics.decisions]
    assert "wrong-answer" in found(changed(topics, decisions=decisions))


def test_a_canary_decides_its_share_and_no_more() -> None:
    topics = left_behind()

    def by_canary(share: float) -> Topics:
        decisions = [
            record("d", one.partition, one.offset, one, value=one.value.replace(b":1", b":c"))
            for one in topics.decisions
        ]
        return changed(topics, decisions=decisions, canary="sha256:c", share=share)

    assert found(changed(by_canary(1.0), scopes={"sha256:c": "tenant"})) == set()
    assert found(changed(by_canary(0.2), scopes={"sha256:c": "tenant"})) == {"wrong-decision"}


def test_what_is_told_wrong_is_seen() -> None:
    topics = changed(left_behind(), shadow="sha256:s")
    first = json.loads(topics.decisions[0].value)
    told = {name: first[name] for name in ("outcome", "route", "model", "reject")}
    ours, theirs = told | {"hash": "sha256:1"}, told | {"hash": "sha256:s", "route": "other"}
    difference = {"decision_id": first["decision_id"], "in_force": ours, "shadow": theirs}
    status = {"group": "g", "worker": "w", "active": {"hash": "sha256:2"}}
    status["candidate"] = {"hash": "sha256:s"}

    def may_fail(number: int) -> Event:
        one = made(number)
        return dataclasses.replace(one, wanted=dataclasses.replace(one.wanted, calm="calm"))

    def with_notices(difference: Any, status: Any, expected: Any = made) -> set[str]:
        value, key = json.dumps(difference).encode(), b"g/w"
        one = record("differences", 0, 0, made(0), value=value)
        two = record("status", 0, 0, made(0), key=key, value=json.dumps(status).encode())
        gone = record("status", 0, 1, made(0), key=key, value=None)
        given = changed(topics, differences=[one], statuses=[two, gone])
        return found(given, expected=expected)

    assert with_notices(difference, status) == set()
    for wrong in (
        difference | {"in_force": ours | {"hash": "sha256:9"}},
        difference | {"in_force": ours | {"route": "nowhere"}},
        difference | {"shadow": theirs | {"hash": "sha256:1"}},
        difference | {"shadow": ours | {"hash": "sha256:s"}},
    ):
        assert with_notices(wrong, status) == {"wrong-notice"}
    # It may be of a decision without the classifier, which was then made again with it.
    calm = difference | {"in_force": ours | {"route": "calm"}}
    assert with_notices(calm, status, may_fail) == set()
    assert with_notices(calm, status) == {"wrong-notice"}
    for other in (
        {"active": {"hash": "sha256:9"}},
        {"candidate": {"hash": "sha256:1"}},
        {"worker": "x"},
        {"refused": 1},
    ):
        assert with_notices(difference, status | other) == {"wrong-notice"}


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
    # The short part of the tests has all kinds of policy, too.
    for some in (drawn[:10], drawn):
        assert {one.policy for one in some} == {"classifier", "plain", "mixed"}
        assert {one.candidate for one in some} == {"none", "shadow", "canary"}
    for extra in EXTRAS:
        assert 150 <= sum(extra in one.extras for one in drawn) < 200
    assert not any(
        fault.kind == "classifier" for one in drawn for fault in one.faults if one.policy == "plain"
    )
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


def fault_of(kind: str, detail: str = "", seconds: float = 0.0) -> Fault:
    return Fault(0.0, kind, detail, 1, seconds, 0)


def paused(
    times: dict[int, list[float]], *spells: Spell, slow: tuple[tuple[float, float], ...] = ()
) -> list[str]:
    """What is said of the decisions of two partitions at these times, from 0 to 30 s."""
    problems = Problems()
    seen = {at: [(one, "w0") for one in some] for at, some in times.items()}
    check_progress(spells, seen, 2, 0.0, 30.0, slow, problems)
    return problems.said


ALWAYS = [one / 2 for one in range(1, 60)]


def without(begin: float, end: float) -> list[float]:
    return [one for one in ALWAYS if not begin < one < end]


def test_a_partition_may_only_stand_still_for_a_fault_that_hits_it() -> None:
    bound = Bound(hit=5.0, others=2.0, after=1.0)
    spell = Spell("kill", bound, 10.0, 11.0, {1})
    assert paused({0: ALWAYS, 1: ALWAYS}, spell) == []
    assert paused({0: ALWAYS, 1: without(9.5, 14.5)}, spell) == []
    assert spell.longest_hit == 5.0
    assert spell.longest_others == 0.5
    said = paused({0: without(9.5, 14.5), 1: ALWAYS}, spell)
    assert len(said) == 1
    assert f"partition 0 has no decision for 5.0 s, {PAUSE} may be" in said[0]
    assert len(paused({0: ALWAYS, 1: without(9.5, 15.5)}, spell)) == 1


def test_a_partition_may_not_stand_still_while_nothing_is_wrong() -> None:
    spell = Spell("kill", Bound(5.0, 2.0, after=1.0), 20.0, 21.0, {1})
    assert paused({0: ALWAYS, 1: without(9.5, 11.5)}, spell) == []
    assert len(paused({0: ALWAYS, 1: without(9.0, 9.0 + PAUSE + 0.5)}, spell)) == 1
    # A machine that is busy takes longer, but not for ever.
    times = {0: ALWAYS, 1: without(9.0, 9.0 + PAUSE + 1.5)}
    assert paused(times, spell, slow=((10.0, 1.6),)) == []
    assert len(paused(times, spell, slow=((13.6, 1.6), (5.0, 1.6)))) == 1
    times = {0: ALWAYS, 1: without(5.0, 5.0 + PAUSE + MOST_LAG + 0.5)}
    assert len(paused(times, spell, slow=((6.0, 9.0),))) == 1
    # Nor for good, nor from the first.
    assert len(paused({0: ALWAYS, 1: without(26.0, 31.0)}, spell)) == 1
    assert len(paused({0: ALWAYS, 1: []})) == 1


def test_a_broker_that_is_away_stops_all_for_as_long_and_a_bit_more() -> None:
    spell = Spell("broker-kill", Bound(4.0, 4.0, after=4.0), 10.0, 16.0)
    assert paused({0: without(9.5, 19.5), 1: without(9.5, 19.5)}, spell) == []
    assert len(paused({0: without(9.5, 20.5), 1: without(9.5, 20.5)}, spell)) == 2


def test_of_several_faults_at_once_only_one_that_may_stop_a_partition_is_bounded() -> None:
    bound, none = Bound(4.0, 4.0), Bound(PAUSE, PAUSE)
    times = {0: ALWAYS, 1: without(9.5, 15.5)}
    one, two = Spell("kill", bound, 10.0, 11.0, {1}), Spell("stop", bound, 11.5, 12.5)
    assert paused(times, one, two) == []
    three = Spell("swap", none, 11.5, 12.5)
    assert len(paused(times, one, three)) == 1
    assert paused({0: ALWAYS, 1: without(9.5, 13.5)}, one, three) == []
    # How long it took is told of one that had nothing beside it.
    assert (one.longest_hit, one.longest_others) == (None, None)


def test_what_one_fault_may_stop_and_for_how_long() -> None:
    scenario = dataclasses.replace(
        draw(0), workers=3, static=False, session=2.0, restart=0.2, transaction=4.0
    )
    # Others go on but for the moments in which partitions are handed out anew.
    for fault in (
        fault_of("swap"),
        fault_of("event-clock"),
        fault_of("worker-clock"),
        fault_of("full-disk", "running"),
        fault_of("classifier", "hanging"),
        fault_of("classifier", "wrong-sized"),
        fault_of("decider", "raising"),
    ):
        assert bound_of(fault, scenario).hit == bound_of(fault, scenario).others == PAUSE
    for fault in (
        fault_of("steal"),
        fault_of("stop", seconds=0.3),
        fault_of("decider", "slow", 1.0),
    ):
        assert bound_of(fault, scenario).others == PAUSE
    for fault in (
        fault_of("terminate"),
        fault_of("stop", seconds=-1.0),
        fault_of("decider", "hanging"),
        fault_of("full-disk", "starting"),
        fault_of("kill-at", "opened"),
    ):
        assert bound_of(fault, scenario).others < scenario.session + FOLLOWED
    # Who joins has all wait for the one that is dead, unless the group knows of that by then.
    early, late = scenario, dataclasses.replace(scenario, restart=3.0)
    named = dataclasses.replace(scenario, static=True)
    assert bound_of(fault_of("kill"), early).others == 2.0 + FOLLOWED
    assert bound_of(fault_of("kill"), late).others == bound_of(fault_of("kill"), named).others
    assert bound_of(fault_of("kill"), late).others < 2.0 + FOLLOWED
    # There is nobody else.
    alone = dataclasses.replace(scenario, workers=1)
    assert bound_of(fault_of("stop", seconds=-1.0), alone).others == 2.0 + FOLLOWED
