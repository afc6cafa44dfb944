"""Commands whose cluster does not answer: a bounded wait, plain words, nothing else."""

from __future__ import annotations

import os
import pty
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from routec.cli import waiting
from routec.cli.interrupts import patient
from routec.cli.sights import ClusterSight
from routec.cli.waiting import Waiting
from routec.runtime.config import Config, Kafka
from routec.runtime.stream.errors import StreamError
from routec.runtime.stream.patience import PATIENCE

from .support import Run, Terminal

ADDRESS = "localhost:1"
COMMANDS = [
    ("status", "--bootstrap", ADDRESS),
    ("status", "--bootstrap", ADDRESS, "--format", "json"),
    ("deploy", "light.route", "--bootstrap", ADDRESS),
    ("deploy", "--rollback", "light", "--bootstrap", ADDRESS, "--format", "json"),
    ("dlq", "list", "--bootstrap", ADDRESS),
    ("dlq", "replay", "--bootstrap", ADDRESS),
    ("replay", "light.route", "--from", "earliest", "--bootstrap", ADDRESS),
    ("top", "--once", "--bootstrap", ADDRESS, "--format", "json"),
]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch, light: Path) -> None:
    """Commands that wait a moment only, with the defaults of the configuration."""
    monkeypatch.chdir(light.parent)
    monkeypatch.setattr(waiting, "LONGEST", 0.3)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_ends_with_one_error_in_words(
    routec: Run, caplog: pytest.LogCaptureFixture, command: tuple[str, ...]
) -> None:
    begun = time.monotonic()
    result = routec(*command)
    assert time.monotonic() - begun < Config().kafka.connect_timeout / 2
    assert (result.status, result.out) == (2, "")
    assert result.err == (
        "error: nothing answers at `localhost:1`: the connection is refused\n"
        "  = help: check `kafka.bootstrap`, or `--bootstrap`, and that the brokers are up\n"
    )


def test_the_client_library_is_not_heard(tmp_path: Path) -> None:
    """In a process of its own: pytest's handlers would hide what nobody handles."""
    (tmp_path / "routec.toml").write_text("[kafka]\nconnect_timeout = '0.1s'\n")
    code = "import sys; from routec.cli.main import main; sys.exit(main())"
    for command in (["status"], ["deploy", "--promote", "x"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *command, "--bootstrap", ADDRESS],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
            "error",
            "  = help",
        ]


def test_a_name_that_cannot_be_resolved_is_told_from_a_refusal(routec: Run, hurried: None) -> None:
    result = routec("status", "--bootstrap", "nobody.invalid:9092,localhost:1")
    assert "`nobody.invalid:9092`: the name `nobody.invalid` cannot be resolved" in result.err
    assert "`localhost:1`: the connection is refused" in result.err


def test_what_takes_connections_and_is_no_broker_is_said(routec: Run, hurried: None) -> None:
    class HangUp(socketserver.BaseRequestHandler):
        """Says nothing."""

    with socketserver.TCPServer(("127.0.0.1", 0), HangUp) as server:
        address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        result = routec("status", "--bootstrap", address)
        server.shutdown()
        thread.join()
    assert f"`{address}` takes connections, but does not answer as a Kafka broker" in result.err
    assert "`PLAINTEXT`" in result.err


def test_a_command_waits_ten_seconds_and_a_shorter_setting_counts() -> None:
    assert waiting.LONGEST == 10.0
    with patient(quiet=True):
        patience = PATIENCE.get()
    assert patience is not None
    assert patience.seconds == 10.0
    assert PATIENCE.get() is None  # a worker's own time applies again
    config = Config(kafka=Kafka(bootstrap=ADDRESS, connect_timeout=0.1))
    begun = time.monotonic()
    with pytest.raises(StreamError), ClusterSight(config):
        pass
    assert time.monotonic() - begun < waiting.LONGEST


def test_a_terminal_is_told_once_and_late() -> None:
    stream = Terminal()
    told = Waiting(stream, 0.01)
    for _ in range(2):
        with told("a:1"):
            deadline = time.monotonic() + 5
            while not stream.getvalue() and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.05)
    assert stream.getvalue() == "waiting for `a:1`\n"
    quick = Terminal()
    with Waiting(quick, 60.0)("a:1"):
        pass
    assert quick.getvalue() == ""


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["status"], True),
        (["status", "--format", "json"], False),
        (["top", "--once"], True),
        (["top", "--once", "--format", "json"], False),
    ],
)
def test_only_a_person_at_a_terminal_is_told(
    tmp_path: Path, command: list[str], says: bool
) -> None:
    (tmp_path / "routec.toml").write_text("[kafka]\nconnect_timeout = '1.5s'\n")
    code = "import sys; from routec.cli.main import main; sys.exit(main())"
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *command, "--bootstrap", ADDRESS],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=slave,
            check=False,
        )
        os.close(slave)
        seen = os.read(master, 65536).decode()
    finally:
        os.close(master)
    assert (done.returncode, done.stdout) == (2, b"")
    assert ("waiting for `localhost:1`" in seen) is says
    assert "error: nothing answers at `localhost:1`" in seen
