"""`routec check --watch`: checks again when a file changes, and ends quietly."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routec.cli.watching import lists_of, state_of, wait_for_change
from routec.compiler.check import check

from .support import start

POLICY = """\
policy p
import "shared.route"
signal words = keyword(file("words.txt"))
model m { provider: x }
model n { provider: y }
route a priority 1 { when words or late  to n }
default route r { to m }
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    (tmp_path / "shared.route").write_text('signal late = keyword("late")\n')
    (tmp_path / "words.txt").write_text("asap\n")
    path = tmp_path / "p.route"
    path.write_text(POLICY)
    return path


def test_what_a_policy_reads_is_known(policy: Path) -> None:
    checked = check(policy)
    files = {*checked.sources, *lists_of(checked.modules)}
    folder = policy.parent
    assert files == {str(folder / n) for n in ("p.route", "shared.route", "words.txt")}


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("longer than before"),
        lambda path: path.unlink(),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: (path.with_name("new").write_text("a"), path.with_name("new").replace(path)),
    ],
    ids=["written", "gone", "touched", "replaced"],
)
def test_a_change_of_any_kind_is_noticed(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "f"
    path.write_text("a")
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            change(path)

    wait_for_change(lambda: [str(path)], state_of([str(path)]), sleep)
    assert len(looks) == 3


def test_a_new_file_is_noticed(tmp_path: Path) -> None:
    def files() -> list[str]:
        return [str(path) for path in tmp_path.iterdir()]

    def sleep(seconds: float) -> None:
        (tmp_path / "new.route").write_text("")

    wait_for_change(files, state_of(files()), sleep)


def lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    assert process.stderr is not None
    for line in process.stderr:
        yield line.decode().rstrip()


def test_it_checks_again_and_ends_quietly(policy: Path) -> None:
    process = start("check", "--watch", str(policy))
    try:
        assert process.stdout is not None
        said = lines(process)
        watching = "watching for changes; stop with Ctrl-C"
        assert next(line for line in said if line) == watching
        words = policy.with_name("words.txt")
        words.unlink()
        assert next(line for line in said if line) == watching
        assert b"RC106" in process.stdout.readline()
        words.write_text("asap\nright now\n")
        assert next(line for line in said if line) == watching
        policy.unlink()
        assert "cannot read" in next(line for line in said if line)
        assert next(line for line in said if line.startswith("watching")) == watching
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert [line for line in said if line] == []
    finally:
        process.kill()
        process.communicate()
