"""`routec compile`: the program's file, and what is said of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from routec.cli.programs import compile_file
from routec.compiler.program import digest, dump, load

from .support import LIGHT, Run


def test_it_writes_the_program_that_the_library_compiles(
    routec: Run, clean: Path, tmp_path: Path
) -> None:
    expected = compile_file(str(clean))
    target = tmp_path / "out.json"
    result = routec("compile", clean, "-o", target, "--format", "json")
    assert result.status == 0
    data = target.read_bytes()
    assert data == dump(expected.program)
    assert result.json["hash"] == digest(load(data)) == expected.hash
    assert result.json["name"] == "clean"
    assert result.json["bytes"] == len(data)
    assert result.json["counts"]["routes"] == 3
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~_umask()


def test_the_default_file_is_named_after_the_policy(
    routec: Run, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = routec("compile", clean)
    assert result.status == 0
    assert (tmp_path / "clean.program.json").is_file()
    assert compile_file(str(clean)).hash in result.out
    assert not list(tmp_path.glob(".*"))


def test_the_program_depends_on_the_embedder_only_where_one_is_used(
    clean: Path, light: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = compile_file(str(clean)), compile_file(str(light))
    monkeypatch.setenv("ROUTEC_EMBEDDER__QUANTISED", "true")
    after = compile_file(str(clean)), compile_file(str(light))
    assert before[0].hash != after[0].hash
    assert before[1].hash == after[1].hash
    assert after[1].program.embedder is None


def test_standard_input_and_output(routec: Run) -> None:
    result = routec("compile", "-", "-o", "-", stdin=LIGHT.encode())
    assert result.status == 0
    assert load(result.out.encode()).name == "light"


def test_a_policy_with_errors_is_refused(routec: Run, tmp_path: Path) -> None:
    path = tmp_path / "p.route"
    path.write_text(LIGHT.replace("to local", "to lokal"))
    target = tmp_path / "out.json"
    result = routec("compile", path, "-o", target)
    assert (result.status, result.out) == (1, "")
    assert "error[RC101]: unknown model or pool `lokal`" in result.err
    assert not target.exists()


def test_what_cannot_run_yet_is_named(routec: Run, tmp_path: Path) -> None:
    path = tmp_path / "p.route"
    path.write_text(LIGHT.replace("general { to mini", "general { to [mini, local] by thompson"))
    result = routec("compile", path, "-o", "-")
    assert (result.status, result.out) == (1, "")
    assert "error: `by thompson` is not available yet" in result.err
    assert f"--> {path}:" in result.err


def test_shared_declarations_are_no_program(routec: Run, tmp_path: Path) -> None:
    path = tmp_path / "shared.route"
    path.write_text('signal urgent = keyword("asap")\n')
    result = routec("compile", path, "-o", "-")
    assert result.status == 2
    assert "declares no route" in result.err


def test_a_file_that_cannot_be_written_is_status_2(
    routec: Run, light: Path, tmp_path: Path
) -> None:
    result = routec("compile", light, "-o", tmp_path / "gone" / "out.json")
    assert result.status == 2
    assert result.err.startswith("error: cannot write `")
    assert "no such file or directory" in result.err


def test_a_configuration_with_a_mistake_is_status_2(routec: Run, light: Path) -> None:
    (light.parent / "routec.toml").write_text("[kafka]\nbootstarp = 'x'\n")
    result = routec("compile", light, "-o", "-")
    assert (result.status, result.out) == (2, "")
    assert "unknown key `kafka.bootstarp`" in result.err
    assert "did you mean `bootstrap`?" in result.err


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
