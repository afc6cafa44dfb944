"""The command as a whole: help, errors in words, signals, pipes, and a light start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from routec.cli.main import COMMANDS

from .support import Run, start


def test_version(routec: Run) -> None:
    assert routec("--version").out == f"routec {version('routec')}\n"


def test_help_names_every_command(routec: Run) -> None:
    result = routec("--help")
    assert result.status == 0
    assert all(f"  {name} " in result.out for name in COMMANDS)
    nothing = routec()
    assert (nothing.status, nothing.out) == (2, "")
    assert "usage:" in nothing.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_examples(routec: Run, command: str) -> None:
    result = routec(command, "--help")
    assert (result.status, result.err) == (0, "")
    assert f"examples:\n  routec {command}" in result.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chek"], "error: unknown command `chek`\n  = help: did you mean `check`?\n"),
        (["--verison"], "error: unknown option `--verison`\n  = help: did you mean `--version`?\n"),
        (["check"], "error: the following arguments are required: PATH\n"),
        (["check", "--form", "json", "x"], "error: unrecognized arguments: --form"),
        (["models", "install"], "error: `models install` needs a model\n"),
        (["models", "remove"], "`remove` is none of `install`, `list`"),
        (["run", "x", "--workers", "0"], "`0` is no whole number from 1 to 256"),
        (["run", "x", "--embedded", "--workers", "2"], "serves one worker only"),
        (["run", "x", "--embedded", "--bootstrap", "h:1"], "exclude each other"),
        (["run", "x", "--bootstrap", "host"], "`host` is no address of a broker"),
        (["demo", "--count", "-1"], "`-1` is no whole number"),
        (["demo", "--rate", "٣"], "`٣` is no whole number"),
    ],
)
def test_wrong_usage_is_status_2_and_says_so(routec: Run, arguments: list[str], says: str) -> None:
    result = routec(*arguments)
    assert (result.status, result.out) == (2, "")
    assert says in result.err


def test_a_bug_is_an_internal_error_without_traceback(
    routec: Run, clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("the\nsky\x1b[2J fell")

    monkeypatch.setattr("routec.cli.commands.check.check_one", fail)
    result = routec("check", clean)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("internal error: ZeroDivisionError: the sky�[2J fell\n")
    assert "ROUTEC_TRACEBACK=1" in result.err
    monkeypatch.setenv("ROUTEC_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        routec("check", clean)


def test_ctrl_c_ends_quietly_with_130(tmp_path: Path) -> None:
    fifo = tmp_path / "p.route"
    os.mkfifo(fifo)
    process = start("check", str(fifo))
    with fifo.open("wb"):  # opens once the command reads
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    fifo = tmp_path / "p.route"
    os.mkfifo(fifo)
    process = start("check", str(fifo))
    assert process.stdout is not None
    assert process.stderr is not None
    with fifo.open("wb") as policy:
        process.stdout.close()
        policy.write(b"signal s = keywrd()")
    assert process.stderr.read() == b""
    assert process.wait(timeout=20) == 141
    process.stderr.close()


def test_output_that_the_locale_cannot_write_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "p.route"
    path.write_text("signal 日 = turns()\n", encoding="utf-8")
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start("check", str(path), env=plain)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (1, b"")
    assert b"\\u65e5" in out
    process = start("check", str(path), "--format", "json", env=plain)
    out, _ = process.communicate(timeout=20)
    assert "日" in out.decode("utf-8")


def test_a_check_starts_light(clean: Path) -> None:
    """Neither numbers, nor Kafka, nor models, nor even colours are loaded for a plain check."""
    code = (
        "import sys; from routec.cli.main import main\n"
        "status = main(['check', sys.argv[1]])\n"
        "print(status, *sorted({name.partition('.')[0] for name in sys.modules}))\n"
        "print(*(name for name in sys.modules if name.startswith('routec.')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(clean)], capture_output=True, text=True, check=True
    )
    modules, ours = run.stdout.splitlines()
    status, *loaded = modules.split()
    assert status == "0"
    heavy = {
        *("numpy", "scipy", "aiokafka", "confluent_kafka", "onnxruntime", "tokenizers", "rich"),
        *("typer", "click", "pydantic", "asyncio", "uvloop", "msgspec", "orjson", "hnswlib"),
        *("prometheus_client", "structlog", "lark", "phonenumbers", "schwifty", "py3langid"),
    }
    assert heavy.isdisjoint(loaded)
    rooms = {name.split(".")[1] for name in ours.split()}
    assert rooms == {"cli", "compiler", "dsl"}
