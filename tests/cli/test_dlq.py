"""`routec dlq`: look at dead letters, and bring them back."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from routec.cli import exits, letters
from routec.cli.commands.dlq import _moment
from routec.cli.interrupts import run_client
from routec.runtime.config import Config, Kafka
from routec.runtime.dlq import Selection
from routec.runtime.embedded import EmbeddedBroker, embedded_broker
from routec.runtime.records import Dead
from routec.runtime.stream.letters import dead_letter_headers

from .support import Run

REQUESTS, DLQ = "routec.requests", "routec.dlq"
HEADERS = [("traceparent", b"00-1"), ("raw", b"\xff\x00"), ("none", None)]
LETTERS = [
    (0, "invalid-json", "not JSON \x1b[31m", b"key", b'{"a":\t1'),
    (1, "invalid-json", "not JSON", None, b"\x00\xff"),
    (2, "missing-attribute", "`tenant` is missing", b"\xfe", "{}\nzwei ü".encode()),
    (3, "unreadable-batch", "offsets 3 to 9 cannot be read", None, None),
]


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedBroker]:
    """Letters of one topic, all in partition 1 at offsets 0 to 3."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routec.toml").write_text('[kafka]\nfetch_max_wait = "10ms"\n')
    with asyncio.Runner() as runner:
        made = embedded_broker([REQUESTS, DLQ, DLQ + ".replays"])
        broker = runner.run(made.__aenter__())
        runner.run(write(broker.bootstrap))
        yield broker
        runner.run(made.__aexit__(None, None, None))


async def write(bootstrap: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for offset, code, message, key, value in LETTERS:
            record: Any = ConsumerRecord(
                REQUESTS, 2, offset, 7, 0, key, value, None, -1, -1, tuple(HEADERS)
            )
            batch = producer.create_batch()
            batch.append(
                timestamp=1_700_000_000_000 + offset * 60_000,
                key=key,
                value=value,
                headers=dead_letter_headers(record, Dead(code, message), "sha256:1"),
            )
            batch.close()
            await (await producer.send_batch(batch, DLQ, partition=1))


def at(broker: EmbeddedBroker, *arguments: str) -> Sequence[str]:
    return ("dlq", *arguments, "--bootstrap", broker.bootstrap)


def test_list_counts_by_reason_and_topic_and_names_the_newest(
    routec: Run, broker: EmbeddedBroker
) -> None:
    found = routec(*at(broker, "list", "--limit", "2"))
    assert (found.status, found.err) == (0, "")
    assert found.out.splitlines() == [
        "4 letters in routec.dlq",
        "         2  invalid-json       routec.requests  2023-11-14T22:13:20Z to 2023-11-14T22:14:20Z",
        "         1  missing-attribute  routec.requests  2023-11-14T22:15:20Z to 2023-11-14T22:15:20Z",
        "         1  unreadable-batch   routec.requests  2023-11-14T22:16:20Z to 2023-11-14T22:16:20Z",
        "",
        "newest",
        "  1/3  2023-11-14T22:16:20Z  unreadable-batch: offsets 3 to 9 cannot be read",
        "  1/2  2023-11-14T22:15:20Z  missing-attribute: `tenant` is missing",
    ]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ((), 4),
        (("--code", "invalid-json", "--code", "unreadable-batch"), 3),
        (("--topic", "routec.requests", "--partition", "2"), 4),
        (("--partition", "1"), 0),
        (("--since", "2023-11-14T22:14:20Z"), 3),
        (("--since", "2023-11-14T22:14:20Z", "--until", "2023-11-14T23:15:20+01:00"), 1),
        (("--since", "1h"), 0),
        (("--letter", "1/0", "--letter", "1/2"), 2),
    ],
)
def test_list_takes_what_is_wanted(
    routec: Run, broker: EmbeddedBroker, arguments: tuple[str, ...], count: int
) -> None:
    found = routec(*at(broker, "list", "--format", "json", *arguments))
    assert found.status == 0
    assert found.json["letters"] == count == sum(one["count"] for one in found.json["counts"])
    assert len(found.json["newest"]) == count


def test_show_prints_a_letter_that_cannot_steer_the_terminal(
    routec: Run, broker: EmbeddedBroker
) -> None:
    found = routec(*at(broker, "show", "1/0"))
    assert (found.status, found.err) == (0, "")
    lines = found.out.splitlines()
    assert lines[0] == "invalid-json: not JSON �[31m"
    assert lines[1:3] == [
        "  letter   1/0, 2023-11-14T22:13:20Z",
        "  from     routec.requests, partition 2, offset 0",
    ]
    assert lines[3].endswith(" by sha256:1")
    assert lines[4:] == [
        "",
        "key  3 bytes",
        "  key",
        "header traceparent  4 bytes",
        "  00-1",
        "header raw  2 bytes",
        "  00000000  ff 00                                            ..",
        "header none  null",
        "value  7 bytes",
        '  {"a":   1',
    ]


def test_show_has_every_byte_for_machines(routec: Run, broker: EmbeddedBroker) -> None:
    found = routec(*at(broker, "show", "1/2", "--format", "json")).json
    assert base64.b64decode(found["value"]["base64"]) == LETTERS[2][4]
    assert found["value"]["text"] == "{}\nzwei ü"
    assert found["key"] == {"base64": base64.b64encode(b"\xfe").decode(), "text": None}
    headers = [
        (one["name"], one["base64"] and base64.b64decode(one["base64"])) for one in found["headers"]
    ]
    assert headers == HEADERS
    assert found["source"] == {"topic": REQUESTS, "partition": 2, "offset": 2}
    assert (found["code"], found["replayed"]) == ("missing-attribute", False)
    assert routec(*at(broker, "show", "1/3", "--format", "json")).json["value"] is None


def test_show_gives_the_value_as_it_came(
    broker: EmbeddedBroker, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from routec.cli.main import main

    assert main(at(broker, "show", "1/1", "--raw")) == 0
    assert capfdbinary.readouterr().out == b"\x00\xff"


def test_replay_brings_letters_back_once(routec: Run, broker: EmbeddedBroker) -> None:
    wanted = ("replay", "--code", "invalid-json")
    dry = routec(*at(broker, *wanted, "--dry-run"))
    assert dry.out.splitlines() == [
        "2 letters of routec.dlq would be brought back",
        "         2  invalid-json -> routec.requests",
    ]
    for arguments, done, before in (((), 2, 0), ((), 0, 2), (("--again",), 2, 0)):
        found = routec(*at(broker, *wanted, "--format", "json", *arguments))
        assert found.status == 0
        assert (found.json["replayed"], found.json["before"]) == (done, before)
    again = routec(*at(broker, *wanted))
    assert again.out.splitlines() == [
        "0 letters of routec.dlq brought back",
        "2 brought back before; `--again` repeats them",
    ]
    counts = routec(*at(broker, "list", "--format", "json")).json["counts"]
    assert [one["replayed"] for one in counts] == [2, 0, 0]


def test_replay_names_what_cannot_come_back(routec: Run, broker: EmbeddedBroker) -> None:
    found = routec(*at(broker, "replay"))
    assert found.status == exits.FOUND
    assert found.out.splitlines()[-2:] == [
        "1 cannot be brought back",
        "  1/3  it holds a damaged batch, not a record",
    ]


def configured(broker: EmbeddedBroker) -> Config:
    return Config(kafka=Kafka(bootstrap=broker.bootstrap, fetch_max_wait=0.01))


@pytest.mark.parametrize(("signals", "said"), [(1, True), (2, False)])
def test_a_signal_ends_a_replay_in_order_and_a_second_one_at_once(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str], signals: int, said: bool
) -> None:
    async def replay() -> int:
        work = letters.replay(
            configured(broker), Selection(), "full", again=False, limit=None, dry_run=False
        )
        task = asyncio.create_task(work)
        await asyncio.sleep(0)
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGINT)
        return await task

    assert run_client(replay()) == exits.INTERRUPTED
    assert ("stopped; run it again for the rest" in capsys.readouterr().out) is said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "1/99"), "there is no letter `1/99` in `routec.dlq`"),
        (("show", "x"), "`x` is no letter: write PARTITION/OFFSET"),
        (("show", "1/0", "--raw", "--format", "json"), "`--raw` and `--format` exclude each other"),
        (("list", "--since", "soon"), "`soon` is no time"),
        (("list", "--partition", "-1"), "`-1` is no whole number"),
        (("replay", "--limit", "0"), "`0` is no whole number"),
        (("list", "--raw"), "unrecognized arguments: --raw"),
        (("drop",), "invalid choice: 'drop'"),
    ],
)
def test_wrong_use_is_said_in_words(
    routec: Run, broker: EmbeddedBroker, arguments: tuple[str, ...], message: str
) -> None:
    found = routec(*at(broker, *arguments))
    assert (found.status, found.out) == (exits.UNABLE, "")
    assert message in found.err
    assert "help: " in found.err
    assert "Traceback" not in found.err


def test_a_missing_topic_and_a_wrong_address_are_said(
    routec: Run, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    (tmp_path / "routec.toml").write_text('[topics]\ndlq = "elsewhere"\n')
    found = routec(*at(broker, "list"))
    assert (found.status, found.out) == (exits.UNABLE, "")
    assert "the topic `elsewhere` does not exist" in found.err
    assert "is no address of a broker" in routec("dlq", "list", "--bootstrap", "here").err


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2h", 2_800_000),
        ("90s", 9_910_000),
        ("1970-01-01T00:01:00Z", 60_000),
        ("1970-01-01T01:01:00+01:00", 60_000),
        ("1970-01-02", 86_400_000),
    ],
)
def test_a_time_is_a_moment_or_so_long_ago(text: str, milliseconds: int) -> None:
    assert _moment(text, lambda: 10_000.0) == milliseconds
