"""`routec demo` from end to end, on a policy that needs no model."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from routec.cli.commands.demo import POLICY
from routec.cli.demo.schema import attributes_of
from routec.cli.demo.source import sendings
from routec.cli.programs import compile_file
from routec.runtime.events.decode import decode_request
from routec.runtime.events.request import Request
from routec.runtime.records import Record

from .support import LIGHT, Run


def test_the_counts_add_up_to_the_events_sent(routec: Run, light: Path) -> None:
    asked = ("demo", "--policy", light, "--count", "400", "--rate", "0", "--format", "json")
    result = routec(*asked)
    assert (result.status, result.err) == (0, "")
    summary = result.json
    assert summary["adds_up"] is True
    assert summary["events"] == 400 == summary["decisions"] + summary["dead_letters"]
    assert summary["dead_letters"] > 0
    outcomes = summary["outcomes"]
    assert sum(outcomes.values()) == summary["decisions"]
    assert sum(summary["routes"].values()) == outcomes["route"]
    assert set(summary["routes"]) == {"general", "private"}
    assert sum(summary["rejects"].values()) == outcomes["reject"] > 0
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]


@pytest.mark.parametrize("policy", sorted(POLICY.parent.glob("*.route")), ids=lambda p: p.stem)
def test_events_fit_the_schema_of_any_policy(policy: Path) -> None:
    program = compile_file(str(policy)).program
    schema = attributes_of(program)
    for number, sending in enumerate(sendings(3, 300, schema)):
        read = decode_request(Record("t", 0, number, 0, None, sending.value), program.fields)
        assert isinstance(read, Request) == (sending.sample is not None)


def test_equal_seeds_give_equal_events() -> None:
    schema = attributes_of(compile_file(str(POLICY)).program)
    one, other = (list(sendings(5, 200, schema)) for _ in range(2))
    assert [s.value for s in one] == [s.value for s in other]
    assert [s.value for s in sendings(6, 200, schema)] != [s.value for s in one]


def test_a_repeated_question_comes_from_the_same_caller() -> None:
    schema = attributes_of(compile_file(str(POLICY)).program)
    events = {}
    repeats = 0
    for sending in sendings(1, 600, schema):
        if sending.sample is None:
            continue
        event = json.loads(sending.value)
        events[event["request_id"]] = event
        root = sending.sample.truth.repeat_of
        if root is not None:
            repeats += 1
            assert event["attributes"] == events[root]["attributes"]
            assert event["body"] == events[root]["body"]
    assert repeats > 10


def test_fields_of_the_body_are_put_there(tmp_path: Path) -> None:
    path = tmp_path / "p.route"
    path.write_text(
        LIGHT.replace(
            "tenant: string,",
            'tenant: string from "user.tenant", mode: enum(a, b) from "body.metadata.mode",'
            ' who: string from "attributes.who",',
        )
    )
    program = compile_file(str(path)).program
    good = (s for s in sendings(1, 50, attributes_of(program)) if s.sample is not None)
    for sending in itertools.islice(good, 20):
        read = decode_request(Record("t", 0, 0, 0, None, sending.value), program.fields)
        assert isinstance(read, Request), read
