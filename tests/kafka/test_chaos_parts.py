"""What the chaos suite is made of: its policies, its clock, its answers and its report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from routec.runtime.config import Classifier, Config
from routec.runtime.records import Decided, Record
from routec.runtime.service import PolicyService, open_service
from tests.kafka.chaos import report
from tests.kafka.chaos.board import Board
from tests.kafka.chaos.events import Event, event
from tests.kafka.chaos.policy import (
    CACHED,
    CANARY,
    KINDS,
    SHADOW,
    Kind,
    bind_classifier,
    compile_policy,
    hash_of,
    needs_model,
    scope_of,
)
from tests.kafka.chaos.report import PUBLISHED, Book, code_files, write_page
from tests.kafka.chaos.responder import Responder, words
from tests.kafka.chaos.scenario import draw

COUNT = 600


@pytest.fixture(autouse=True)
def _bound(monkeypatch: pytest.MonkeyPatch) -> None:
    from routec.runtime.engine import open as opening

    for name in ("_classifier", "_embedder"):
        monkeypatch.setattr(opening, name, getattr(opening, name))
    bind_classifier(Board())


def opened(kind: Kind, version: int = 0, before: PolicyService | None = None) -> PolicyService:
    config = Config(classifiers={"feeling": Classifier("exemplars", Path("feeling.jsonl"))})
    memory = None if before is None else before.memory
    service = open_service(compile_policy(kind, version), config, memory=memory)
    service.take_over()
    return service


def asked(kind: Kind) -> tuple[list[Event], list[Record]]:
    events = [event(3, number, 0.0, 0.0, kind) for number in range(COUNT)]
    records = [
        Record("requests", 0, at, 1_700_000_000_000, one.key, one.value, ())
        for at, one in enumerate(events)
    ]
    return events, records


@pytest.mark.parametrize("kind", KINDS)
async def test_a_kind_of_policy_decides_as_it_is_to_be(kind: Kind) -> None:
    events, records = asked(kind)
    outcomes = await opened(kind).decide(records)
    routes: Counter[str | None] = Counter()
    for one, outcome in zip(events, outcomes, strict=True):
        assert isinstance(outcome, Decided)
        decision = json.loads(outcome.value)
        routes[decision["route"]] += 1
        assert decision["route"] == one.wanted.route
        assert (decision["reject"] or {}).get("reason") == one.wanted.reject
        assert decision["cache"]["status"] == ("miss" if one.wanted.cached else "skipped")
    assert len(routes) >= 3
    assert any(one.wanted.cached for one in events) is (kind in CACHED)


@pytest.mark.parametrize("kind", KINDS)
def test_the_compiled_path_decides_all_that_needs_no_model(kind: Kind) -> None:
    events, records = asked(kind)
    service = opened(kind)
    assert service._native is not None
    answers, _ = service._native.decide(records, 2e9)
    assert [type(one) is not Decided for one in answers] == [
        one.said is not None and needs_model(kind, one.said) for one in events
    ]
    share = sum(type(one) is Decided for one in answers) / COUNT
    assert {"classifier": share == 0.0, "plain": share == 1.0, "mixed": 0.2 < share < 0.8}[kind]


@pytest.mark.parametrize("kind", sorted(CACHED))
async def test_a_swap_hands_the_cache_over_unless_its_terms_are_others(kind: Kind) -> None:
    assert scope_of(0) == scope_of(1) != scope_of(2)
    events, records = asked(kind)
    first = opened(kind)
    responder = Responder(draw(0), Config())
    responder._rng.random = lambda: 1.0  # type: ignore[method-assign]
    for outcome in await first.decide(records):
        assert isinstance(outcome, Decided)
        if json.loads(outcome.value)["cache"]["status"] == "miss":
            answer = responder._answer(json.loads(outcome.value))
            first.learn([Record("responses", 0, 0, 0, None, answer)])

    async def from_cache(service: PolicyService) -> int:
        decisions = [json.loads(one.value) for one in await service.decide(records)]  # type: ignore[union-attr]
        hits = [(number, one) for number, one in enumerate(decisions) if one["outcome"] == "cached"]
        for number, one in hits:
            assert events[number].wanted.cached
            assert one["cache"]["response"]["id"].startswith("answer-")
        return len(hits)

    wanted = sum(one.wanted.cached for one in events)
    assert await from_cache(first) == wanted
    second = opened(kind, 1, first)
    assert await from_cache(second) == wanted
    assert await from_cache(opened(kind, 2, second)) == 0


def test_answers_are_mostly_good_and_of_all_bad_kinds() -> None:
    responder = Responder(draw(0), Config())
    decision = {"decision_id": "d" * 32, "request_id": "r-1", "model": "small"}
    good, kinds = 0, Counter[str]()
    for _ in range(600):
        value = responder._answer(decision)
        try:
            told: dict[str, Any] = json.loads(value or b"")
        except ValueError:
            kinds["none" if value is None else "torn"] += 1
            continue
        choice = told["body"]["choices"][0]
        assert choice["message"]["content"] == words("d" * 32)
        kinds["refused"] += told["ok"] is not True
        kinds["cut"] += choice["finish_reason"] != "stop"
        kinds["unknown"] += told["decision_id"] != "d" * 32
        kinds["huge"] += len(value or b"") > 65_536
        good += told["ok"] is True and len(value or b"") < 65_536
    assert good > 400
    assert set(kinds) == {"none", "torn", "refused", "cut", "unknown", "huge"}
    assert min(kinds.values()) > 3


def test_no_two_versions_have_a_hash_and_only_a_shadow_decides_otherwise() -> None:
    for kind in KINDS:
        hashes = [hash_of(kind, one) for one in (0, 1, 2, 3, CANARY, SHADOW)]
        assert len(set(hashes)) == len(hashes)
    sizes = {
        version: [signal.name for signal in compile_policy("plain", version).signals]
        for version in (0, 5, CANARY, SHADOW)
    }
    assert len({tuple(one) for one in sizes.values()}) == 1


def test_a_clock_that_is_set_is_that_of_all_who_ask_for_the_date() -> None:
    code = """
from tests.kafka.chaos import clocks
clocks.put_in()
import time, datetime
from types import SimpleNamespace
from routec.runtime.observe.age import AgedDecider
from routec.runtime.records import Dead
from routec.runtime.stream.letters import ERROR_HEADERS, dead_letter_headers
def told():
    record = SimpleNamespace(topic="t", partition=0, offset=0, headers=())
    headers = dict(dead_letter_headers(record, Dead("c", "m"), "sha256:1"))
    text = headers["routec.error.time"].decode()
    return [
        time.time(),
        time.time_ns() / 1e9,
        datetime.datetime.now(datetime.UTC).timestamp(),
        datetime.datetime.fromisoformat(text).timestamp(),
        AgedDecider(None)._clock(),
    ], time.monotonic()
before, steady = told()
clocks.set_by(lambda: -86400.0)
after, later = told()
assert all(-86401 < b - a < -86390 for a, b in zip(before, after)), (before, after)
assert 0 <= later - steady < 10
assert isinstance(datetime.datetime.now(), datetime.date)
"""
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=60)


def test_results_are_of_all_the_code_that_a_worker_runs() -> None:
    files = {str(file.relative_to(report.ROOT)) for file in code_files()}
    listed = subprocess.run(
        ["git", "ls-files", "dsl", "compiler", "safety", "semcache", "runtime", "cli"],
        cwd=report.ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    code = {one for one in listed if one.endswith((".py", ".cpp", ".hpp", ".lark", ".json"))}
    assert len(code) > 300
    assert code <= files
    assert {"setup.py", "requirements/dev.txt", "tests/kafka/chaos/checker.py"} <= files


def result(seed: int, problems: dict[str, int] | None = None) -> dict[str, Any]:
    records = dict.fromkeys(
        [
            "requests",
            "decisions",
            "dead_letters",
            "by_swapped",
            "by_canary",
            "cached",
            "compiled",
            "responses",
            "differences",
            "statuses",
        ],
        10,
    )
    spell = {"kind": "kill", "longest_hit": 2.0, "longest_others": 0.25}
    return {
        "seed": seed,
        "problems": problems or {},
        "records": records,
        "fired": [],
        "missed": [],
        "spells": [spell | {"may_hit": 4.0, "may_others": 3.0}],
        "workers": 1,
        "scenario": {"policy": "plain", "session": 2.0},
    }


@pytest.fixture
def page(tmp_path: Path) -> Path:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    return page


def test_a_page_is_renewed_when_all_its_seeds_are_done(tmp_path: Path, page: Path) -> None:
    book = Book(tmp_path / "results.json")
    old = page.read_text()
    for seed in PUBLISHED:
        assert not write_page(page, book, PUBLISHED)
        book.add(result(seed))
    book.took(5.0, 6, 1.0)
    assert not write_page(page, book, range(10))
    assert not write_page(page, book, range(1, 200))
    assert page.read_text() == old
    assert write_page(page, book, PUBLISHED)
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
    assert "| seeds | 200 (0 to 199), 0 of them found something |" in page.read_text()


def test_a_table_tells_of_the_seeds_asked_for_and_of_every_kind_of_problem(tmp_path: Path) -> None:
    book = Book(tmp_path / "results.json")
    book.add(result(0))
    book.add(result(1, {"lost": 3}))
    book.took(4.0, 6, 1.0)
    both, one = book.table(range(2)), book.table(range(1))
    assert "| lost | 3 |" in both
    assert "| lost | 0 |" in one
    for kind in ("no progress", "slow recovery", "stuck", "hangs", "gave up", "broker lost"):
        assert f"| {kind} | 0 |" in one
    assert "| kill | 1 | 2.0 s | 4.0 s | 0.2 s | 3.0 s |" in one
    assert (book.failed(range(2)), book.failed(range(1))) == ([1], [])


def test_results_are_used_again_until_they_are_not_wanted(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    book = Book(file)
    for seed in range(4):
        book.add(result(seed))
    book.took(8.0, 6, 1.0)
    assert all(seed in Book(file) for seed in range(4))
    again = Book(file, again=range(2))
    assert [seed in again for seed in range(4)] == [False, False, True, True]
    again.add(result(0))
    again.took(1.0, 6, 1.0)
    assert "| time | 1 s for 1 seeds |" in again.table(range(1))
    assert "| time | 8 s for 4 seeds |" in again.table(range(2, 4))
