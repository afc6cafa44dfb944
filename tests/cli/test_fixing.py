"""`routec check --fix`: fixes in rounds, in one step a file, and never more than was proved."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from routec.cli import checking
from routec.cli.fixing import write_files
from routec.compiler.check import Checked, analyse, check
from routec.dsl.diagnostic import Applicability, Diagnostic, Edit, Fix

from .support import Result, Run

POLICY = """\
policy desk
# The fax is gone.
signal old  = keyword("fax")   # really
signal size = tokens()
model mini { provider: openai }
model opus { provider: anthropic }
route big priority 10 { when size > 8k and size > 2k  to opus }   # keep me
# routec: ignore[RC201] there were two
default route rest { to mini }
"""
FIXED = """\
policy desk
signal size = tokens()
model mini { provider: openai }
model opus { provider: anthropic }
route big priority 10 { when size > 8k  to opus }   # keep me
default route rest { to mini }
"""


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "p.route"
    path.write_text(POLICY)
    return path


def test_safe_fixes_are_applied_and_all_else_stays(routec: Run, policy: Path) -> None:
    assert routec("check", "p.route", "--fix") == Result(0, "", "fixed 3 findings\n")
    assert policy.read_text() == FIXED
    assert routec("check", "p.route", "--fix", "--strict") == Result(0, "", "")


def test_what_is_fixed_is_listed_as_json(routec: Run, policy: Path) -> None:
    document = routec("check", "p.route", "--fix", "--format", "json").json
    assert document["findings"] == []
    assert [(f["code"], f["title"], f["applicability"]) for f in document["fixed"]] == [
        ("RC207", "remove signal `old`", "safe"),
        ("RC212", "remove `size > 2k`", "safe"),
        ("RC900", "remove the comment", "safe"),
    ]


def test_a_diff_is_a_patch_and_writes_nothing(routec: Run, policy: Path) -> None:
    result = routec("check", "p.route", "--fix", "--diff")
    assert result.status == 1
    assert result.err == "would fix 3 findings\n"
    assert policy.read_text() == POLICY
    subprocess.run(["patch", "-p0"], input=result.out.encode(), check=True, capture_output=True)
    assert policy.read_text() == FIXED
    assert routec("check", "p.route", "--diff") == Result(0, "", "")


def test_a_diff_reads_standard_input(routec: Run, policy: Path) -> None:
    result = routec("check", "-", "--diff", "--stdin-filename", "p.route", stdin=POLICY.encode())
    assert result.out == routec("check", "p.route", "--diff").out != ""


def test_only_what_is_selected_is_fixed(routec: Run, policy: Path) -> None:
    routec("check", "p.route", "--fix", "--select", "RC207")
    assert policy.read_text() == POLICY.replace(
        '# The fax is gone.\nsignal old  = keyword("fax")   # really\n', ""
    )


def test_unsafe_fixes_are_applied_only_if_asked_for(routec: Run, policy: Path) -> None:
    policy.write_text(FIXED + "route more priority 10 { when size > 9k  to mini }\n")
    before = policy.read_text()
    safe = routec("check", "p.route", "--fix")
    assert (safe.status, policy.read_text()) == (1, before)
    assert "(unsafe: `--unsafe-fixes`)" in safe.out
    unsafe = routec("check", "p.route", "--unsafe-fixes", "--select", "RC201")
    assert unsafe == Result(0, "", "fixed 1 finding\n")
    assert "priority 11" in policy.read_text()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_byte_order_marks_and_line_ends_are_kept(
    routec: Run, policy: Path, mark: bytes, end: bytes
) -> None:
    policy.write_bytes(mark + POLICY.encode().replace(b"\n", end))
    assert routec("check", "p.route", "--fix").status == 0
    assert policy.read_bytes() == mark + FIXED.encode().replace(b"\n", end)


def test_files_are_replaced_whole_with_their_mode_and_behind_links(
    routec: Run, policy: Path, tmp_path: Path
) -> None:
    policy.chmod(0o640)
    link = tmp_path / "link.route"
    link.symlink_to("p.route")
    inode = policy.stat().st_ino
    assert routec("check", "link.route", "--fix").status == 0
    assert link.is_symlink()
    assert policy.read_text() == FIXED
    assert stat.S_IMODE(policy.stat().st_mode) == 0o640
    assert policy.stat().st_ino != inode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.route", "p.route"]


def test_a_file_that_cannot_be_written_stays_as_it_is(
    routec: Run, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = routec("check", "p.route", "--fix")
    assert result.status == 2
    assert "cannot write `p.route`: no space left on device" in result.err
    assert policy.read_text() == POLICY
    assert [p.name for p in tmp_path.iterdir()] == ["p.route"]


def test_a_file_that_changes_meanwhile_is_left_alone(
    routec: Run, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(fixed: object) -> None:
        policy.write_text("policy other\n")
        write_files(fixed)  # type: ignore[arg-type]

    monkeypatch.setattr("routec.cli.fixing.write_files", late)
    result = routec("check", "p.route", "--fix")
    assert result.status == 2
    assert "`p.route` was changed while it was being fixed" in result.err
    assert policy.read_text() == "policy other\n"


def test_a_proof_for_one_policy_is_none_for_another_that_imports_it(
    routec: Run, policy: Path, tmp_path: Path
) -> None:
    """`old` is unused in `p.route`, but not in the policy that imports it."""
    (tmp_path / "q.route").write_text(
        'import "p.route"\nroute fax priority 5 { when old  to opus  tag "fax" }\n'
    )
    routec("check", "p.route", "q.route", "--fix")
    assert 'signal old  = keyword("fax")' in policy.read_text()


def test_a_fix_that_breaks_a_policy_is_left_out(
    routec: Run, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fix that is wrong, and one that does nothing, are skipped; the others are applied."""

    def with_bad_fixes(checked: Checked, options: object = None) -> Checked:
        found = analyse(checked)
        extra: list[Diagnostic] = []
        for finding in found.findings:
            if finding.code == "RC212":
                for text in ("((", "size > 2k"):
                    edit = Edit(finding.span, text)
                    fix = Fix(f"write {text}", Applicability.SAFE, (edit,))
                    extra.append(replace(finding, message=f"bad {text}", fix=fix))
        return replace(found, findings=(*extra, *found.findings))

    monkeypatch.setattr(checking, "analyse", with_bad_fixes)
    routec("check", "p.route", "--fix")
    assert policy.read_text() == FIXED
    assert check(policy).policy is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-", "--fix"), "standard input cannot be fixed in place"),
        (("p.route", "--diff", "--format", "json"), "`--diff` prints a patch and nothing else"),
        (("p.route", "--watch", "--fix"), "`--watch` cannot be used with fixes"),
        (("-", "--watch"), "`--watch` cannot be used with standard input"),
        (("p.route", "--budget", "0"), "`0` is no whole number from 1 to 1000000"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(
    routec: Run, policy: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = routec("check", *arguments)
    assert (result.status, result.out) == (2, "")
    assert says in result.err
