"""`routec test`: what a test expects, what was decided, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from routec.cli.cases import run_cases
from routec.cli.programs import compile_file

from .support import CLEAN, Run

PINNED = "with { topic: other, refund: 0.1 }"


def case(body: str, text: str = "t") -> str:
    return f'test "{text}" {{ {body} }}\n'


PASSING = (
    case('request { text: "asap!", tenant: "a" } expect reject shouting', "pins are not needed")
    + case(
        f'request {{ text: "hi", tenant: "a" }} {PINNED} expect route general expect model mini',
        "x",
    )
    + case(
        'request { text: "mail a@example.com", tenant: "a" } with { topic: code, refund: 0.9 }'
        ' expect redact expect tag "mail" expect route refunds expect category code',
        "light signals are computed",
    )
    + case(f'request {{ text: "hi", tenant: "a" }} {PINNED} expect category none', "none")
)

FAILING = {
    "route `refunds`, decided route `general`": (
        f'request {{ text: "hi", tenant: "a" }} {PINNED} expect route refunds',
        "not `refunds`: `refund >= 0.8` is false: `refund` is 0.1, 0.7 away",
    ),
    "route `general`, decided route `refunds`": (
        'request { text: "hi", tenant: "a" } with { topic: other, refund: 0.9 } expect route general',
        "`refunds` comes first: `refund >= 0.8` is true: `refund` is 0.9, 0.1 away",
    ),
    "reject `shouting`, decided route `general`": (
        f'request {{ text: "hi", tenant: "a" }} {PINNED} expect reject shouting',
        "guard `shouting` does not act: `urgent` is false",
    ),
    "route `general`, decided reject `shouting`": (
        'request { text: "asap", tenant: "a" } expect route general',
        "guard `shouting` rejects: `urgent` is true; `tier == free` is true: `tier` is free",
    ),
    "model `opus`, decided model `mini` (route `general`)": (
        f'request {{ text: "hi", tenant: "a" }} {PINNED} expect model opus',
        "route `general` has only model `mini`",
    ),
    "category `code`, decided category `none`": (
        f'request {{ text: "hi", tenant: "a" }} {PINNED} expect category code',
        "`topic == code` is false: `topic` is other",
    ),
    "redact, nothing is redacted": (
        f'request {{ text: "hi", tenant: "a" }} {PINNED} expect redact',
        None,
    ),
    "tag `mail`, the tags are none": (
        f'request {{ text: "hi", tenant: "a" }} {PINNED} expect tag "mail"',
        None,
    ),
}


def policy(folder: Path, tests: str) -> Path:
    path = folder / "p.route"
    path.write_text(CLEAN + tests)
    return path


def test_tests_that_hold_pass(routec: Run, tmp_path: Path) -> None:
    path = policy(tmp_path, PASSING)
    result = routec("test", path)
    assert (result.status, result.out, result.err) == (0, "4 passed, 0 failed\n", "")
    document = routec("test", path, "--format", "json").json
    assert (document["passed"], document["failed"], document["findings"]) == (4, 0, [])
    assert document["policy"] == "clean"
    assert document["tests"][0] == {
        "policy": "clean",
        "test": "pins are not needed",
        "passed": True,
        "outcome": "reject shouting",
    }


@pytest.mark.parametrize("says", FAILING)
async def test_a_test_that_fails_says_what_and_why(tmp_path: Path, says: str) -> None:
    body, why = FAILING[says]
    path = policy(tmp_path, case(body))
    [result] = await run_cases(compile_file(str(path)))
    [finding] = result.failures
    assert finding.code == "RC501"
    assert finding.message == f"`t`: expected {says}"
    assert finding.help == why
    assert finding.span.line == len(CLEAN.splitlines()) + 1


def test_the_command_shows_each_failed_expectation(routec: Run, tmp_path: Path) -> None:
    path = policy(tmp_path, PASSING + "".join(case(body) for body, _ in FAILING.values()))
    result = routec("test", path)
    assert result.status == 1
    assert all(f"error[RC501]: `t`: expected {says}\n" in result.out for says in FAILING)
    assert result.out.endswith(f"\n4 passed, {len(FAILING)} failed\n")
    document = routec("test", path, "--format", "json").json
    assert [f["message"] for f in document["findings"]] == [f"`t`: expected {s}" for s in FAILING]
    assert document["summary"]["error"] == len(FAILING)


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ('request { text: "hi", tenant: "a" } expect route general', "refund"),
        ('request { text: "hi", tenant: "a" } with { refund: 0.1 } expect category none', "topic"),
    ],
)
def test_a_costly_signal_that_is_needed_must_be_pinned(
    routec: Run, tmp_path: Path, body: str, missing: str
) -> None:
    path = policy(tmp_path, case(body))
    result = routec("test", path)
    assert result.status == 1
    assert f"`t` needs signal `{missing}`, which it does not pin" in result.out
    assert f"add `{missing}: …` to `with {{ … }}`" in result.out
    assert result.err == ""


def test_a_costly_signal_that_cannot_matter_need_not_be_pinned(routec: Run, tmp_path: Path) -> None:
    body = 'request { text: "hi", tenant: "a" } with { refund: 0.95, topic: code } expect route refunds'
    assert routec("test", policy(tmp_path, case(body))).status == 0


def test_live_without_a_model_names_the_command(
    routec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTEC_CACHE", str(tmp_path / "nothing"))
    path = policy(tmp_path, case('request { text: "hi", tenant: "a" } expect route general'))
    result = routec("test", path, "--live")
    assert (result.status, result.out) == (2, "")
    assert "routec models install minilm" in result.err


def test_a_folder_runs_all_and_skips_shared_files(routec: Run, tmp_path: Path) -> None:
    policy(tmp_path, PASSING)
    (tmp_path / "broken.route").write_text(CLEAN.replace("to opus", "to opsu"))
    (tmp_path / "shared.route").write_text('signal late = keyword("late")\n')
    result = routec("test", tmp_path)
    assert result.status == 1
    assert "error[RC101]: unknown model or pool `opsu`" in result.out
    assert result.out.endswith("\n4 passed, 0 failed, 2 errors before any test ran\n")
