"""`routec compile`: the program's file, and what is said of it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from routec.cli.programs import compile_file
from routec.compiler.plan import Profile, dump_profile
from routec.compiler.program import digest, dump, load

from .support import CLEAN, LIGHT, Run


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


def test_the_program_carries_its_plan(routec: Run, clean: Path) -> None:
    program = load(routec("compile", clean, "-o", "-").out.encode())
    assert sorted(program.plan.order) == [
        at for at, signal in enumerate(program.signals) if signal.stage != "derived"
    ]
    assert program.plan.route is not None


def test_the_plan_is_printed_and_the_program_written(
    routec: Run, clean: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.json"
    result = routec("compile", clean, "-o", target, "--explain-plan", "--format", "json")
    assert result.status == 0
    plan = result.json
    program = load(target.read_bytes())
    assert plan["hash"] == digest(program)
    assert plan["nodes"] == len(program.plan.vertices) > 0
    assert [stage["name"] for stage in plan["stages"]] == ["scan", "light", "embed", "model"]
    listed = [name for stage in plan["stages"] for name in stage["signals"]]
    assert listed == [program.signals[at].name for at in program.plan.order]
    assert plan["fallback"] is False
    figures = (plan["expected"], *plan["baselines"].values())
    assert set(plan["baselines"]) == {"evaluate_all", "priority_order"}
    for each in figures:
        assert each["cost_us"] > 0
        assert set(each["calls_per_1000"]) == set(listed)
        assert all(0 <= calls <= 1000 for calls in each["calls_per_1000"].values())
    assert plan["expected"]["cost_us"] <= plan["baselines"]["evaluate_all"]["cost_us"]


def test_the_plan_in_words_compares_and_says_why(routec: Run, clean: Path, tmp_path: Path) -> None:
    clean.write_text(
        CLEAN + "guard topics priority 9 { when topic == other and not (topic.code > 0.4)\n"
        '  tag "t" }\n'
    )
    result = routec("compile", clean, "-o", tmp_path / "out.json", "--explain-plan")
    assert result.status == 0
    lines = [" ".join(text.split()) for text in result.out.splitlines()]
    assert "light pii" in lines
    assert "model topic" in lines
    assert "plan priority order evaluate all" in lines
    assert any(text.startswith("topic 1,000 1,000 1,000") for text in lines)
    assert "topic: guard `topics` reads it, and nothing cheaper settles that guard" in lines
    assert any("--profile" in text for text in lines)


def test_a_profile_changes_the_plan(routec: Run, clean: Path, tmp_path: Path) -> None:
    profile = tmp_path / "traffic.json"
    row: dict[str, object] = {"tenant": None, "tier": "free", "urgent": True}
    profile.write_bytes(dump_profile(Profile(policy="clean", requests=9, rows=(row,) * 3)))  # type: ignore[arg-type]
    arguments = ("compile", clean, "-o", tmp_path / "out.json", "--explain-plan")
    result = routec(*arguments, "--profile", profile, "--format", "json")
    assert result.status == 0
    assert result.json["measured"] is True
    assert result.json["assumed"] == ["topic", "refund"]
    # All of these requests are turned away by the first guard, which needs one scan.
    assert result.json["expected"]["calls_per_1000"] == pytest.approx(
        {"urgent": 1000, "size": 0, "pii": 0, "topic": 0, "refund": 0}
    )
    words = routec(*arguments, "--profile", profile)
    assert "the profile has no value of `topic`, `refund`" in words.out


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "truncated"),
        (b'{"version": 7}', "version 7"),
        (b'{"version": 1, "rows": [{"size": NaN}]}', "malformed"),
        (b"\x00\xff", "malformed"),
    ],
)
def test_a_profile_that_is_none_is_status_2(
    routec: Run, light: Path, tmp_path: Path, data: bytes, said: str
) -> None:
    profile = tmp_path / "traffic.json"
    profile.write_bytes(data)
    result = routec("compile", light, "-o", tmp_path / "out.json", "--profile", profile)
    assert (result.status, result.out) == (2, "")
    assert said in result.err
    assert "= help: " in result.err
    assert not (tmp_path / "out.json").exists()


def test_a_profile_that_is_not_there_is_status_2(routec: Run, light: Path, tmp_path: Path) -> None:
    result = routec("compile", light, "-o", "-", "--profile", tmp_path / "gone.json")
    assert result.status == 2
    assert "no such file or directory" in result.err


def test_program_and_plan_do_not_share_standard_output(routec: Run, light: Path) -> None:
    result = routec("compile", light, "-o", "-", "--explain-plan")
    assert (result.status, result.out) == (2, "")
    assert "cannot both go to standard output" in result.err


def test_every_process_writes_the_same_bytes(clean: Path, tmp_path: Path) -> None:
    script = "import sys; from routec.cli.main import main; sys.exit(main())"
    written = {
        subprocess.run(
            [sys.executable, "-c", script, "compile", str(clean), "-o", "-"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert written == {dump(compile_file(str(clean)).program)}


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
