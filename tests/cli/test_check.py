"""`routec check`: the library's findings, selected, counted and turned into a status."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import validate

from routec.compiler.check import check
from routec.dsl.parser import MAX_SIZE

from .support import CLEAN, Result, Run

BROKEN = {
    "syntax-error": CLEAN.replace("default route", "default rout"),
    "unknown-name": CLEAN.replace("refund >= 0.8", "refnd >= 0.8"),
    "duplicate-name": CLEAN + "signal urgent = turns()\n",
    "type-mismatch": CLEAN.replace("tier == free", "tier >= 3"),
    "unknown-option": CLEAN.replace("similarity: 0.93", "similarty: 0.93"),
    "out-of-range": CLEAN.replace("refund >= 0.8", "refund >= 1.8"),
    "import-error": 'import "gone.route"\n' + CLEAN,
    "default-route": CLEAN.replace("default route general", "route general priority 1"),
    "bad-regex": CLEAN + r"signal ahead = regex(/(?=x)/)" + "\n",
    "missing-on-error": CLEAN.replace(", on_error: other", ""),
}

PLACE = {
    "type": "object",
    "required": ["line", "column"],
    "properties": {
        "line": {"type": "integer", "minimum": 1},
        "column": {"type": "integer", "minimum": 1},
    },
    "additionalProperties": False,
}
RANGE = {
    "type": "object",
    "required": ["start", "end"],
    "properties": {"start": PLACE, "end": PLACE},
    "additionalProperties": False,
}
COUNT = {"type": "integer", "minimum": 0}
DOCUMENT = {
    "type": "object",
    "required": ["version", "policy", "summary", "findings"],
    "properties": {
        "version": {"const": 1},
        "policy": {"type": ["string", "null"]},
        "summary": {
            "type": "object",
            "required": ["error", "warning", "note", "unknown"],
            "additionalProperties": COUNT,
        },
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": [
                    *("code", "name", "severity", "verdict", "message", "file", "range"),
                    *("subjects", "related", "witness", "fix"),
                ],
                "properties": {
                    "code": {"pattern": "^RC[0-9]{3}$"},
                    "severity": {"enum": ["error", "warning", "note"]},
                    "verdict": {"enum": ["proved", "unknown", "estimated"]},
                    "range": RANGE,
                    "subjects": {"type": "array", "items": {"type": "string"}},
                    "related": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "file", "range", "subject"],
                            "properties": {"range": RANGE},
                        },
                    },
                },
            },
        },
    },
}


def write(folder: Path, text: str, name: str = "p.route") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_clean_policy_is_fine(routec: Run, clean: Path) -> None:
    result = routec("check", clean)
    assert (result.status, result.out, result.err) == (0, "", "")
    document = routec("check", clean, "--format", "json").json
    assert document["policy"] == "clean"
    assert document["findings"] == []
    assert routec("check", clean, "--format", "concise").out == ""


@pytest.mark.parametrize("name", BROKEN)
def test_the_command_says_what_the_library_finds(routec: Run, tmp_path: Path, name: str) -> None:
    path = write(tmp_path, BROKEN[name])
    expected = check(path).findings
    assert name in {finding.rule.name for finding in expected}

    result = routec("check", path, "--format", "json")
    assert result.status == 1
    validate(result.json, DOCUMENT)
    assert result.json["summary"]["error"] == len(expected)
    assert [
        (f["code"], f["message"], f["range"]["start"]["line"], f["range"]["start"]["column"])
        for f in result.json["findings"]
    ] == [(f.code, f.message, f.span.line, f.span.column) for f in expected]

    concise = routec("check", path, "--format", "concise").out.splitlines()
    assert concise == [
        f"{f.span.file}:{f.span.line}:{f.span.column}: error[{f.code}] {f.message}"
        for f in expected
    ]
    full = routec("check", path).out
    for finding in expected:
        assert f"error[{finding.code}]: {finding.message}\n" in full
        assert f"--> {path}:{finding.span.line}:{finding.span.column}\n" in full


def test_findings_are_selected_by_code_name_or_beginning(routec: Run, tmp_path: Path) -> None:
    path = write(tmp_path, BROKEN["unknown-name"] + "signal urgent = turns()\n")

    def codes(*arguments: str) -> tuple[int, list[str]]:
        result = routec("check", path, "--format", "json", *arguments)
        return result.status, [finding["code"] for finding in result.json["findings"]]

    assert codes() == (1, ["RC101", "RC102"])
    assert codes("--select", "RC101") == (1, ["RC101"])
    assert codes("--select", "duplicate-name") == (1, ["RC102"])
    assert codes("--select", "RC10") == (1, ["RC101", "RC102"])
    assert codes("--select", "rc101,RC102") == (1, ["RC101", "RC102"])
    assert codes("--ignore", "RC101", "--ignore", "RC102") == (0, [])
    assert codes("--select", "RC1", "--ignore", "unknown-name") == (1, ["RC102"])


def test_what_could_not_be_read_is_said_whatever_is_selected(routec: Run, tmp_path: Path) -> None:
    path = write(tmp_path, BROKEN["syntax-error"])
    result = routec("check", path, "--select", "RC108")
    assert result.status == 1
    assert "RC001" in result.out


UNREADABLE = [b"policy \xff\xfe", "policy p # ü".encode("utf-16"), b"# " + b" " * MAX_SIZE]


@pytest.mark.parametrize("data", UNREADABLE, ids=["latin", "utf-16", "large"])
@pytest.mark.parametrize(
    "command",
    [
        "check p.route",
        "check p.route --format json",
        "check p.route --fix",
        "check .",
        "test p.route",
        "compile p.route",
        "run p.route --embedded",
        "deploy p.route",
        "replay p.route --events none",
        "explain p.route --text hi",
        "graph p.route",
        "diff p.route p.route",
        "lock p.route",
    ],
)
def test_what_is_no_text_is_unreadable_input_to_every_command(
    routec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, data: bytes
) -> None:
    """Status 2, as for a file that is not there; the finding says what is wrong all the same."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.route").write_bytes(data)
    result = routec(*command.split())
    assert result.status == 2
    assert "RC001" in result.out + result.err


def test_what_is_no_text_has_no_fixes(routec: Run, tmp_path: Path) -> None:
    (tmp_path / "p.route").write_bytes(UNREADABLE[0])
    assert routec("check", tmp_path / "p.route", "--diff").status == 2
    assert routec("check", tmp_path / "p.route", "--fix").status == 2
    assert (tmp_path / "p.route").read_bytes() == UNREADABLE[0]


def test_what_is_unreadable_keeps_nothing_else_from_being_checked(
    routec: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.route").write_bytes(UNREADABLE[0])
    (tmp_path / "b.route").write_text(CLEAN.replace("to opus", "to opsu"))
    result = routec("check", tmp_path, "--format", "json")
    assert result.status == 2
    assert {one["code"] for one in result.json["findings"]} == {"RC001", "RC101"}
    # An import that is none is a finding of the text that imports it.
    (tmp_path / "b.route").write_text('import "a.route"\n' + CLEAN)
    assert routec("check", tmp_path / "b.route").status == 1


def test_a_rule_that_is_not_there_is_wrong_usage(routec: Run, clean: Path) -> None:
    result = routec("check", clean, "--select", "RC999")
    assert result.status == 2
    assert result.err.startswith("error: there is no rule `RC999`\n")


def test_statistics_count_by_rule(routec: Run, tmp_path: Path) -> None:
    path = write(tmp_path, CLEAN.replace("to opus", "to opsu"))
    result = routec("check", path, "--statistics")
    assert (result.status, result.out) == (1, "     2  RC101  unknown-name\n")
    document = routec("check", path, "--statistics", "--format", "json").json
    assert document["statistics"] == [{"code": "RC101", "name": "unknown-name", "count": 2}]


def test_standard_input_takes_the_name_it_is_given(routec: Run, tmp_path: Path) -> None:
    write(tmp_path, 'signal late = keyword("late")\n', "shared.route")
    text = 'import "shared.route"\n' + CLEAN.replace("urgent and", "urgent and late and")
    name = str(tmp_path / "p.route")
    assert routec("check", "-", "--stdin-filename", name, stdin=text.encode()).status == 0
    broken = routec("check", "-", "--format", "concise", stdin=b"default")
    assert broken.status == 1
    assert broken.out.startswith("<stdin>:1:")


def test_folders_are_searched_and_shared_files_are_fine(routec: Run, tmp_path: Path) -> None:
    write(tmp_path, 'signal late = keyword("late")\nsignal x = keyword(3)\n', "common/shared.route")
    for name in ("a.route", "deep/b.route"):
        up = "../" * name.count("/")
        write(tmp_path, f'import "{up}common/shared.route"\n' + CLEAN, name)
    write(tmp_path, "not a policy", "notes.txt")
    write(tmp_path, "not one either", ".hidden/c.route")
    document = routec("check", tmp_path, "--format", "json").json
    assert document["policy"] is None
    # Three files see the same mistake; it is one mistake, wherever it was seen from.
    places = {Path(f["file"]).resolve() for f in document["findings"]}
    assert places == {tmp_path / "common" / "shared.route"}
    write(tmp_path, 'signal late = keyword("late")\n', "common/shared.route")
    assert routec("check", tmp_path, "--select", "RC1") == Result(0, "", "")


def test_a_file_named_twice_is_read_once(routec: Run, clean: Path) -> None:
    document = routec("check", clean, clean, "--format", "json").json
    assert document["policy"] == "clean"


@pytest.mark.parametrize("name", ["gone.route", "nul\0.route"])
def test_a_file_that_cannot_be_read_is_status_2(routec: Run, tmp_path: Path, name: str) -> None:
    result = routec("check", f"{tmp_path}/{name}")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("error: cannot read `")


def test_a_folder_without_policies_is_status_2(routec: Run, tmp_path: Path) -> None:
    result = routec("check", tmp_path)
    assert result.status == 2
    assert "there is no `*.route` file" in result.err


def test_a_format_that_is_not_there_lists_those_that_are(routec: Run, clean: Path) -> None:
    result = routec("check", clean, "--format", "serif")
    assert result.status == 2
    assert "`serif` is none of `full`, `concise`, `json`, `sarif`, `github`, `junit`" in result.err
    assert "did you mean `sarif`?" in result.err


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b"\0" * 64, b"(" * 4096, "‮route".encode(), b"\xef\xbb\xbf"]
)
def test_hostile_bytes_are_findings_or_nothing(routec: Run, data: bytes) -> None:
    for form in ("full", "concise", "json", "sarif", "github", "junit"):
        result = routec("check", "-", "--format", form, stdin=data)
        assert result.status in ((2,) if data == b"\xff\xfe" else (0, 1))
        assert result.err == ""
