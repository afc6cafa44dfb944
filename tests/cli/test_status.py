"""`routec status`: which policy each worker decides by, since when, and what was refused."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from routec.cli.commands.status import age, divided
from routec.runtime.embedded import embedded_broker
from routec.runtime.policies.status import (
    STALE,
    FailureStatus,
    ProblemStatus,
    ProgramStatus,
    WorkerStatus,
    decode_status,
    encode_status,
)

from .support import Run

TOPIC = "routec.status"


def worker(name: str, since: float = 60.0, silent: float = 1.0, **more: Any) -> WorkerStatus:
    now = time.time()
    return WorkerStatus(
        worker=name,
        group="g",
        policy="helpdesk",
        time=now - silent,
        started=now - 7200,
        active=ProgramStatus("sha256:aa", now - since, 0, 7),
        **more,
    )


@pytest.fixture
async def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routec.toml").write_text("[kafka]\nfetch_max_wait = '10ms'\n")
    async with embedded_broker((TOPIC,)) as broker:
        yield broker.bootstrap


async def told(bootstrap: str, *records: tuple[str, bytes | None]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for key, value in records:
            await producer.send_and_wait(TOPIC, value, key=key.encode())


async def test_the_newest_record_of_each_worker_is_shown(bootstrap: str, routec: Run) -> None:
    failure = FailureStatus("active", "hash-mismatch", "the hash is wrong", time.time(), 0, 8)
    candidate = ProgramStatus("sha256:cc", time.time() - 30, 0, 9, 0.05)
    await told(
        bootstrap,
        ("g/one", encode_status(worker("one", since=1))),
        ("g/gone", encode_status(worker("gone"))),
        ("g/two", encode_status(worker("two", refused=1, failures=(failure,)))),
        ("g/three", encode_status(worker("three", silent=STALE + 60))),
        ("g/one", encode_status(worker("one", candidate=candidate, tried=12))),
        ("g/gone", None),
        ("g/bad", b"{"),
    )
    result = await asyncio.to_thread(routec, "status", "--bootstrap", bootstrap, "--format", "json")
    assert (result.status, result.err) == (1, "")
    shown = {one["worker"]: one for one in result.json["workers"]}
    assert list(shown) == ["one", "three", "two"]
    assert shown["one"]["candidate"] | {"since": 0} == {
        "hash": "sha256:cc", "since": 0, "partition": 0, "offset": 9, "share": 0.05,
        "signed_by": None, "sequence": None,
    }  # fmt: skip
    assert [shown[name]["healthy"] for name in shown] == [True, False, False]
    assert [shown[name]["lost"] for name in shown] == [False, True, False]
    assert shown["two"]["failures"][0]["code"] == "hash-mismatch"
    assert 0 <= shown["one"]["age"] < 30
    text = (await asyncio.to_thread(routec, "status", "--bootstrap", bootstrap)).out
    assert "g/one  running  started 2 h ago\n" in text
    assert "helpdesk  sha256:aa  for 1 min, from record 0/7\n" in text
    assert "canary  sha256:cc  0.05 of the requests  for 3" in text
    assert "g/three  lost: silent for 3 min" in text
    assert "hash-mismatch: the hash is wrong (record 0/8)\n" in text


async def test_without_workers_and_without_the_topic(
    bootstrap: str, routec: Run, tmp_path: Path
) -> None:
    result = await asyncio.to_thread(routec, "status", "--bootstrap", bootstrap)
    assert (result.status, result.out) == (0, "no worker has told its status\n")
    (tmp_path / "routec.toml").write_text("[topics]\nstatus = 'absent'\n")
    result = await asyncio.to_thread(routec, "status", "--bootstrap", bootstrap)
    assert (result.status, result.out) == (2, "")
    assert "error: the topic `absent` does not exist\n" in result.err


def test_every_documented_key_is_there_whatever_a_worker_tells() -> None:
    """Records leave out what has its default; what is printed leaves out nothing."""
    from routec.cli.commands.status import document

    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    (described,) = re.findall(r'`(\{"version": 1, "workers": \[\{[^`]*\})`', page)
    failure = FailureStatus("active", "hash-mismatch", "the hash is wrong", 1.0, 0, 8)
    bare = msgspec.json.decode(
        b'{"worker":"w","group":"g","policy":"p","time":1,"started":1,'
        b'"active":{"hash":"sha256:aa","since":1}}',
        type=WorkerStatus,
    )
    [told] = document([bare], 2.0)["workers"]
    [failed] = document([worker("one", failures=(failure,))], 2.0)["workers"][0]["failures"]
    keys = {*document([bare], 2.0), *told, *told["active"], *failed}
    assert keys == set(re.findall(r'"([a-z_]+)"', described))
    assert told["active"] == {
        "hash": "sha256:aa",
        "since": 1.0,
        "partition": None,
        "offset": None,
        "share": None,
        "signed_by": None,
        "sequence": None,
    }
    counts = ("tried", "fallen_back", "compared", "differing", "skipped", "refused")
    assert [told[name] for name in counts] == [0] * 6
    assert (told["candidate"], told["failures"], told["problems"]) == (None, [], [])
    assert (told["host"], told["metrics"]) == (None, None)
    assert failed["hash"] is None


def test_a_shadow_is_shown_with_what_it_compared() -> None:
    from routec.cli.commands.status import full
    from routec.cli.render.styled import plain

    candidate = ProgramStatus("sha256:cc", time.time() - 30, 0, 9, 0.0)
    one = worker("one", candidate=candidate, compared=1200, differing=7, skipped=3)
    text = plain(full([one], time.time()))
    assert "  shadow  sha256:cc  for 30 s, from record 0/9\n" in text
    assert "  shadows compared 1,200, differing 7, skipped 3\n" in text


def test_a_failure_before_the_policy_in_force_is_history(routec: Run) -> None:
    from routec.cli.commands.status import healthy

    old = FailureStatus("active", "invalid-program", "no program", time.time() - 120, 0, 3)
    assert healthy(worker("one", failures=(old,)), time.time())
    assert not healthy(worker("one", since=300, failures=(old,)), time.time())


def test_records_of_later_versions_are_read_and_others_are_not() -> None:
    status = worker("one")
    newer = msgspec.json.decode(encode_status(status)) | {"news": 1}
    assert decode_status(msgspec.json.encode(newer)) == status
    for bad in (b"", b"[]", b'{"worker": 1}', b"\xff", b"[" * 100_000):
        assert decode_status(bad) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (42, "42 s"), (300, "5 min"), (7200, "2 h"), (10 * 86_400, "10 d")],
)
def test_ages_are_short(seconds: float, text: str) -> None:
    assert age(seconds) == text


def following(name: str, sequence: int | None, candidate: int | None = None, **more: Any) -> Any:
    """A worker that follows a signed record since `since` seconds."""
    one = worker(name, **more)
    replace = msgspec.structs.replace
    tried = None if candidate is None else replace(one.active, sequence=candidate, share=0.1)
    return replace(one, active=replace(one.active, sequence=sequence), candidate=tried)


def test_workers_that_follow_different_records_are_found() -> None:
    now = time.time()
    same = [following("a", 7, 9), following("b", 7, 9), following("unsigned", None)]
    assert divided(same, now) == []
    assert divided([*same, following("c", 6, 9)], now) == ["helpdesk"]
    assert divided([*same, following("c", 7)], now) == ["helpdesk"]
    assert divided([*same, following("c", -1)], now) == ["helpdesk"]
    # What is new may not have come to all; what is lost, or another policy's, says nothing.
    assert divided([*same, following("c", 8, 9, since=5.0)], now) == []
    assert divided([*same, following("c", 6, 9, silent=STALE + 60)], now) == []
    other = msgspec.structs.replace(following("c", 6), policy="other")
    assert divided([*same, other], now) == []


async def test_a_problem_and_a_division_are_told_with_status_1(bootstrap: str, routec: Run) -> None:
    told_by = following("a", 7)
    problem = ProblemStatus("compacting-policies", "it does not keep every record")
    troubled = msgspec.structs.replace(told_by, problems=(problem,))
    await told(bootstrap, ("g/a", encode_status(troubled)))
    result = await asyncio.to_thread(routec, "status", "--bootstrap", bootstrap)
    assert result.status == 1
    assert "compacting-policies: it does not keep every record" in result.out
    await told(
        bootstrap, ("g/a", encode_status(told_by)), ("g/b", encode_status(following("b", 6)))
    )
    result = await asyncio.to_thread(routec, "status", "--bootstrap", bootstrap)
    assert result.status == 1
    assert "workers of helpdesk follow different signed records" in result.out
    result = await asyncio.to_thread(routec, "status", "--bootstrap", bootstrap, "--format", "json")
    assert (result.status, result.json["divided"]) == (1, ["helpdesk"])
    assert [one["healthy"] for one in result.json["workers"]] == [True, True]
