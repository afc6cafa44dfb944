"""`routec check` and what is proved of a policy: selection, suppression, verdicts, budgets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from routec.cli import checking
from routec.cli.progress import Progress
from routec.cli.selection import fails
from routec.compiler.check import Checked, analyse
from routec.dsl.diagnostic import Diagnostic, Severity, Verdict

from .support import Result, Run, Terminal

CLASH = """\
policy clash
request { tier: enum(free, pro) = free }
signal topic = classifier("topic") { labels: [code, other], on_error: other }
signal old = keyword("fax")
model mini { provider: openai }
model opus { provider: anthropic }
model long { provider: google }
route code priority 10 { when topic == code  to opus }
route paid priority 10 { when tier == pro    to long }
route both priority 5  { when tier == pro or topic == code  to mini  tag "both" }
default route rest { to mini }
"""


def write(folder: Path, text: str, name: str = "p.route") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def codes(result: Result) -> list[str]:
    return [finding["code"] for finding in result.json["findings"]]


def test_what_is_proved_is_found_in_the_order_of_the_file(routec: Run, tmp_path: Path) -> None:
    result = routec("check", write(tmp_path, CLASH), "--format", "json")
    assert (result.status, codes(result)) == (1, ["RC207", "RC201", "RC202"])
    assert result.json["summary"] == {"error": 2, "warning": 1, "note": 0, "unknown": 0}
    assert result.json["policy"] == "clash"


def test_only_what_is_selected_is_proved_and_shown(routec: Run, tmp_path: Path) -> None:
    path = write(tmp_path, CLASH)

    def said(*arguments: str) -> list[str]:
        return codes(routec("check", path, "--format", "json", *arguments))

    assert set(said("--select", "RC2")) == {"RC207", "RC201", "RC202", "RC206"}
    assert said("--select", "RC207") == ["RC207"]
    assert said("--ignore", "RC20") == []
    assert said("--select", "unreachable-route,RC9") == ["RC202"]
    assert said("--select", "RC1") == []


def test_overlaps_are_said_beside_the_rest(routec: Run, tmp_path: Path) -> None:
    text = CLASH.replace("priority 10 { when tier", "priority 9 { when tier").replace(
        'signal old = keyword("fax")\n', ""
    )
    path = write(tmp_path, text)
    quiet = routec("check", path, "--format", "json")
    loud = routec("check", path, "--overlaps", "--format", "json")
    assert codes(quiet) == ["RC202"]
    assert set(codes(loud)) == {"RC206", "RC202"}
    assert (quiet.json["summary"]["note"], loud.json["summary"]["note"]) == (0, 3)
    alone = codes(routec("check", path, "--overlaps", "--select", "RC1", "--format", "json"))
    assert set(alone) == {"RC206"}


def test_warnings_fail_a_strict_check_only(routec: Run, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'signal old = keyword("fax")\npolicy p\nmodel m { provider: openai }\n'
        "default route rest { to m }\n",
    )
    assert routec("check", path).status == 0
    assert routec("check", path, "--strict").status == 1
    assert "found 1 warning\n" in routec("check", path).out


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("verdict", Verdict)
def test_what_fails_a_check(routec: Run, severity: Severity, verdict: Verdict) -> None:
    finding = replace(_any_finding(), level=severity, verdict=verdict)
    decided = verdict is not Verdict.UNKNOWN
    assert fails(finding, strict=False) is (severity is Severity.ERROR and decided)
    assert fails(finding, strict=True) is (severity is not Severity.NOTE)


def _any_finding() -> Diagnostic:
    from tests.cli.render.findings import ERROR

    return ERROR


def test_what_is_not_decided_is_said_and_counted_and_fails_no_check(
    routec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the effort did not suffice to decide whether two routes meet."""

    def undecided(checked: Checked, options: object = None) -> Checked:
        found = analyse(checked)
        doubted = tuple(
            replace(f, verdict=Verdict.UNKNOWN, witness=None, fix=None) if f.code == "RC201" else f
            for f in found.findings
            if f.code in ("RC201", "RC207")
        )
        return replace(found, findings=doubted)

    monkeypatch.setattr(checking, "analyse", undecided)
    path = write(tmp_path, CLASH)
    result = routec("check", path, "--format", "json")
    assert result.status == 0
    assert result.json["summary"] == {"error": 0, "warning": 1, "note": 0, "unknown": 1}
    full = routec("check", path).out
    assert "undecided[RC201]: " in full
    assert "= note: this is not decided, and fails no check without `--strict`\n" in full
    assert "found 1 warning, 1 undecided finding\n" in full
    assert ": undecided[RC201] " in routec("check", path, "--format", "concise").out
    assert "::notice " in routec("check", path, "--format", "github").out
    assert "<failure" not in routec("check", path, "--format", "junit").out
    assert routec("check", path, "--strict").status == 1


PIGEONS, HOLES = 7, 6


def pigeonhole() -> str:
    """A condition that no request meets, which a solver without much effort cannot tell."""
    fields = " ".join(f"p{i}_{j}: bool = false" for i in range(PIGEONS) for j in range(HOLES))
    placed = ["(" + " or ".join(f"p{i}_{j}" for j in range(HOLES)) + ")" for i in range(PIGEONS)]
    apart = [
        f"not (p{i}_{j} and p{k}_{j})"
        for j in range(HOLES)
        for i in range(PIGEONS)
        for k in range(i)
    ]
    when = " and ".join([*placed, *apart])
    return (
        f"policy holes\nrequest {{ {fields} }}\nmodel a {{ provider: x }}\nmodel b {{ provider: y }}\n"
        f"route packed priority 1 {{ when {when} to a }}\ndefault route rest {{ to b }}\n"
    )


def test_a_budget_decides_what_less_did_not(
    routec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from routec.compiler.theory import solver

    small = solver.Budget(query=5, total=10, last=1)
    monkeypatch.setattr(
        "routec.compiler.theory.solver.Budget.times", lambda self, n: small if n == 1 else self
    )
    path = write(tmp_path, pigeonhole())
    short = routec("check", path, "--select", "RC203", "--format", "json")
    assert [f["verdict"] for f in short.json["findings"]] == ["unknown"]
    assert short.json["findings"][0]["help"].startswith("raise the effort with `--budget`")
    assert short.status == 0
    long = routec("check", path, "--select", "RC203", "--budget", "4", "--format", "json")
    assert [f["verdict"] for f in long.json["findings"]] == ["proved"]
    assert long.status == 1


def test_suppressed_findings_are_not_said_and_fail_nothing(routec: Run, tmp_path: Path) -> None:
    text = CLASH.replace(
        "signal old", "# routec: ignore[unused-declaration] kept for spring\nsignal old"
    ).replace("route paid", "# routec: ignore[RC201] they are the same team\nroute paid")
    path = write(tmp_path, text.replace(" or topic == code  to mini", "  to mini"))
    result = routec("check", path, "--ignore", "RC202")
    assert result == Result(0, "", "")


def test_a_suppression_is_unused_only_where_its_rule_was_looked_into(
    routec: Run, tmp_path: Path
) -> None:
    text = CLASH.replace("route code", "# routec: ignore[RC205] old habit\nroute code")
    path = write(tmp_path, text)
    assert "RC900" in codes(routec("check", path, "--format", "json"))
    assert "RC900" in codes(routec("check", path, "--select", "RC900", "--format", "json"))
    assert codes(routec("check", path, "--select", "RC1,RC207", "--format", "json")) == ["RC207"]
    broken = write(tmp_path, text.replace("to opus", "to opsu"), "broken.route")
    assert codes(routec("check", broken, "--format", "json")) == ["RC101"]


def test_a_suppression_in_a_shared_file_is_of_use_if_one_policy_uses_it(
    routec: Run, tmp_path: Path
) -> None:
    """Judged over all policies that import the file, whatever path they write."""
    shared = (
        "let odd = size > 8k and size < 2k  # routec: ignore[RC203] {}\nsignal size = tokens()\n"
    )
    plain = (
        'policy {0}\nimport "{1}shared.route"\nmodel m {{ provider: x }}\n'
        "model n {{ provider: y }}\nroute a priority 1 {{ when {2} to n }}\n"
        "default route r {{ to m }}\n"
    )
    write(tmp_path, shared.format("both limits are read elsewhere"), "shared.route")
    write(tmp_path, plain.format("one", "", "odd or size > 9k"), "one.route")
    write(tmp_path, plain.format("two", "../", "odd or size > 9k"), "deep/two.route")
    found = routec("check", tmp_path, "--format", "json", "--select", "RC203,RC900").json
    assert found["findings"] == []
    write(tmp_path, shared.format("x").replace("and size < 2k", "and size < 9k"), "shared.route")
    found = routec("check", tmp_path, "--format", "json", "--select", "RC203,RC900").json
    assert [f["code"] for f in found["findings"]] == ["RC900"]


def test_two_runs_say_the_same(routec: Run, tmp_path: Path) -> None:
    path = write(tmp_path, CLASH)
    for form in ("full", "json", "sarif"):
        assert routec("check", path, "--format", form) == routec("check", path, "--format", form)


def test_progress_is_for_terminals_and_long_checks_only() -> None:
    pipe, short, long = Terminal(), Terminal(), Terminal()
    pipe.isatty = lambda: False  # type: ignore[method-assign]
    for stream, patience in ((pipe, 0.0), (short, 60.0), (long, 0.0)):
        with Progress(stream, patience) as progress:
            progress.file("p.route")
            progress("RC202", 0, 2)
            if stream is long:
                assert progress._timer is not None
                progress._timer.join(5)
            progress("RC201", 1, 2)
    assert (pipe.getvalue(), short.getvalue()) == ("", "")
    assert "p.route RC201" in long.getvalue()
